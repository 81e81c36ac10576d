from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.data.quality.rows import Rows, open_rows
from pipelines.data.quality.suite import build_suite
from pipelines.spec.model import ClassicSpec
from pipelines.spec.quality import ExpectationSpec, Quality


@pytest.fixture(scope="session")
def quality_of() -> Callable[..., Quality]:
    """Make a spec's quality section; each expectation is its type without 'expect_' and its kwargs."""

    def make(*expectations: tuple[str, dict[str, Any]], **settings: Any) -> Quality:
        specs = tuple(ExpectationSpec(type=f"expect_{kind}", kwargs=kwargs) for kind, kwargs in expectations)
        return Quality(expectations=specs, **settings)

    return make


@pytest.fixture(scope="session")
def with_rows() -> Callable[..., Any]:
    """Call a function with tables opened as the rows of one run, each table a Parquet file."""

    def call(parts: Sequence[pa.Table], function: Callable[[Rows], Any]) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            files = {str(number): Path(folder) / f"{number}.parquet" for number in range(len(parts))}
            for path, part in zip(files.values(), parts, strict=True):
                pq.write_table(part, path)
            with open_rows(files, Path(folder)) as rows:
                return function(rows)

    return call


@pytest.fixture(scope="session")
def findings_of(with_rows: Callable[..., Any]) -> Callable[..., Any]:
    """Judge tables, each of them a Parquet file, the way the step does."""
    from pipelines.data.quality.judge import judge

    def find(parts: Sequence[pa.Table], quality: Quality) -> Any:
        return with_rows(parts, lambda rows: judge(rows, build_suite(quality, "spec.yaml")))

    return find


@pytest.fixture(scope="session")
def spec() -> ClassicSpec:
    """A spec of a model named `tiny`, without expectations."""
    return ClassicSpec.model_validate(
        {
            "kind": "classic",
            "name": "tiny",
            "description": "Tells whether y follows from x.",
            "source": {"type": "files", "paths": ["rows.csv"], "format": "csv", "key_columns": ["id"]},
            "holdout": {"by": "key", "share": 0.5},
            "training": {"task": "binary", "target": "y", "features": ["x"], "budget": {"trials": 1}},
            "gates": {"rules": [{"metric": "roc_auc", "minimum": 0.6}]},
        }
    )
