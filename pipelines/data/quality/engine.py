"""An execution engine for Great Expectations over Parquet: its metrics, answered from facts of one DuckDB pass.

Great Expectations stays the judge: its expectations ask for metrics through `ExecutionEngine.resolve_metrics` and make
a verdict of them. What is surely the same in SQL is answered from facts. All else its own pandas engine computes, on
the columns that the metric names and no others, and only up to a bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.data.quality.conditions import Condition, condition
from pipelines.data.quality.facts import Aggregate, Facts, Ranked, aggregate
from pipelines.data.quality.library import (
    Expectation,
    GreatExpectationsError,
    MetricConfiguration,
    MetricResolutionError,
    MetricsCalculator,
    PandasExecutionEngine,
)
from pipelines.data.quality.rows import Rows
from pipelines.data.quality.suite import COLUMN_KWARGS

MAX_VALUES_IN_PANDAS = 30_000_000  # rows times columns: around 1 GB where they are text

# No values with the counts: bad rows are found again, all of them, when they go to quarantine.
RUNTIME = {"catch_exceptions": True, "result_format": {"result_format": "BASIC", "partial_unexpected_count": 0}}

_BATCH = "rows"
_COUNT = ".unexpected_count"
_VALUES = ".unexpected_values"


class FactsEngine(PandasExecutionEngine):  # type: ignore[misc]  # Great Expectations has no types
    """Answers metrics of `rows` from facts, and falls back to pandas.

    Call `prepare` with all expectations first: what nobody prepared for is computed by pandas.
    """

    def __init__(self, rows: Rows) -> None:
        super().__init__(caching=False)
        self.rows = rows
        self.in_pandas: set[str] = set()
        self._facts = Facts(rows)
        self._known: dict[Any, Aggregate | Ranked] = {}
        self._conditions: dict[Any, Condition] = {}
        self._unread: set[Any] = set()
        self._resolved: dict[Any, Any] = {}
        self._crashed: dict[Any, MetricResolutionError] = {}
        self._loaded: tuple[str, ...] | None = None

    def prepare(self, expectations: Sequence[Expectation]) -> None:
        """Ask each expectation which metrics it needs, and compute in one pass all that SQL can answer."""
        metrics = {metric.id: metric for expectation in expectations for metric in self._needed(expectation)}
        for key, metric in metrics.items():
            name, domain, values = metric.metric_name, metric.metric_domain_kwargs, metric.metric_value_kwargs
            if (found := aggregate(name, self.rows, domain, values)) is not None:
                self._known[key] = found
                self._facts.want(found)
            elif (rule := condition(_map_metric(name), self.rows, domain, values)) is not None:
                self._conditions[key] = rule
                self._facts.want(rule)
        self._facts.compute()
        self._conditions = {key: rule for key, rule in self._conditions.items() if self._facts.is_sure(rule)}
        self._unread = {key for key, metric in metrics.items() if _is_series(metric.metric_name)}
        pending = [metric for metric in metrics.values() if not self._has_answer(metric)]
        while pending:  # whatever pandas computes, it computes from real series
            needed = pending.pop().metric_dependencies.values()
            pending += [metric for metric in needed if metric.id in self._unread]
            self._unread -= {metric.id for metric in needed}

    def resolve_metrics(
        self,
        metrics_to_resolve: Iterable[MetricConfiguration],
        metrics: dict[Any, Any] | None = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> dict[Any, Any]:
        """Return the value of each metric by its id. Raises `MetricResolutionError` when one cannot be computed."""
        found = {}
        for metric in metrics_to_resolve:
            if metric.id in self._crashed:  # the caller tries three times; a crash stays one
                raise self._crashed[metric.id]
            if metric.id not in self._resolved:
                self._resolved[metric.id] = self._resolve(metric, metrics or {}, runtime_configuration)
            found[metric.id] = self._resolved[metric.id]
        return found

    def bad_rows(self, expectation: Expectation) -> Condition | np.ndarray | None:
        """Return which rows an expectation calls bad: a condition, or their numbers over all files; None if unknown."""
        name = f"{getattr(expectation, 'map_metric', None)}{_COUNT}"
        metric = next((metric for metric in self._needed(expectation) if metric.metric_name == name), None)
        if metric is None:
            return None
        if metric.id in self._conditions:
            return self._conditions[metric.id]
        found = self._resolved.pop(metric.metric_dependencies["unexpected_condition"].id, None)
        return None if found is None else found[0].index.to_numpy()[found[0].to_numpy(dtype=bool)]

    def close(self) -> None:
        """Let go of what was loaded."""
        self.batch_manager.batch_data_cache.clear()
        self._resolved.clear()

    def duplicates_table(self, rule: Condition) -> str:
        """Return the table of the keys that stand in several rows."""
        return self._facts.duplicates_table(rule)

    def get_domain_records(self, domain_kwargs: dict[str, Any]) -> pd.DataFrame:
        """Return the rows of a domain as pandas would have them, with the columns that the domain names."""
        columns = self._columns_of(domain_kwargs)
        if columns != self._loaded:
            self.load_batch_data(_BATCH, load_frame(self.rows, columns))
            self._loaded = columns
        frame: pd.DataFrame = super().get_domain_records(domain_kwargs)
        return frame

    def _needed(self, expectation: Expectation) -> list[MetricConfiguration]:
        try:
            direct = expectation.get_validation_dependencies(self, RUNTIME).get_metric_configurations()
            graph = MetricsCalculator(self).build_metric_dependency_graph(direct, RUNTIME)
        except (GreatExpectationsError, KeyError, TypeError, ValueError):
            return []  # the judge meets the same error, and reports it
        return [metric for edge in graph.edges for metric in (edge.left, edge.right) if metric is not None]

    def _has_answer(self, metric: MetricConfiguration) -> bool:
        name = metric.metric_name
        if name in {"table.columns", "table.column_types"} or name.endswith(_VALUES) or metric.id in self._unread:
            return True
        if metric.id in self._conditions:
            return not _is_series(name)
        if metric.id not in self._known:
            return False
        try:
            self._facts.value(self._known[metric.id])
        except KeyError:
            return False
        return True

    def _resolve(self, metric: MetricConfiguration, metrics: Mapping[Any, Any], runtime: dict[str, Any] | None) -> Any:
        name = metric.metric_name
        if name == "table.column_types":
            return [{"name": column, "type": kind} for column, kind in _stored_types(self.rows.schema).items()]
        if name == "table.columns":
            return self.rows.schema.names
        if name.endswith(_VALUES):
            return []
        if metric.id in self._unread:
            return None  # whoever would compute with it has its answer already, and crashes if it reads this
        if not self._has_answer(metric):
            return self._in_pandas(metric, metrics, runtime)
        if metric.id in self._known:
            return self._facts.value(self._known[metric.id])
        rule = self._conditions[metric.id]
        return self._facts.num_bad(rule) if name.endswith(_COUNT) else self._facts.num_judged(rule)

    def _in_pandas(
        self, metric: MetricConfiguration, metrics: Mapping[Any, Any], runtime: dict[str, Any] | None
    ) -> Any:
        columns = self._columns_of(metric.metric_domain_kwargs)
        try:
            if (num_values := len(columns) * self.rows.num_rows) > MAX_VALUES_IN_PANDAS:
                raise MetricResolutionError(
                    f"{metric.metric_name} is computed in memory, on at most {MAX_VALUES_IN_PANDAS} values; "
                    f"{len(columns)} columns of {self.rows.num_rows} rows are {num_values}",
                    [metric],
                )
            value = super().resolve_metrics([metric], dict(metrics), runtime)[metric.id]
        except MetricResolutionError as error:
            self._crashed[metric.id] = error
            raise
        self.in_pandas.add(metric.metric_name)
        return value

    def _columns_of(self, domain: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the columns that a domain names; a row condition may name any, by its text."""
        named = [domain.get(key) or () for key in COLUMN_KWARGS]
        wanted = {name for value in named for name in ([value] if isinstance(value, str) else value)}
        if domain.get("row_condition"):
            text = str(domain["row_condition"])
            wanted |= {name for name in self.rows.schema.names if name in text}
        return tuple(name for name in self.rows.schema.names if name in wanted)


