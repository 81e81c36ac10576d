"""Where a model's data comes from, and how it is cut into partitions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from pipelines.spec.base import Column, Section

PartitionBy = Literal["day", "month", "year", "none"]


class _Source(Section):
    time_column: Column | None = Field(None, description="Timestamp or date that places a row in its partition.")
    partition_by: PartitionBy = Field("month", description="Length of one partition; 'none' makes one of all rows.")
    key_columns: tuple[Column, ...] = Field((), description="Columns that together identify a row.")


class FilesSource(_Source):
    """CSV, Parquet or JSONL files, local or on S3, named by globs."""

    type: Literal["files"] = Field(description="Files on a disk or on S3.")
    paths: tuple[str, ...] = Field(min_length=1, description="Local globs, or s3://bucket/key globs.")
    format: Literal["csv", "parquet", "jsonl"] = Field(description="What is in the files.")
    delimiter: str = Field(",", min_length=1, max_length=1, description="CSV only.")
    null_values: tuple[str, ...] = Field(("",), description="CSV only: texts that mean that a value is missing.")
    column_types: dict[Column, str] = Field(
        default_factory=dict, description="DuckDB types by column, for CSV and JSONL; a column left out is sniffed."
    )


class SqlSource(_Source):
    """A query on any database that SQLAlchemy reaches."""

    type: Literal["sql"] = Field(description="A database.")
    url_env: str = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Name of the environment variable that holds the SQLAlchemy URL: secrets stay out of files.",
    )
    query: str = Field(min_length=1, description="A SELECT; :start and :end, where used, get the window's bounds.")
    batch_rows: int = Field(50_000, ge=1, le=10_000_000, description="Rows held in memory at once.")


class PythonSource(_Source):
    """A named Python function that yields Arrow record batches."""

    type: Literal["python"] = Field(description="A function.")
    callable: str = Field(
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$",
        description="'package.module:function'; called with a Window and the arguments, gives a RecordBatchReader.",
    )
    arguments: dict[str, Any] = Field(default_factory=dict, description="Its keyword arguments.")


Source = Annotated[FilesSource | SqlSource | PythonSource, Field(discriminator="type")]


class Holdout(Section):
    """Which rows no training ever sees."""

    by: Literal["time", "key"] = Field(description="What decides on which side of the cut a row is.")
    last_days: int | None = Field(None, ge=1, le=3650, description="by time: the last days of the window.")
    share: float | None = Field(None, gt=0.0, lt=0.9, description="by key: the share of keys, chosen by their hash.")
    salt: str = Field("tandem", description="by key: changes which keys are chosen.")
