"""Rows from a query on any database that SQLAlchemy reaches, streamed from the server in batches."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from pipelines.data.sources.columns import check_columns
from pipelines.data.sources.values import as_array, type_of
from pipelines.data.windows import Bounds, bounds
from pipelines.errors import DataError, UsageError
from pipelines.records import Window
from pipelines.spec.source import SqlSource


def read_sql(source: SqlSource, window: Window) -> pa.RecordBatchReader:
    """Return the query's rows, ordered by time and key so that the same table always gives the same stream.

    The database cuts to the window where the time column is a timestamp there. Where it is text, as in SQLite, it would
    compare letters, and so is not asked to. A column's type is that of its values in the first batch; decimals become
    doubles, and what Arrow has no type for becomes text.

    Raises:
        UsageError: If the environment variable is not set, or its URL cannot be used.
        DataError: If the database does not answer the query, or a later value does not fit its column.
    """
    with ExitStack() as stack:
        engine = _engine(source.url_env)
        stack.callback(engine.dispose)
        try:
            connection = stack.enter_context(engine.connect())
            result = connection.execution_options(stream_results=True, max_row_buffer=source.batch_rows).execute(
                _question(connection, source, bounds(window)), _parameters(source, bounds(window))
            )
            names = list(result.keys())
            check_columns(names, [*source.key_columns], f"Query on {source.url_env}")
            batches = result.partitions(source.batch_rows)
            first = next(batches, [])
            schema = _schema(engine, source, window, names, first)
        except SQLAlchemyError as error:
            raise _failed(source, error) from error
        held = stack.pop_all()
    return pa.RecordBatchReader.from_batches(schema, _batches(first, batches, schema, source, held))


def _engine(url_env: str) -> sa.Engine:
    url = os.environ.get(url_env)
    if not url:
        raise UsageError(f"Environment variable {url_env} is not set; expected an SQLAlchemy URL. Nothing was read.")
    try:
        return sa.create_engine(url)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        reason = "it is no SQLAlchemy URL" if isinstance(error, ArgumentError) else str(error)
        raise UsageError(
            f"The URL in {url_env} cannot be used: {reason}. Nothing was read."
        ) from None  # it has secrets


def _question(connection: sa.Connection, source: SqlSource, span: Bounds) -> sa.Select[Any]:
    rows = _rows(source)
    order: list[sa.ColumnClause[Any]] = [
        sa.column(name) for name in dict.fromkeys([source.time_column, *source.key_columns]) if name
    ]
    question = sa.select(sa.text("*")).select_from(rows).order_by(*order)
    if source.time_column is None or span == (None, None):
        return question
    time: sa.ColumnClause[Any] = sa.column(source.time_column)
    example = connection.execute(
        sa.select(time).select_from(rows).where(time.is_not(None)).limit(1), _parameters(source, span)
    ).scalar_one_or_none()
    if not isinstance(example, datetime):
        return question
    start, end = (bound if bound is None or example.tzinfo is None else bound.replace(tzinfo=UTC) for bound in span)
    inside = sa.and_(
        *([time >= sa.literal(start, sa.DateTime(timezone=True))] if start else []),
        *([time < sa.literal(end, sa.DateTime(timezone=True))] if end else []),
    )
    return question.where(sa.or_(inside, time.is_(None)))


def _rows(source: SqlSource) -> sa.TextClause:
    return sa.text(f"({source.query.strip().rstrip(';')}) tandem_rows")


def _parameters(source: SqlSource, span: Bounds) -> dict[str, Any]:
    asked = _rows(source).compile().params
    return {name: value for name, value in zip(("start", "end"), span, strict=True) if name in asked}


def _schema(
    engine: sa.Engine, source: SqlSource, window: Window, names: Sequence[str], first: Sequence[sa.Row[Any]]
) -> pa.Schema:
    types = {}
    for position, name in enumerate(names):
        known = [row[position] for row in first if row[position] is not None]
        if not known and first:
            known = _first_known(engine, source, window, name)
        types[name] = type_of(known, name, f"Query on {source.url_env}")
    return pa.schema(types.items())


def _first_known(engine: sa.Engine, source: SqlSource, window: Window, name: str) -> list[Any]:
    column: sa.ColumnClause[Any] = sa.column(name)
    question = sa.select(column).select_from(_rows(source)).where(column.is_not(None)).limit(1)
    with engine.connect() as connection:
        return list(connection.execute(question, _parameters(source, bounds(window))).scalars())


def _batches(
    first: Sequence[sa.Row[Any]],
    batches: Iterator[Sequence[sa.Row[Any]]],
    schema: pa.Schema,
    source: SqlSource,
    held: ExitStack,
) -> Iterator[pa.RecordBatch]:
    origin = f"Query on {source.url_env}"
    with held:
        rows: Sequence[sa.Row[Any]] | None = first
        while rows:
            columns = zip(*rows, strict=True)
            arrays = [
                as_array(values, field.type, field.name, origin) for values, field in zip(columns, schema, strict=True)
            ]
            yield pa.record_batch(arrays, schema=schema)
            try:
                rows = next(batches, None)
            except SQLAlchemyError as error:
                raise _failed(source, error) from error


def _failed(source: SqlSource, error: SQLAlchemyError) -> DataError:
    reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    return DataError(f"The query on {source.url_env} failed: {reason.rstrip('.')}. Nothing was ingested.")
