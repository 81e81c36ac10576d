"""Sources over small files that a test writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.data.sources import open_source
from pipelines.records import Window
from pipelines.spec.source import FilesSource
from tests.servers import running_postgres

Read = Callable[..., pa.Table]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write files by name, read all files of the first one's kind as a source would, and return their rows.

    `time` is the time column and `required` the columns that must be there, unless the test says otherwise.
    """

    def read(
        files: dict[str, bytes | str],
        *,
        window: Window | None = None,
        required: tuple[str, ...] = ("time",),
        **settings: Any,
    ) -> pa.Table:
        for name, content in files.items():
            (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        ending = next(iter(files)).split(".")[1]
        settings = {"format": ending, "paths": (str(tmp_path / f"*.{ending}*"),), "time_column": "time", **settings}
        source = FilesSource.model_validate({"type": "files", **settings})
        return open_source(source, window or Window(), required).read_all()

    return read


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The SQLAlchemy URL of a real Postgres without a network, with an empty database."""
    with running_postgres() as server:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg2://", 1)
