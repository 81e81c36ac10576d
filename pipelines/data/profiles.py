"""Describe the columns of a partition by statistics that merge: what a month looks like, in a few kilobytes a column.

A profile is a frozen record with a format version; monitoring compares profiles and never reads the training rows
again. The same rows give the same profile, bit for bit, on any machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer

from pipelines.data.embeddings import EmbeddingProfile, merge_embeddings
from pipelines.data.moments import Moments, merge_moments
from pipelines.data.quantiles import QuantileSummary, merge_summaries
from pipelines.data.sketches import DistinctSketch, FrequentSketch, WordSketch
from pipelines.errors import DataError
from pipelines.records import Record, number_or_none

FORMAT_VERSION = 1

Family = Literal["number", "time", "text", "boolean", "empty", "other"]


class NumberProfile(Record):
    """Finite numbers; times are microseconds since 1970. `mean` and `m2` are None where they leave a double's range.

    `m2` is the sum of squared deviations from the mean, `quantiles` an encoded `QuantileSummary`.
    """

    count: int
    minimum: float | None
    maximum: float | None
    mean: float | None
    m2: float | None
    quantiles: str

    @property
    def variance(self) -> float | None:
        """The sample variance; None with fewer than two rows."""
        return None if self.m2 is None or self.count < 2 else self.m2 / (self.count - 1)

    @property
    def summary(self) -> QuantileSummary:
        """The distribution."""
        return QuantileSummary.decode(self.quantiles)


class TextProfile(Record):
    """Texts, and booleans as 'true' and 'false': their lengths in characters and the frequent ones.

    `lengths` is an encoded `QuantileSummary`; None in a profile that was stored before lengths were summarised.
    `words` is an encoded `WordSketch` of writing: the rows that hold each word; None of categories, and in a profile
    that was stored before words were counted. `embedding` is what the texts are about, where a model reads them.
    """

    count: int
    shortest: int | None
    longest: int | None
    total_length: int
    frequent: str
    lengths: str | None = None
    words: str | None = None
    embedding: EmbeddingProfile | None = None

    @model_serializer(mode="wrap")
    def _without_what_is_not_there(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A profile from before words were counted keeps its hash, and so does that of categories."""
        said: dict[str, Any] = handler(self)
        return {key: value for key, value in said.items() if value is not None or key not in ("words", "embedding")}

    def top(self, limit: int = 20) -> list[tuple[str, int]]:
        """Return the most frequent values, cut to 80 characters, and the rows that hold each."""
        return FrequentSketch.merged([self.frequent]).top(limit)


class ColumnProfile(Record):
    """One column. `num_not_finite` counts NaN and infinities, which are no nulls and in no other statistic."""

    name: str
    family: Family
    num_rows: int
    num_nulls: int
    num_not_finite: int = 0
    distinct: str
    number: NumberProfile | None = None
    text: TextProfile | None = None

    @property
    def num_distinct(self) -> float:
        """The estimated number of distinct values, within about 1.6 % (one standard error)."""
        return DistinctSketch.merged([self.distinct]).estimate


class Profile(Record):
    """All columns of one or more partitions."""

    version: int = FORMAT_VERSION
    num_rows: int
    columns: tuple[ColumnProfile, ...]

    def column(self, name: str) -> ColumnProfile:
        """Return one column's profile. Raises `DataError` when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise DataError(f"The profile has no column {name!r}: it has {[column.name for column in self.columns]}.")


def with_columns(profile: Profile, columns: Sequence[ColumnProfile]) -> Profile:
    """Return a profile with `columns` in the place of those of their names, or after all others."""
    given = {column.name: column for column in columns}
    kept = [given.pop(column.name, column) for column in profile.columns]
    return profile.model_copy(update={"columns": (*kept, *given.values())})


def merge_profiles(profiles: Sequence[Profile]) -> Profile:
    """Return the profile of all rows together. Merge many at once where possible: see `merge_summaries`.

    Counts, extremes and, up to 768 distinct values, frequent values are exact; quantiles stay within the bound that the
    summary carries; mean and variance differ from one pass over all rows by rounding only.

    Raises:
        DataError: If there is none, a format version is not this one, or columns differ in name or family.
    """
    if not profiles:
        raise DataError("There are no profiles to merge: 0 given, at least 1 needed.")
    for profile in profiles:
        if profile.version != FORMAT_VERSION:
            raise DataError(f"A profile has format version {profile.version}; only {FORMAT_VERSION} can be merged.")
    names = [column.name for column in profiles[0].columns]
    for profile in profiles[1:]:
        if odd := set(names) ^ {column.name for column in profile.columns}:
            raise DataError(f"Profiles to be merged differ in their columns: {sorted(odd)} stand in one of them only.")
    columns = tuple(merge_columns([profile.column(name) for profile in profiles]) for name in names)
    return Profile(num_rows=sum(profile.num_rows for profile in profiles), columns=columns)


def merge_columns(parts: Sequence[ColumnProfile]) -> ColumnProfile:
    """Return the profile of one column over all parts; a part without any value takes the others' family."""
    families = {part.family for part in parts} - {"empty"}
    if len(families) > 1:
        raise DataError(f"Column {parts[0].name!r} is {' in one profile and '.join(sorted(families))} in another.")
    numbers = [part.number for part in parts if part.number is not None]
    texts = [part.text for part in parts if part.text is not None]
    return ColumnProfile(
        name=parts[0].name,
        family=families.pop() if families else "empty",
        num_rows=sum(part.num_rows for part in parts),
        num_nulls=sum(part.num_nulls for part in parts),
        num_not_finite=sum(part.num_not_finite for part in parts),
        distinct=DistinctSketch.merged([part.distinct for part in parts]).encode(),
        number=_merge_numbers(numbers) if numbers else None,
        text=_merge_texts(texts) if texts else None,
    )


def _merge_numbers(parts: Sequence[NumberProfile]) -> NumberProfile:
    nan = float("nan")
    moments = merge_moments(
        Moments(part.count, nan if part.mean is None else part.mean, nan if part.m2 is None else part.m2)
        for part in parts
    )
    return NumberProfile(
        count=moments.count,
        minimum=min((part.minimum for part in parts if part.minimum is not None), default=None),
        maximum=max((part.maximum for part in parts if part.maximum is not None), default=None),
        mean=number_or_none(moments.mean) if moments.count else None,
        m2=number_or_none(moments.m2) if moments.count else None,
        quantiles=merge_summaries([part.summary for part in parts]).encode(),
    )


def _merge_texts(parts: Sequence[TextProfile]) -> TextProfile:
    lengths = [part.lengths for part in parts if part.lengths is not None]
    words = [part.words for part in parts if part.words is not None]
    return TextProfile(
        count=sum(part.count for part in parts),
        shortest=min((part.shortest for part in parts if part.shortest is not None), default=None),
        longest=max((part.longest for part in parts if part.longest is not None), default=None),
        total_length=sum(part.total_length for part in parts),
        frequent=FrequentSketch.merged([part.frequent for part in parts]).encode(),
        lengths=merge_summaries([QuantileSummary.decode(text) for text in lengths]).encode()
        if len(lengths) == len(parts)
        else None,
        words=WordSketch.merged(words).encode() if len(words) == len(parts) else None,
        embedding=merge_embeddings([part.embedding for part in parts]),
    )
