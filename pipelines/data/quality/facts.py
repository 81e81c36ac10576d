"""Compute everything that Great Expectations will ask of the data in one pass over it.

A fact is one metric's value. Its SQL is planned first, for all metrics together; then every aggregate is one column of
one query. Keys that stand in several rows, and values at a rank (medians, quantiles), need one query each beside it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import duckdb

from pipelines.data.quality.conditions import Condition, in_set
from pipelines.data.quality.rows import NUMERIC, Rows
from pipelines.data.sql import quoted

LOG = logging.getLogger(__name__)

NAN = float("nan")


@dataclass(frozen=True)
class Aggregate:
    """A metric that is computed from the values of aggregate expressions."""

    expressions: tuple[str, ...]
    finish: Callable[..., Any] = lambda value: value


@dataclass(frozen=True)
class Ranked:
    """A metric that is computed from a column's values at ranks, which are told from the number of its values."""

    column: str
    ranks: Callable[[int], list[int]]
    finish: Callable[[list[Any]], Any]


@dataclass
class Facts:
    """Facts of one table: asked for with `want`, computed with `compute`, read with `value`."""

    rows: Rows
    _scalars: dict[str, Any] = field(default_factory=dict)
    _wanted: list[str] = field(default_factory=list)
    _ranked: list[Ranked] = field(default_factory=list)
    _duplicates: dict[tuple[str, tuple[str, ...]], str] = field(default_factory=dict)
    _at_ranks: dict[tuple[str, int], Any] = field(default_factory=dict)

    def want(self, fact: Aggregate | Ranked | Condition) -> None:
        """Plan a fact, so that `compute` computes it."""
        if isinstance(fact, Aggregate):
            self._wanted += fact.expressions
        elif isinstance(fact, Ranked):
            self._ranked.append(fact)
            self._wanted.append(_count(self.rows, fact.column))
        else:
            self._wanted += [_count_where(sql) for sql in (fact.bad, fact.domain, fact.guard) if sql]
            if fact.duplicated:
                key = (fact.domain, fact.duplicated)
                self._duplicates.setdefault(key, f"duplicates_{len(self._duplicates)}")

    def compute(self) -> None:
        """Compute what is planned. What DuckDB cannot compute becomes unknown, and is not an error."""
        for (domain, keys), table in self._duplicates.items():
            self._count_duplicates(domain, keys, table)
        wanted = dict.fromkeys(self._wanted)
        self._compute_scalars([sql for sql in wanted if "DISTINCT" not in sql])
        for sql in wanted:
            if "DISTINCT" in sql:  # beside others it makes the whole query twice as slow, alone it takes no time
                self._compute_scalars([sql])
        self._compute_ranked()

    def value(self, fact: Aggregate | Ranked) -> Any:
        """Return a computed fact. Raises `KeyError` when it is unknown."""
        if isinstance(fact, Aggregate):
            return fact.finish(*[self._scalars[sql] for sql in fact.expressions])
        ranks = fact.ranks(self._scalars[_count(self.rows, fact.column)])
        return fact.finish([self._at_ranks[fact.column, rank] for rank in ranks])

    def is_sure(self, condition: Condition) -> bool:
        """Tell whether a condition could be computed, and no row is in its guard."""
        needed = [_count_where(sql) for sql in (condition.bad, condition.domain) if sql]
        needed += [self.duplicates_table(condition)] if condition.duplicated else []
        if any(name not in self._scalars for name in needed):
            return False
        return condition.guard is None or self._scalars.get(_count_where(condition.guard)) == 0

    def num_bad(self, condition: Condition) -> int:
        """Return the number of bad rows of a condition that is sure."""
        if condition.duplicated:
            return int(self._scalars[self.duplicates_table(condition)])
        return int(self._scalars[_count_where(condition.bad)])

    def num_judged(self, condition: Condition) -> int:
        """Return the number of rows in the domain of a condition that is sure."""
        return int(self._scalars[_count_where(condition.domain)])

    def duplicates_table(self, condition: Condition) -> str:
        """Return the table with the keys that stand in several rows: columns k0, k1, ... and n, the number of rows."""
        return self._duplicates[condition.domain, condition.duplicated]

    def _compute_scalars(self, wanted: list[str]) -> None:
        try:
            self._scalars.update(zip(wanted, self.rows.scalars(wanted), strict=True))
        except duckdb.Error:  # one of them spoils the query: know the others
            for sql in wanted if len(wanted) > 1 else ():
                self._compute_scalars([sql])

    def _count_duplicates(self, domain: str, keys: tuple[str, ...], table: str) -> None:
        source, values = self.rows.source(), ", ".join(keys)
        columns = ", ".join(f"{sql} AS k{number}" for number, sql in enumerate(keys))
        groups = ", ".join(str(number) for number in range(1, len(keys) + 1))
        try:
            if len(keys) > 1:  # few bytes a row tell that most keys stand alone; only the others are compared in full
                hashes = f"SELECT hash({values}) AS h FROM {source} WHERE {domain} GROUP BY h HAVING count(*) > 1"
                self.rows.run(f"CREATE OR REPLACE TABLE {table}_hashes AS {hashes}")
                domain = f"{domain} AND hash({values}) IN (FROM {table}_hashes)"
            duplicates = f"SELECT {columns}, count(*) AS n FROM {source} WHERE {domain} GROUP BY {groups}"
            self.rows.run(f"CREATE OR REPLACE TABLE {table} AS {duplicates} HAVING count(*) > 1")
            self._scalars[table] = self.rows.run(f"SELECT coalesce(sum(n), 0) FROM {table}")[0][0]
        except duckdb.Error:
            LOG.warning("DuckDB cannot count the duplicates of %s; they are counted in memory.", values)

    def _compute_ranked(self) -> None:
        places: dict[tuple[str, int], str] = {}
        for fact in self._ranked:
            count = self._scalars.get(_count(self.rows, fact.column))
            if not count:
                continue
            for rank in fact.ranks(count):
                # quantile_disc takes the value at rank ceil(share * count) - 1; half a step keeps clear of rounding
                share = (rank + 0.5) / count
                places[fact.column, rank] = f"quantile_disc({self.rows.number(fact.column)}, {share!r})"
        expressions = list(dict.fromkeys(places.values()))
        try:
            found = dict(zip(expressions, self.rows.scalars(expressions), strict=True))
        except duckdb.Error:
            return
        self._at_ranks |= {place: found[sql] for place, sql in places.items()}


