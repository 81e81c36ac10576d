"""Records small enough to write down, and a model that is nothing but bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.records import LedgerEntry
from pipelines.registry.ledger import append_entry, read_ledger
from pipelines.spec.environment import StoreSettings
from pipelines.store import Store, open_store
from pipelines.store.files import FileStore
from pipelines.store.memory import MemoryStore


def _entry_fields(version: int, **changes: Any) -> dict[str, Any]:
    """Return all that an entry says, besides where it stands in the chain."""
    return {
        "action": "promote",
        "version": version,
        "candidate_key": f"m/candidates/{version}.json",
        "candidate_sha256": f"{version:064x}",
        "model_sha256": f"{version + 1000:064x}",
        "verdict_key": f"m/verdicts/{version}.json",
        "verdict_sha256": f"{version + 2000:064x}",
        "reason": "all rules hold",
        "by": "ada",
        **changes,
    }


def _append(store: Store, version: int, model: str = "m", **changes: Any) -> LedgerEntry:
    """Append an entry to wherever the ledger ends."""
    entries = read_ledger(store, model)
    head = entries[-1].sha256 if entries else None
    return append_entry(store, model, head, **_entry_fields(version, **changes))


@pytest.fixture(params=["memory", "files", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind; S3 is a real server."""
    if request.param == "memory":
        return MemoryStore()
    if request.param == "files":
        return FileStore(tmp_path)
    settings: StoreSettings = request.getfixturevalue("s3_settings")
    return open_store(settings.model_copy(update={"uri": f"{settings.uri}/{tmp_path.name}"}))


@pytest.fixture
def three_promotions() -> MemoryStore:
    """A ledger in which versions 1, 2 and 3 were promoted."""
    store = MemoryStore()
    for version in (1, 2, 3):
        _append(store, version)
    return store


@pytest.fixture
def append() -> Callable[..., LedgerEntry]:
    """Append an entry to wherever a ledger ends: `append(store, version, model="m", **fields)`."""
    return _append


@pytest.fixture
def entry_fields() -> Callable[..., dict[str, Any]]:
    """Return what an entry says: `entry_fields(version, **fields)`."""
    return _entry_fields
