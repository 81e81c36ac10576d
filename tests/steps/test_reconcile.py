from __future__ import annotations

import logging
from typing import Any

import pytest

from pipelines.errors import IntegrityError, RegistryError
from pipelines.registry.alias import read_shadow
from pipelines.registry.connection import connect
from pipelines.registry.ledger import append_entry, entry_key, read_ledger
from pipelines.steps.reconcile import reconcile


def _client(workshop: Any) -> Any:
    return connect(workshop.context.environment)


def _alias(workshop: Any) -> int | None:
    return read_shadow(workshop.context.environment, "tiny").version


def test_before_anything_is_registered_there_is_nothing_to_do(workshop: Any) -> None:
    report = reconcile(workshop.context)
    assert (report.outcome, report.version) == ("right", None)


def test_an_alias_that_follows_the_ledger_stays(champions: Any) -> None:
    workshop = champions(2)
    report = reconcile(workshop.context)
    assert (report.outcome, report.version, report.found_version) == ("right", 2, 2)


def test_an_alias_moved_by_hand_is_moved_back_and_reported(champions: Any, caplog: pytest.LogCaptureFixture) -> None:
    workshop = champions(2)
    _client(workshop).set_registered_model_alias("tiny", "champion", "1")
    with caplog.at_level(logging.WARNING):
        report = reconcile(workshop.context)
    assert (report.outcome, report.version, report.found_version, _alias(workshop)) == ("moved_back", 2, 1, 2)
    assert "stood at version 1, and by the ledger version 2 serves: somebody moved it past the gate" in caplog.text


def test_an_alias_taken_away_by_hand_is_put_back(champions: Any) -> None:
    workshop = champions(1)
    _client(workshop).delete_registered_model_alias("tiny", "champion")
    assert (reconcile(workshop.context).outcome, _alias(workshop)) == ("moved_back", 1)


def test_an_alias_on_a_version_that_was_never_promoted_is_taken_away(workshop: Any) -> None:
    workshop.registered()
    _client(workshop).set_registered_model_alias("tiny", "champion", "1")
    report = reconcile(workshop.context)
    assert (report.outcome, report.version, report.found_version, _alias(workshop)) == ("moved_back", None, 1, None)


def test_an_alias_left_behind_by_a_crash_is_healed(champions: Any) -> None:
    workshop = champions(1)
    (entry,) = read_ledger(workshop.context.store, "tiny")
    second = workshop.registered()
    fields = {**entry.to_dict(), "version": second.version}
    for name in ("seq", "previous_sha256", "model", "at"):
        del fields[name]
    append_entry(workshop.context.store, "tiny", entry.sha256, **fields)
    report = reconcile(workshop.context)
    assert (report.outcome, report.version, report.found_version) == ("healed", 2, 1)
    assert _alias(workshop) == 2


def test_a_witness_lost_alone_is_written_again(champions: Any) -> None:
    workshop = champions(1)
    _client(workshop).delete_registered_model_tag("tiny", "tandem.ledger_head")
    assert reconcile(workshop.context).outcome == "right"
    assert read_shadow(workshop.context.environment, "tiny").witness_seq == 1


def test_a_rewritten_ledger_moves_no_alias(champions: Any) -> None:
    workshop = champions(2)
    store = workshop.context.store
    first, second = read_ledger(store, "tiny")
    store.delete(entry_key("tiny", 2))
    fields = {**second.to_dict(), "version": 1, "by": "eve"}
    for name in ("seq", "previous_sha256", "model", "at"):
        del fields[name]
    append_entry(store, "tiny", first.sha256, **fields)
    with pytest.raises(IntegrityError, match=r"00000002.json was rewritten: MLflow saw hash"):
        reconcile(workshop.context)
    assert _alias(workshop) == 2


def test_a_champion_that_mlflow_lost_is_told_with_a_way_out(champions: Any) -> None:
    workshop = champions(2)
    client = _client(workshop)
    client.delete_registered_model_alias("tiny", "champion")
    client.delete_model_version("tiny", "2")
    with pytest.raises(RegistryError, match=r"version 2 of tiny serves, and MLflow has no such version.*roll back"):
        reconcile(workshop.context)
