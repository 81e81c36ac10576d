from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import IntegrityError, RegistryError, RollbackRefused, UsageError
from pipelines.records import LedgerEntry
from pipelines.registry.alias import read_shadow
from pipelines.registry.connection import connect
from pipelines.registry.ledger import read_ledger
from pipelines.registry.versions import get_version
from pipelines.steps.context import Context
from pipelines.steps.promote import promote
from pipelines.steps.roll_back import roll_back
from pipelines.store.memory import MemoryStore


def _alias(workshop: Any) -> int | None:
    return read_shadow(workshop.context.environment, "tiny").version


def _ledger(workshop: Any) -> list[LedgerEntry]:
    return read_ledger(workshop.context.store, "tiny")


def test_a_version_that_served_serves_again_and_the_ledger_says_why(champions: Any) -> None:
    workshop = champions(3)
    back = roll_back(workshop.context, 1, "version 3 answers slowly", "grace")
    entry = _ledger(workshop)[-1]
    assert (entry.action, entry.version, entry.reason, entry.by) == (
        "roll_back",
        1,
        "version 3 answers slowly",
        "grace",
    )
    assert entry.candidate_sha256 == _ledger(workshop)[0].candidate_sha256
    assert (back.version, back.previous_version, back.ledger_seq, _alias(workshop)) == (1, 3, 4, 1)


def test_previous_goes_one_champion_further_back_each_time(champions: Any) -> None:
    workshop = champions(3)
    versions = [roll_back(workshop.context, "previous", reason, "ada").version for reason in ("slow", "slow still")]
    assert versions == [2, 1]
    with pytest.raises(RollbackRefused, match="No version of tiny served before version 1, which serves"):
        roll_back(workshop.context, "previous", "worse", "ada")


def test_a_version_that_never_served_is_refused(champions: Any) -> None:
    workshop = champions(1)
    workshop.registered()
    with pytest.raises(RollbackRefused, match=r"Version 2 of tiny never served; versions that did: 1\."):
        roll_back(workshop.context, 2, "because", "ada")
    assert (len(_ledger(workshop)), _alias(workshop)) == (1, 1)


def test_the_version_that_serves_is_refused(champions: Any) -> None:
    workshop = champions(1)
    with pytest.raises(RollbackRefused, match=r"Version 1 of tiny serves already, since .* \(ledger entry 1\)"):
        roll_back(workshop.context, 1, "because", "ada")


def test_without_a_champion_there_is_nothing_to_go_back_from(workshop: Any) -> None:
    with pytest.raises(RollbackRefused, match="tiny has no champion yet"):
        roll_back(workshop.context, "previous", "because", "ada")


@pytest.mark.parametrize("reason", ["", " \n"])
def test_a_rollback_without_a_reason_is_refused(champions: Any, reason: str) -> None:
    workshop = champions(2)
    with pytest.raises(UsageError, match="A rollback needs a reason"):
        roll_back(workshop.context, 1, reason, "ada")
    assert _alias(workshop) == 2


def test_a_version_whose_model_was_altered_does_not_come_back(champions: Any) -> None:
    workshop = champions(2)
    store = workshop.context.store
    key = f"tiny/models/{_ledger(workshop)[0].model_sha256}/model.skops"
    data = bytearray(store.read(key))
    data[100] ^= 1
    store.write(key, bytes(data))
    with pytest.raises(IntegrityError, match=key):
        roll_back(workshop.context, 1, "because", "ada")
    assert (len(_ledger(workshop)), _alias(workshop)) == (2, 2)


def test_a_version_whose_copy_in_mlflow_was_altered_does_not_come_back(workshop: Any) -> None:
    workshop.promote_one()
    workshop.promote_one()
    source = get_version(workshop.context.environment, "tiny", 1).source
    (Path(source.removeprefix("file://")) / "model.skops").write_bytes(b"something else")
    with pytest.raises(IntegrityError, match="Version 1 of tiny in MLflow was altered"):
        roll_back(workshop.context, 1, "because", "ada")
    assert _alias(workshop) == 2


