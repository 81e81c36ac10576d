"""Turn the expectations of a spec into Great Expectations' own, and say what is wrong with those that cannot be.

`expectation_problems` reads the vocabulary only and is quick; `build_suite` imports Great Expectations.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pipelines.data.quality.vocabulary import TYPES_FOR_DATABASES_ONLY, ExpectationType, expectation_types
from pipelines.errors import Problem, SpecError
from pipelines.spec.quality import ExpectationSpec, Quality

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

COLUMN_KWARGS = ("column", "column_A", "column_B", "column_list")

# These judge which columns there are, and so may name one that is not there.
_ABOUT_COLUMNS = frozenset({"expect_column_to_exist", "expect_table_columns_to_match_ordered_list"})


@dataclass(frozen=True)
class ExpectationProblem:
    """One thing wrong with an expectation; `path` leads to it from the root of the spec, as pydantic writes a `loc`."""

    path: tuple[str | int, ...]
    found: str
    allowed: str

    def in_file(self, file: str, line: int | None = None) -> Problem:
        """Return it as a problem of that file."""
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path).removeprefix(".")
        return Problem(file, line, key, self.found, self.allowed)


def expectation_problems(quality: Quality, columns: Sequence[str] | None = None) -> list[ExpectationProblem]:
    """Return all that is wrong with a spec's expectations, without importing Great Expectations.

    Args:
        quality: The section `quality` of a model spec.
        columns: Names of the data's columns, where they are known; a name that is none of them is a problem.

    Returns:
        Unknown types and kwargs with their nearest match, kwargs that are missing or of a wrong type, unknown columns.
    """
    return [
        ExpectationProblem(("quality", "expectations", index, *path), found, allowed)
        for index, expectation in enumerate(quality.expectations)
        for path, found, allowed in _problems(expectation, columns)
    ]


def build_suite(quality: Quality, file: str) -> list[Expectation]:
    """Return the expectations as Great Expectations' own objects, in the spec's order.

    Args:
        quality: The section `quality` of a model spec.
        file: The spec's file, for messages.

    Raises:
        SpecError: If one of them is no expectation, with every problem that there is.
    """
    problems = [problem.in_file(file) for problem in expectation_problems(quality)]
    if problems:
        raise SpecError(problems)
    from pipelines.data.quality.library import ValidationError, get_expectation_impl

    suite = []
    for index, spec in enumerate(quality.expectations):
        try:
            suite.append(get_expectation_impl(spec.type)(**_given(spec.kwargs)))
        except (ValidationError, TypeError, ValueError) as error:
            reason = "; ".join(line.strip() for line in str(error).splitlines()[1:3]) or str(error)
            found = f"{spec.type} with {dict(spec.kwargs)!r}"
            problems.append(ExpectationProblem(("quality", "expectations", index), found, reason).in_file(file))
    if problems:
        raise SpecError(problems)
    return suite


def check_names(quality: Quality) -> list[str]:
    """Return a short name for each expectation, unlike every other; it is what `reasons` holds in quarantine.

    >>> kwargs = {"column": "distance", "min_value": 0}
    >>> check_names(Quality(expectations=(ExpectationSpec(type="expect_column_values_to_be_between", kwargs=kwargs),)))
    ['values_to_be_between(distance)']
    """
    names: list[str] = []
    seen: Counter[str] = Counter()
    for spec in quality.expectations:
        name = f"{spec.type.removeprefix('expect_').removeprefix('column_')}({', '.join(named_columns(spec.kwargs))})"
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return names


def named_columns(kwargs: Mapping[str, Any]) -> list[str]:
    """Return the columns that an expectation's kwargs name, in order."""
    found = [kwargs[kwarg] for kwarg in COLUMN_KWARGS if kwargs.get(kwarg)]
    return [str(name) for value in found for name in ([value] if isinstance(value, str) else value)]


def _problems(
    expectation: ExpectationSpec, columns: Sequence[str] | None
) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    kind = expectation_types().get(expectation.type)
    if kind is None:
        if expectation.type in TYPES_FOR_DATABASES_ONLY:
            yield ("type",), repr(expectation.type), "an expectation that can be judged on files; this needs a database"
        else:
            yield ("type",), repr(expectation.type), nearest(expectation.type, list(expectation_types()))
        return
    given = _given(expectation.kwargs)
    for kwarg in kind.required:
        if kwarg not in given:
            yield ("kwargs",), f"no {kwarg!r}", f"{expectation.type} needs {', '.join(map(repr, kind.required))}"
    for kwarg, value in given.items():
        if kwarg not in kind.schemas:
            yield ("kwargs", kwarg), repr(kwarg), nearest(kwarg, list(kind.schemas))
        elif (reason := kind.value_problem(kwarg, value)) is not None:
            yield ("kwargs", kwarg), repr(value), reason
    yield from _bound_problems(kind, given)
    yield from _regex_problems(given)
    if columns is not None and expectation.type not in _ABOUT_COLUMNS:
        for name in named_columns(given):
            if name not in columns:
                yield ("kwargs",), f"column {name!r}", nearest(name, list(columns))


def _bound_problems(
    kind: ExpectationType, given: Mapping[str, Any]
) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    if not kind.name.endswith("_to_be_between") or "min_value" not in kind.schemas:
        return
    low, high = given.get("min_value"), given.get("max_value")
    if low is None and high is None:
        yield ("kwargs",), "neither 'min_value' nor 'max_value'", "at least one of them"
    elif isinstance(low, int | float) and isinstance(high, int | float) and low > high:
        yield ("kwargs", "min_value"), repr(low), f"at most max_value, which is {high!r}"


def _regex_problems(given: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    patterns = [("regex", given.get("regex")), *(("regex_list", item) for item in given.get("regex_list") or ())]
    for kwarg, pattern in patterns:
        if isinstance(pattern, str):
            try:
                re.compile(pattern)
            except re.error as error:
                yield ("kwargs", kwarg), repr(pattern), f"a regular expression; {error}"


def nearest(name: str, allowed: Sequence[str]) -> str:
    """Return what to offer for a name that is not allowed: its nearest match, or all there is.

    >>> nearest("colum", ["column", "mostly"])
    "did you mean 'column'?"
    """
    matches = get_close_matches(name, allowed, n=1)
    return f"did you mean {matches[0]!r}?" if matches else f"one of {', '.join(sorted(allowed))}"


def _given(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is null: in YAML that is the same as not there."""
    return {kwarg: value for kwarg, value in kwargs.items() if value is not None}
