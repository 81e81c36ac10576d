"""Keep what models answered, a row each, under the hash of the file's bytes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa

from pipelines.data.parquet import ParquetWriter
from pipelines.store import Store
from pipelines.store.verified import file_sha256, upload_once


def write_predictions(store: Store, model: str, table: pa.Table) -> tuple[str, str]:
    """Put the table at `<model>/predictions/<sha256>.parquet`, once; return key and hash."""
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        path = Path(folder) / "predictions.parquet"
        with ParquetWriter(path, table.schema) as writer:
            writer.write(table)
        sha256 = file_sha256(path)
        key = f"{model}/predictions/{sha256}.parquet"
        upload_once(store, key, path)
    return key, sha256
