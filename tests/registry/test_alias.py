from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pipelines.errors import IntegrityError
from pipelines.records import LedgerEntry
from pipelines.registry.alias import Shadow, check_witness, follow_ledger, read_shadow
from pipelines.registry.connection import connect
from pipelines.registry.ledger import read_ledger
from pipelines.spec.environment import Environment
from pipelines.store.base import ObjectInfo
from pipelines.store.memory import MemoryStore


@pytest.fixture
def with_versions(environment: Environment) -> Environment:
    """An MLflow in which the model m has versions 1 to 5, made of nothing."""
    client = connect(environment)
    client.create_registered_model("m")
    for _ in range(5):
        client.create_model_version("m", source="file:///nowhere")
    return environment


def test_the_alias_goes_where_the_ledger_ends(with_versions: Environment, three_promotions: MemoryStore) -> None:
    report = follow_ledger(three_promotions, with_versions, "m")
    head = read_ledger(three_promotions, "m")[-1]
    assert (report.outcome, report.version) == ("healed", 3)
    assert read_shadow(with_versions, "m") == Shadow(version=3, witness_seq=3, witness_sha256=head.sha256)


class _PromotesBehindTheBack(MemoryStore):
    """A store in which somebody promotes one more version each time the ledger has just been read."""

    def __init__(self, append: Callable[..., LedgerEntry], pending: list[int]) -> None:
        super().__init__()
        self.append, self.pending = append, pending

    def list(self, prefix: str = "") -> Any:
        found = list(super().list(prefix))
        if self.pending:
            version = self.pending.pop(0)
            self.append(self, version)
        return iter(found)


def test_an_alias_moved_by_an_older_view_moves_on_to_the_newer_entry(
    with_versions: Environment, append: Callable[..., LedgerEntry]
) -> None:
    store = _PromotesBehindTheBack(append, [])
    append(store, 1)
    store.pending += [2]
    follow_ledger(store, with_versions, "m")
    assert read_shadow(with_versions, "m").version == 2


def test_many_that_move_the_alias_at_once_leave_it_where_the_ledger_ends(
    with_versions: Environment, append: Callable[..., LedgerEntry]
) -> None:
    store = MemoryStore()

    def promote_and_follow(version: int) -> None:
        append(store, version)
        follow_ledger(store, with_versions, "m")

    promote_and_follow(1)
    with ThreadPoolExecutor(4) as pool:
        for version in (2, 3, 4, 5):
            append(store, version)
            list(pool.map(lambda _: follow_ledger(store, with_versions, "m"), range(4)))
    head = read_ledger(store, "m")[-1]
    assert read_shadow(with_versions, "m") == Shadow(version=5, witness_seq=5, witness_sha256=head.sha256)


def test_a_ledger_that_goes_on_from_what_mlflow_saw_is_sound(three_promotions: MemoryStore) -> None:
    entries = read_ledger(three_promotions, "m")
    for seq in (1, 2, 3):
        check_witness(entries, "m", Shadow(version=1, witness_seq=seq, witness_sha256=entries[seq - 1].sha256))


@pytest.mark.parametrize(
    ("seq", "sha256", "match"), [(4, "a", "is missing"), (0, "a", "is missing"), (2, "a", "was rewritten")]
)
def test_a_ledger_that_is_not_what_mlflow_saw_is_refused(
    three_promotions: MemoryStore, seq: int, sha256: str, match: str
) -> None:
    with pytest.raises(IntegrityError, match=match):
        check_witness(
            read_ledger(three_promotions, "m"), "m", Shadow(version=1, witness_seq=seq, witness_sha256=sha256)
        )


class _ReadOnly(MemoryStore):
    """A store that nothing can be written to."""

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        raise AssertionError(f"{key} was written")


def test_following_writes_nothing_to_the_store(with_versions: Environment) -> None:
    follow_ledger(_ReadOnly(), with_versions, "m")