def aggregate(
    metric: str, rows: Rows, domain: Mapping[str, Any], values: Mapping[str, Any]
) -> Aggregate | Ranked | None:
    """Return how SQL computes one of Great Expectations' metrics on a column or the table, or None where it cannot."""
    if domain.get("row_condition"):
        return None
    if metric == "table.row_count":
        return Aggregate(("count(*)",))
    column = domain.get("column")
    if column not in rows.kinds:
        return None
    rule = _RULES.get(metric)
    try:
        return None if rule is None else rule(rows, str(column), values)
    except TypeError:  # a value that SQL has no literal for
        return None


def _count_where(test: str) -> str:
    return f"count(*) FILTER ({test})"  # count_if gives NULL and not 0 where there are no rows at all


def _count(rows: Rows, column: str) -> str:
    return f"count({rows.value(column)})"


def _summable(rows: Rows, column: str) -> str | None:
    if rows.kinds[column] == "boolean":
        return f"{quoted(column)}::INTEGER"
    return rows.number(column) if rows.kinds[column] in NUMERIC else None


def _mean(rows: Rows, column: str, values: Mapping[str, Any]) -> Aggregate | None:
    number = _summable(rows, column)
    return None if number is None else Aggregate((f"avg({number})",), _or_nan)


def _sum(rows: Rows, column: str, values: Mapping[str, Any]) -> Aggregate | None:
    number = _summable(rows, column)
    return None if number is None else Aggregate((f"sum({number})",), _total)


def _standard_deviation(rows: Rows, column: str, values: Mapping[str, Any]) -> Aggregate | None:
    return Aggregate((f"stddev_samp({rows.number(column)})",), _or_nan) if rows.kinds[column] in NUMERIC else None


def _extreme(function: str) -> Callable[[Rows, str, Mapping[str, Any]], Aggregate | None]:
    def rule(rows: Rows, column: str, values: Mapping[str, Any]) -> Aggregate | None:
        known = rows.kinds[column] in NUMERIC | {"string", "timestamp", "timestamptz", "date"}
        return Aggregate((f"{function}({rows.number(column)})",)) if known else None

    return rule


def _num_distinct(rows: Rows, column: str, values: Mapping[str, Any]) -> Aggregate | None:
    return Aggregate((f"count(DISTINCT {rows.value(column)})",)) if rows.kinds[column] != "other" else None


def _num_values(rows: Rows, column: str, values: Mapping[str, Any]) -> Aggregate:
    return Aggregate((_count(rows, column),))


def _num_distinct_outside(rows: Rows, column: str, values: Mapping[str, Any]) -> Aggregate | None:
    inside = in_set(rows, column, values.get("value_set"))
    if inside is None:
        return None
    return Aggregate((f"count(DISTINCT {rows.value(column)}) FILTER (NOT {inside})",))


def _distinct_outside(rows: Rows, column: str, values: Mapping[str, Any]) -> Aggregate | None:
    """Only the count decides; the values are looked up when a check has failed."""
    counted = _num_distinct_outside(rows, column, values)
    return None if counted is None else Aggregate(counted.expressions, lambda count: [])


def _median(rows: Rows, column: str, values: Mapping[str, Any]) -> Ranked | None:
    if rows.kinds[column] not in NUMERIC:
        return None

    def middles(count: int) -> list[int]:
        return [(count - 1) // 2, count // 2] if count else []

    def mean(pair: list[Any]) -> float:
        return (float(pair[0]) + float(pair[1])) / 2 if pair else NAN

    return Ranked(column, middles, mean)


def _quantiles(rows: Rows, column: str, values: Mapping[str, Any]) -> Ranked | None:
    shares = values.get("quantiles")
    if rows.kinds[column] not in NUMERIC or values.get("allow_relative_error") or not isinstance(shares, list | tuple):
        return None
    if not all(isinstance(share, int | float) and 0 <= share <= 1 for share in shares):
        return None

    def nearest_ranks(count: int) -> list[int]:
        # NumPy's method "nearest", by the way pandas asks for it: in percent, a tie goes to the even rank
        return [round((count - 1) * (share * 100 / 100)) for share in shares] if count else []

    return Ranked(column, nearest_ranks, lambda found: found or [NAN] * len(shares))


def _total(value: Any) -> Any:
    return int(value) if isinstance(value, Decimal) else value or 0  # Arrow gives a sum of integers as a decimal


def _or_nan(value: Any) -> Any:
    return NAN if value is None else value


_RULES: dict[str, Callable[[Rows, str, Mapping[str, Any]], Aggregate | Ranked | None]] = {
    "column.distinct_values.count": _num_distinct,
    "column.distinct_values.not_in_set": _distinct_outside,
    "column.distinct_values.not_in_set.count": _num_distinct_outside,
    "column.max": _extreme("max"),
    "column.mean": _mean,
    "column.median": _median,
    "column.min": _extreme("min"),
    "column.non_null_count": _num_values,
    "column.quantile_values": _quantiles,
    "column.standard_deviation": _standard_deviation,
    "column.sum": _sum,
}
