"""Turn a language model's rows into conversations of one form, with what quality is judged by beside them."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.data.parquet import ParquetWriter, open_parquet
from pipelines.data.partitions import content_folder, store_partition
from pipelines.errors import DataError
from pipelines.llm.corpus.batches import bounded
from pipelines.llm.corpus.duplicates import Duplicates
from pipelines.llm.corpus.findings import Findings
from pipelines.llm.corpus.preparing import Preparer, grouped
from pipelines.llm.corpus.report import render
from pipelines.llm.packing.encoding import ChatEncoder
from pipelines.llm.pretrained import open_pretrained
from pipelines.records import Ingested, Partition, sha256_of
from pipelines.spec import LlmSpec
from pipelines.steps.context import Context
from pipelines.store import Store
from pipelines.store.verified import fetch_verified

LOG = logging.getLogger(__name__)

BATCH_ROWS = 1024


def prepare(context: Context[LlmSpec], ingested: Ingested) -> Ingested:
    """Return the rows as conversations, in partitions of the same names and order, and what was found in them.

    No row is left out here: Great Expectations judges the derived columns, and sets aside. Memory is bounded by a batch
    of rows and some 700 bytes a conversation, for the duplicates.

    Raises:
        DataError: If a column can hold no conversation, or no row holds one.
        UsageError: If the pretrained model, its chat template or a setting of the corpus cannot be used.
        IntegrityError: If a partition is not the one that was ingested.
    """
    spec = context.spec
    pretrained = open_pretrained(spec.pretrained, context.environment.home)
    preparer = Preparer(spec, ChatEncoder(pretrained.folder))
    with tempfile.TemporaryDirectory(prefix="tandem-") as scratch:
        folder = Path(scratch)
        told = [_told(context.store, preparer, one, folder) for one in ingested.partitions]
        duplicates = preparer.duplicates()
        findings = Findings(spec, ingested, preparer.findings)
        partitions = []
        start = 0
        for raw, path in zip(ingested.partitions, told, strict=True):
            partitions.append(_written(context.store, spec.name, raw, path, duplicates, start, findings))
            start += raw.num_rows
    if not findings.num_readable:
        raise DataError(
            f"{spec.name}: none of {ingested.num_rows:,} rows holds a conversation in the form {spec.corpus.form!r}; "
            f"the first is {findings.first_unreadable!r}. Nothing was trained."
        )
    # the model's own name is in the key's hash: another tokenizer counts other tokens
    identity = [spec.corpus.model_dump(mode="json"), pretrained.sha256, [one.to_dict() for one in partitions]]
    report_key = f"{spec.name}/reports/corpus/{sha256_of(identity)}.html"
    context.store.write(report_key, render(findings.report()).encode())
    return ingested.model_copy(
        update={
            "partitions": tuple(partitions),
            "num_rows": sum(one.num_rows for one in partitions),
            "prepared_from": ingested.partitions,
            "report_key": report_key,
        }
    )


def _told(store: Store, preparer: Preparer, raw: Partition, folder: Path) -> Path:
    """Write what each row of a partition tells by itself to a local file, and return it."""
    path = folder / f"{raw.name}.told.parquet"
    with fetch_verified(store, raw.key, raw.content_sha256) as source, open_parquet(source) as file:
        writer: pq.ParquetWriter | None = None
        start = 0
        for batch in bounded(file.iter_batches(batch_size=BATCH_ROWS)):
            rows = preparer.told(batch, raw.name, start)
            writer = writer or pq.ParquetWriter(path, rows.schema, compression="lz4")
            writer.write_batch(rows)
            start += batch.num_rows
            LOG.info("Prepared %s of %s rows of partition %s", f"{start:,}", f"{raw.num_rows:,}", raw.name)
        if writer is None:
            raise DataError(f"Partition {raw.name!r} has no rows. Nothing was prepared.")
        writer.close()
    return path


def _written(
    store: Store, model: str, raw: Partition, told: Path, duplicates: Duplicates, start: int, findings: Findings
) -> Partition:
    path = told.with_name(f"{raw.name}.parquet")
    batches = _with_groups(told, duplicates, start)
    first = next(batches)
    with ParquetWriter(path, first.schema) as writer:
        for batch in (first, *batches):
            findings.add(batch)
            writer.write(batch)
    told.unlink()
    partition = store_partition(store, content_folder(model, "prepared", raw.name), raw.name, path)
    path.unlink()
    return partition


def _with_groups(told: Path, duplicates: Duplicates, start: int) -> Iterator[pa.RecordBatch]:
    with open_parquet(told) as file:
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            yield grouped(batch, duplicates, start)
            start += batch.num_rows
