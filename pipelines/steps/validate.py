"""Judge a run's partitions by the spec's expectations, set bad rows aside, and stop the run when too much is wrong."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.data.partitions import content_folder, store_partition
from pipelines.data.quality import outcome
from pipelines.data.quality.findings import Finding, RowTest
from pipelines.data.quality.pictures import draw, sample
from pipelines.data.quality.quarantine import EXAMPLES, Separated, separate
from pipelines.data.quality.report import Examples, Report, render, report_key
from pipelines.data.quality.rows import Rows, open_rows
from pipelines.data.quality.suite import build_suite, check_names, named_columns
from pipelines.errors import CheckBroken, DataError, QualityFailed
from pipelines.records import Ingested, Partition, Validated
from pipelines.spec import ModelSpec
from pipelines.steps.context import Context
from pipelines.store import Store
from pipelines.store.verified import fetch_verified

_MOST_WRITERS = 4


def validate(context: Context, ingested: Ingested) -> Validated:
    """Return the partitions without their bad rows, after quarantine and report are written.

    A partition without bad rows stays the object that it is. Great Expectations is the judge.

    Raises:
        QualityFailed: If a check failed, or more rows are bad than the spec allows.
        CheckBroken: If a check crashed, or quarantine holds other rows than Great Expectations counted. As with
            `QualityFailed`, the error's `report_key` names the report.
        DataError: If there is nothing to judge, or the partitions differ in their columns.
        SpecError: If one of the spec's expectations is none.
        IntegrityError: If a partition is not the one that was ingested.
    """
    spec, quality = context.spec, context.spec.quality
    if not ingested.partitions:
        raise DataError(f"{spec.name}: there is no partition from {ingested.source}. Nothing was checked or trained.")
    suite = build_suite(quality, f"config/models/{spec.name}.yaml")
    from pipelines.data.quality.judge import judge  # seconds, and only here

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tandem-")))
        files = {
            one.name: stack.enter_context(fetch_verified(context.store, one.key, one.content_sha256))
            for one in ingested.partitions
        }
        rows = stack.enter_context(open_rows(files, folder))
        findings = judge(rows, suite)
        kept = _separate(context, rows, ingested.partitions, _row_tests(context, findings), folder)
        sampled = sample(rows)
        pictures, columns = draw(rows, sampled), rows.schema.names
    names = check_names(quality)
    findings = outcome.with_quarantine(quality, names, findings, kept.num_bad_by_check)
    checks = outcome.check_results(quality, names, findings, columns)
    shown = _shown_columns(spec, columns)
    examples = {name: [_cut(row, shown[name]) for row in found] for name, found in kept.examples.items()}
    broken = outcome.broken_reasons(checks)
    refused = outcome.refused_reasons(quality, checks, findings, kept.num_bad, ingested.num_rows)
    report = Report(
        model=spec.name,
        outcome="broken" if broken else "refused" if refused else "passed",
        reasons=(*broken, *(reason.text for reason in refused)),
        window=ingested.window,
        raw=ingested.partitions,
        num_bad_by_partition={one.name: one.num_rows for one in kept.quarantined},
        num_rows_in=ingested.num_rows,
        num_rows_bad=kept.num_bad,
        max_quarantined_share=quality.max_quarantined_share,
        checks=checks,
        examples=[Examples.of(name, found) for name, found in examples.items() if found],
        pictures=pictures,
        num_rows_sampled=sampled.num_rows,
    )
    key = report_key(spec, ingested.partitions)
    context.store.write(key, render(report).encode())
    _refuse(context, key, broken, [reason.with_examples(examples) for reason in refused], kept.num_bad)
    return Validated(
        model=spec.name,
        window=ingested.window,
        raw=ingested.partitions,
        prepared_from=ingested.prepared_from,
        partitions=kept.partitions,
        quarantined=kept.quarantined,
        num_rows_in=ingested.num_rows,
        num_rows_bad=kept.num_bad,
        checks=checks,
        report_key=key,
    )


@dataclass(frozen=True)
class _Kept:
    partitions: tuple[Partition, ...]
    quarantined: tuple[Partition, ...]
    num_bad_by_check: Mapping[str, int]
    examples: Mapping[str, Sequence[Mapping[str, Any]]]

    @property
    def num_bad(self) -> int:
        return sum(partition.num_rows for partition in self.quarantined)


def _row_tests(context: Context, findings: Sequence[Finding]) -> dict[str, RowTest]:
    """Return what sets rows aside, by the name of its check: a warning does not."""
    quality = context.spec.quality
    return {
        name: finding.rows
        for name, spec, finding in zip(check_names(quality), quality.expectations, findings, strict=True)
        if spec.severity == "critical" and finding.num_bad and finding.rows is not None
    }


def _separate(
    context: Context, rows: Rows, partitions: Sequence[Partition], tests: Mapping[str, RowTest], folder: Path
) -> _Kept:
    def one(number: int) -> tuple[Partition, Partition | None, Separated | None]:
        raw = partitions[number]
        parts = separate(rows, number, tests, folder)
        if parts is None:
            return raw, None, None
        model = context.spec.name
        clean = _moved(context.store, content_folder(model, "clean", raw.name), raw.name, parts.clean)
        bad = _moved(context.store, content_folder(model, "quarantine", raw.name), raw.name, parts.bad)
        return clean, bad, parts

    with ThreadPoolExecutor(min(_MOST_WRITERS, os.cpu_count() or 1)) as pool:
        done = list(pool.map(one, range(len(partitions))))
    counted: Counter[str] = Counter()
    examples: dict[str, list[Mapping[str, Any]]] = {name: [] for name in tests}
    for _, _, parts in done:
        for name, count in parts.num_bad_by_check.items() if parts else ():
            counted[name] += count
            examples[name] += parts.examples[name][: EXAMPLES - len(examples[name])] if parts else []
    return _Kept(tuple(clean for clean, _, _ in done), tuple(bad for _, bad, _ in done if bad), counted, examples)


def _moved(store: Store, folder: str, name: str, path: Path) -> Partition:
    partition = store_partition(store, folder, name, path)
    path.unlink()
    return partition


def _shown_columns(spec: ModelSpec, columns: Sequence[str]) -> dict[str, list[str]]:
    """Return for each check the columns that tell most of a row: those it judges, and those that say which it is."""
    time = [spec.source.time_column] if spec.source.time_column else []
    return {
        name: [column for column in [*named_columns(each.kwargs), *spec.source.key_columns, *time] if column in columns]
        for name, each in zip(check_names(spec.quality), spec.quality.expectations, strict=True)
    }


def _cut(row: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    return {column: row[column] for column in columns}


def _refuse(context: Context, key: str, broken: Sequence[str], refused: Sequence[str], num_bad: int) -> None:
    """Raise what the reasons call for, if there are any."""
    if not broken and not refused:
        return
    end = f"Nothing was trained; {num_bad:,} rows are in quarantine, the report is {context.store.root}/{key}."
    error = (
        CheckBroken(f"{context.spec.name}: whether the data is good is not known. {outcome.shortened(broken)}. {end}")
        if broken
        else QualityFailed(f"{context.spec.name}: the data is refused. {outcome.shortened(refused)}. {end}")
    )
    error.report_key = key
    raise error