def test_a_version_that_mlflow_lost_does_not_come_back(champions: Any) -> None:
    workshop = champions(2)
    connect(workshop.context.environment).delete_model_version("tiny", "1")
    with pytest.raises(RegistryError, match=r"refused: Model Version .*not found"):
        roll_back(workshop.context, 1, "because", "ada")
    assert _alias(workshop) == 2


def test_a_verdict_from_before_the_rollback_no_longer_passes(champions: Any) -> None:
    workshop = champions(2)
    late = workshop.registered()
    roll_back(workshop.context, 1, "because", "grace")
    with pytest.raises(Exception, match="was judged against version 2, but version 1 serves now"):
        promote(workshop.context, late, "ada")


class _KilledError(Exception):
    """What ends an attempt at a place that the test chooses."""


class _DiesAtTheAlias(MemoryStore):
    """A store in which a rollback was cut off right behind its ledger entry."""

    def put_if_absent(self, key: str, data: bytes) -> Any:
        super().put_if_absent(key, data)
        raise _KilledError


def test_a_rollback_cut_off_before_the_alias_is_finished_and_not_made_twice(champions: Any) -> None:
    workshop = champions(3)
    store = _DiesAtTheAlias()
    for info in workshop.context.store.list():
        store.write(info.key, workshop.context.store.read(info.key))
    context = Context(workshop.context.spec, workshop.context.environment, store)
    with pytest.raises(_KilledError):
        roll_back(context, "previous", "slow", "ada")
    assert (read_ledger(store, "tiny")[-1].version, _alias(workshop)) == (2, 3)
    assert roll_back(context, "previous", "slow", "ada").version == 2
    assert (len(read_ledger(store, "tiny")), _alias(workshop)) == (4, 2)


@pytest.mark.parametrize("to", ["previous", 2])
def test_a_rollback_from_a_named_version_gives_the_same_answer_when_it_is_tried_again(champions: Any, to: Any) -> None:
    workshop = champions(3)
    first = roll_back(workshop.context, to, "slow", "ada", serving=3)
    assert roll_back(workshop.context, to, " slow ", "ada", serving=3) == first
    assert (first.version, len(_ledger(workshop)), _alias(workshop)) == (2, 4, 2)


def test_a_rollback_from_the_version_gone_back_to_goes_one_further(champions: Any) -> None:
    workshop = champions(3)
    roll_back(workshop.context, "previous", "slow", "ada", serving=3)
    assert roll_back(workshop.context, "previous", "slow", "ada", serving=2).version == 1


@pytest.mark.parametrize(("to", "reason", "by"), [(1, "slow", "ada"), (2, "late", "ada"), (2, "slow", "eve")])
def test_another_rollback_from_a_version_that_no_longer_serves_is_refused(
    champions: Any, to: int, reason: str, by: str
) -> None:
    workshop = champions(3)
    roll_back(workshop.context, 2, "slow", "ada", serving=3)
    match = (
        r"Version 3 of tiny does not serve: version 2 serves since .* \(ledger entry 4, by ada\)\. Nothing was changed"
    )
    with pytest.raises(RollbackRefused, match=match):
        roll_back(workshop.context, to, reason, by, serving=3)
    assert (len(_ledger(workshop)), _alias(workshop)) == (4, 2)


def test_a_cut_off_rollback_is_not_the_answer_to_one_with_another_target(champions: Any) -> None:
    workshop = champions(3)
    store = _DiesAtTheAlias()
    for info in workshop.context.store.list():
        store.write(info.key, workshop.context.store.read(info.key))
    cut_off = Context(workshop.context.spec, workshop.context.environment, store)
    with pytest.raises(_KilledError):
        roll_back(cut_off, 2, "slow", "ada")
    whole = Context(workshop.context.spec, workshop.context.environment, MemoryStore())
    for info in store.list():
        whole.store.write(info.key, store.read(info.key))
    assert roll_back(whole, 1, "slow", "ada").version == 1
