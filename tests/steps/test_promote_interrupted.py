"""Promotions that are cut off, collide, or find MLflow in another state than the ledger's."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import PromotionRefused, RegistryError
from pipelines.records import Promoted
from pipelines.registry.alias import read_shadow
from pipelines.registry.connection import connect
from pipelines.registry.ledger import read_ledger
from pipelines.steps.context import Context
from pipelines.steps.promote import promote
from pipelines.steps.reconcile import reconcile
from pipelines.store.base import ObjectInfo
from pipelines.store.files import FileStore
from pipelines.store.memory import MemoryStore


def _alias(context: Context) -> int | None:
    return read_shadow(context.environment, "tiny").version


def test_of_two_promotions_at_once_one_wins_and_the_loser_is_told_who(champions: Any) -> None:
    workshop = champions(0)
    contenders = {"ada": workshop.registered(), "grace": workshop.registered()}
    barrier, answers = threading.Barrier(2), dict[str, Promoted | PromotionRefused]()

    def contend(by: str) -> None:
        barrier.wait()
        try:
            answers[by] = promote(workshop.context, contenders[by], by)
        except PromotionRefused as error:
            answers[by] = error

    threads = [threading.Thread(target=contend, args=(by,)) for by in contenders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (entry,) = read_ledger(workshop.context.store, "tiny")
    (loser,) = [str(answer) for answer in answers.values() if isinstance(answer, PromotionRefused)]
    assert isinstance(answers[entry.by], Promoted)
    assert entry.by in loser
    assert f"version {entry.version}" in loser
    assert _alias(workshop.context) == entry.version


def test_the_same_promotion_run_twice_at_once_gives_both_the_same_answer(champions: Any) -> None:
    workshop = champions(0)
    registered = workshop.registered()
    barrier, answers = threading.Barrier(2), list[Promoted]()

    def run() -> None:
        barrier.wait()
        answers.append(promote(workshop.context, registered, "ada"))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers[0] == answers[1]
    assert len(read_ledger(workshop.context.store, "tiny")) == 1


class _CorruptsMlflowAfterTheEntry(MemoryStore):
    """A store in whose world MLflow's database breaks between the ledger entry and the alias."""

    def __init__(self, whole: MemoryStore, database: Path) -> None:
        super().__init__()
        for info in whole.list():
            self.write(info.key, whole.read(info.key))
        self.database = database

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        info = super().put_if_absent(key, data)
        if "/ledger/" in key:
            self.database.write_bytes(b"no database" * 1000)
        return info


def test_with_mlflow_gone_after_the_entry_the_version_serves_and_a_retry_moves_the_alias(champions: Any) -> None:
    workshop = champions(0)
    registered = workshop.registered()
    database = Path(workshop.context.environment.mlflow.tracking_uri.removeprefix("sqlite:///"))
    whole = database.read_bytes()
    context = replace(workshop.context, store=_CorruptsMlflowAfterTheEntry(workshop.context.store, database))
    with pytest.raises(RegistryError, match="version 1 serves by ledger entry 1, and the alias was not moved"):
        promote(context, registered, "ada")
    database.write_bytes(whole)
    assert _alias(context) is None
    assert promote(context, registered, "ada").version == 1
    assert (_alias(context), len(read_ledger(context.store, "tiny"))) == (1, 1)


def test_with_mlflow_down_nothing_is_promoted_and_a_retry_works(
    champions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop = champions(0)
    registered = workshop.registered()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    settings = workshop.context.environment.mlflow.model_copy(update={"tracking_uri": "http://127.0.0.1:9"})
    gone = workshop.context.environment.model_copy(update={"mlflow": settings})
    with pytest.raises(RegistryError, match=r"MLflow does not answer at http://127.0.0.1:9 .*nothing was promoted"):
        promote(replace(workshop.context, environment=gone), registered, "ada")
    assert read_ledger(workshop.context.store, "tiny") == []
    assert promote(workshop.context, registered, "ada").version == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from pipelines.records import Registered
from pipelines.spec.environment import Environment
from pipelines.spec.model import ClassicSpec
from pipelines.steps.context import Context
from pipelines.steps.promote import promote
from pipelines.store.files import FileStore

class DiesAfterTheEntry(FileStore):
    def put_if_absent(self, key, data):
        super().put_if_absent(key, data)
        if "/ledger/" in key:
            os.kill(os.getpid(), signal.SIGKILL)

spec, environment, registered, folder = sys.argv[1:]
spec, environment = ClassicSpec.model_validate_json(spec), Environment.model_validate_json(environment)
promote(Context(spec, environment, DiesAfterTheEntry(Path(folder))), Registered.model_validate_json(registered), "ada")
"""


def test_after_a_kill_between_entry_and_alias_the_next_run_moves_the_alias(champions: Any, tmp_path: Path) -> None:
    workshop = champions(0)
    registered = workshop.registered()
    store = FileStore(tmp_path / "disk")
    for info in workshop.context.store.list():
        store.write(info.key, workshop.context.store.read(info.key))
    context = replace(workshop.context, store=store)
    arguments = [context.spec.model_dump_json(), context.environment.model_dump_json(), registered.model_dump_json()]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments, str(tmp_path / "disk")], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (len(read_ledger(store, "tiny")), _alias(context)) == (1, None)
    report = reconcile(context)
    assert (report.outcome, report.version, report.found_version) == ("healed", 1, None)
    assert _alias(context) == 1
    assert promote(context, registered, "ada").ledger_seq == 1


def test_an_alias_moved_by_hand_decides_nothing(champions: Any) -> None:
    workshop = champions(2)
    connect(workshop.context.environment).set_registered_model_alias("tiny", "champion", "1")
    promoted = promote(workshop.context, workshop.registered(), "ada")
    assert (promoted.previous_version, _alias(workshop.context)) == (2, 3)
