"""Compute profiles from Parquet files and Arrow tables, a column of a row group in memory at a time in each thread."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.data.moments import moments_of
from pipelines.data.parquet import ROW_GROUP_ROWS, open_parquet
from pipelines.data.profiles import ColumnProfile, Family, NumberProfile, Profile, TextProfile, merge_columns
from pipelines.data.quantiles import BUFFER_POINTS, QuantileSummary, merge_summaries, summarise
from pipelines.data.sketches import DistinctSketch, FrequentSketch
from pipelines.data.words import count_words, is_writing
from pipelines.records import number_or_none

NUM_THREADS = 2

Chunks = Iterable[pa.Array]
Floats = npt.NDArray[np.float64]


def profile_parquet(path: Path) -> Profile:
    """Return the profile of a Parquet file."""
    metadata = pq.read_metadata(path)
    schema = pq.read_schema(path)
    texts = [field.name for field in schema if _family(field.type) == "text"]

    def chunks(name: str) -> Iterator[pa.Array]:
        lists = [name] if name in texts else []  # a text is then counted by its place in a list of them
        with open_parquet(path, metadata, lists) as file:
            for batch in file.iter_batches(batch_size=ROW_GROUP_ROWS, columns=[name], use_threads=False):
                yield batch.column(0)

    return _profile(schema, metadata.num_rows, chunks)


def profile_table(table: pa.Table, writing: Collection[str] = ()) -> Profile:
    """Return the profile of a table in memory; the words of the columns `writing` are counted however few differ."""

    def chunks(name: str) -> Iterator[pa.Array]:
        for batch in table.select([name]).combine_chunks().to_batches(max_chunksize=ROW_GROUP_ROWS):
            yield batch.column(0)

    return _profile(table.schema, table.num_rows, chunks, writing)


def _profile(
    schema: pa.Schema, num_rows: int, chunks: Callable[[str], Chunks], writing: Collection[str] = ()
) -> Profile:
    def profiled(field: pa.Field) -> ColumnProfile:
        return _profile_column(field, chunks(field.name), True if field.name in writing else None)

    with ThreadPoolExecutor(NUM_THREADS) as pool:  # nearly all of the work is done outside of Python's lock
        columns = tuple(pool.map(profiled, schema))
    return Profile(num_rows=num_rows, columns=columns)


def _profile_column(field: pa.Field, chunks: Chunks, with_words: bool | None) -> ColumnProfile:
    """Return a column's profile; the first chunk that has a value says whether words are counted in all of them."""
    family, empty = _family(field.type), pa.array([], field.type)
    parts = list[ColumnProfile]()
    for chunk in chunks:
        parts.append(_profile_chunk(field.name, family, chunk, with_words))
        if with_words is None and parts[-1].text is not None:
            with_words = parts[-1].text.words is not None
    return merge_columns(parts or [_profile_chunk(field.name, family, empty, with_words)])


def _family(kind: pa.DataType) -> Family:
    if pa.types.is_dictionary(kind):
        return _family(kind.value_type)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "time"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    return "boolean" if pa.types.is_boolean(kind) else "other"


def _profile_chunk(name: str, family: Family, chunk: pa.Array, with_words: bool | None) -> ColumnProfile:
    values = chunk.drop_null()
    values = values if family == "text" else _decoded(values)
    distinct, num_not_finite = DistinctSketch(), 0
    number: NumberProfile | None = None
    text: TextProfile | None = None
    if len(values) and family in ("number", "time"):
        floats = _as_floats(values)
        is_finite = np.isfinite(floats)
        finite = (floats if is_finite.all() else floats[is_finite]) + 0.0  # -0.0 becomes 0.0: one value, not two
        num_not_finite = floats.size - finite.size
        number = _profile_numbers(finite, distinct)
    elif len(values) and family in ("text", "boolean"):
        text = _profile_texts(values, distinct, with_words and family == "text")
    return ColumnProfile(
        name=name,
        family=family if len(values) else "empty",
        num_rows=len(chunk),
        num_nulls=chunk.null_count,
        num_not_finite=num_not_finite,
        distinct=distinct.encode(),
        number=number,
        text=text,
    )


def _decoded(values: pa.Array) -> pa.Array:
    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


def _is_plain_list(dictionary: pa.Array) -> bool:
    """Tell whether each value is in the dictionary once, as the reader of Parquet makes it."""
    return not dictionary.null_count and len(dictionary.unique()) == len(dictionary)


def _as_floats(values: pa.Array) -> Floats:
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        zone = values.type.tz if pa.types.is_timestamp(values.type) else None
        values = values.cast(pa.timestamp("us", zone), safe=False).cast(pa.int64())
    return np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))


def _profile_numbers(finite: Floats, distinct: DistinctSketch) -> NumberProfile:
    exact = summarise(finite, points=max(finite.size, 1))
    distinct.update(exact.values.tolist())
    moments = moments_of(finite)
    return NumberProfile(
        count=finite.size,
        minimum=float(exact.values[0]) if finite.size else None,
        maximum=float(exact.values[-1]) if finite.size else None,
        mean=number_or_none(moments.mean) if finite.size else None,
        m2=number_or_none(moments.m2) if finite.size else None,
        quantiles=merge_summaries([exact], BUFFER_POINTS).encode(),
    )


def _profile_texts(values: pa.Array, distinct: DistinctSketch, with_words: bool | None) -> TextProfile:
    if pa.types.is_dictionary(values.type) and not _is_plain_list(values.dictionary):
        values = values.dictionary_decode()
    found, counts = pc.value_counts(values).flatten()
    texts = _decoded(found).cast(pa.large_string())  # a boolean becomes 'true' or 'false'
    order = pc.sort_indices(texts)
    texts, counts = texts.take(order), counts.take(order)
    lengths, frequent = pc.utf8_length(texts), FrequentSketch()
    distinct.update(texts.to_pylist())
    frequent.update(texts.to_pylist(), counts.to_pylist())
    if with_words is None:
        with_words = is_writing(texts, len(values))
    return TextProfile(
        count=len(values),
        shortest=pc.min(lengths).as_py(),
        longest=pc.max(lengths).as_py(),
        total_length=pc.sum(pc.multiply(lengths.cast(pa.int64()), counts)).as_py(),
        frequent=frequent.encode(),
        lengths=_lengths(np.asarray(lengths, np.float64), np.asarray(counts, np.int64)).encode(),
        words=count_words(texts, np.asarray(counts, np.int64)).encode() if with_words else None,
    )


def _lengths(lengths: Floats, counts: npt.NDArray[np.int64]) -> QuantileSummary:
    values, places = np.unique(lengths, return_inverse=True)
    weights = np.bincount(places, weights=counts, minlength=values.size).astype(np.int64)
    return merge_summaries([QuantileSummary(values, weights, 0)], BUFFER_POINTS)