def load_frame(rows: Rows, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return columns of all rows as a pandas frame, the way pandas reads Parquet; its index is the row number."""
    names = list(rows.schema.names if columns is None else columns)
    if not names:
        return pd.DataFrame(index=pd.RangeIndex(rows.num_rows))
    schema = pa.schema([rows.schema.field(name) for name in names])
    tables = [pq.read_table(path, columns=names, partitioning=None).cast(schema) for path in rows.paths]
    frame: pd.DataFrame = pa.concat_tables(tables).to_pandas(ignore_metadata=True, split_blocks=True)
    return frame


def _stored_types(schema: pa.Schema) -> dict[str, Any]:
    """Return the type of each column under the name that pandas has for it; a NULL in it makes no other type of it."""
    frame = schema.empty_table().to_pandas()
    return dict(zip(frame.columns, frame.dtypes, strict=True))


def _map_metric(name: str) -> str:
    """Return the row-level metric that a metric such as `column_values.between.unexpected_count` summarises.

    >>> _map_metric("column_values.between.unexpected_count"), _map_metric("column_values.between.condition")
    ('column_values.between', 'column_values.between')
    """
    for suffix in (_COUNT, _VALUES, ".filtered_row_count", ".condition"):
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return ""


def _is_series(name: str) -> bool:
    return name.endswith((".condition", ".map"))
