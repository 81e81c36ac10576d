from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from pipelines.errors import IntegrityError
from pipelines.llm.checkpoint_store import CheckpointSender, fetch_newest, remove_all, send
from pipelines.llm.checkpoints import MANIFEST, Kind, Progress, begin, complete, newest
from pipelines.store.files import FileStore
from pipelines.store.memory import MemoryStore

IDENTITY, PREFIX = "a" * 64, "toy/checkpoints/p"


def write(folder: Path, step: int, kind: Kind = "step", best: int | None = None) -> Path:
    aside = begin(folder, kind, step)
    (aside / "state").mkdir()
    (aside / "state" / "weights.pt").write_bytes(f"weights {step}".encode() * 100)
    return complete(aside, kind, IDENTITY, 1, 2, Progress(step=step, best_step=best)).folder


def test_a_checkpoint_and_its_best_weights_reach_another_machine(tmp_path: Path) -> None:
    store, here, there = MemoryStore(), tmp_path / "here", tmp_path / "there"
    write(here, 4, "best", best=4)
    send(store, PREFIX, write(here, 6, best=4))
    fetch_newest(store, PREFIX, IDENTITY, there)
    found = newest(there, "step", IDENTITY)
    assert found is not None
    assert found.step == 6
    assert newest(there, "best", IDENTITY) is not None


def test_only_the_newest_stays_in_the_store(tmp_path: Path) -> None:
    store = MemoryStore()
    for step in (3, 6):
        send(store, PREFIX, write(tmp_path, step))
    assert {info.key.split("/")[3] for info in store.list(f"{PREFIX}/")} == {"step-00000006"}
    remove_all(store, PREFIX)
    assert not list(store.list(""))


def test_a_machine_that_has_the_newest_fetches_nothing(tmp_path: Path) -> None:
    store = MemoryStore()
    send(store, PREFIX, write(tmp_path, 3))
    store.delete(f"{PREFIX}/step-00000003/state/weights.pt")  # fetching it would fail
    fetch_newest(store, PREFIX, IDENTITY, tmp_path)
    assert newest(tmp_path, "step", IDENTITY) is not None


def test_a_checkpoint_whose_sending_was_cut_off_is_none(tmp_path: Path) -> None:
    store, there = MemoryStore(), tmp_path / "there"
    send(store, PREFIX, write(tmp_path / "here", 3))
    store.delete(f"{PREFIX}/step-00000003/{MANIFEST}")
    fetch_newest(store, PREFIX, IDENTITY, there)
    assert newest(there, "step", IDENTITY) is None


def test_a_foreign_one_is_passed_over_with_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store, there = MemoryStore(), tmp_path / "there"
    send(store, PREFIX, write(tmp_path / "here", 3))
    fetch_newest(store, PREFIX, "b" * 64, there)
    assert "belongs to another training" in caplog.text
    assert newest(there, "step", IDENTITY) is None


def test_where_all_are_damaged_the_training_does_not_start_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, there = MemoryStore(), tmp_path / "there"
    send(store, PREFIX, write(tmp_path / "here", 3))
    store.write(f"{PREFIX}/step-00000003/state/weights.pt", b"other")
    with pytest.raises(IntegrityError, match="step-00000003 are damaged, and this machine has none"):
        fetch_newest(store, PREFIX, IDENTITY, there)
    assert "was altered" in caplog.text
    write(there, 2)
    fetch_newest(store, PREFIX, IDENTITY, there)


def test_what_waits_at_the_end_is_still_sent(tmp_path: Path) -> None:
    store = MemoryStore()
    with CheckpointSender(store, PREFIX).sending() as sender:
        for step in (3, 6, 9):
            sender.offer(write(tmp_path, step))
    assert {info.key.split("/")[3] for info in store.list(f"{PREFIX}/")} == {"step-00000009"}


def test_a_store_that_fails_does_not_stop_the_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    store = FileStore(tmp_path / "store")
    folder = write(tmp_path / "here", 3)
    with CheckpointSender(store, PREFIX).sending() as sender:
        shutil.rmtree(folder / "state")
        sender.offer(folder)
    assert "step-00000003 is not in the store, only on this machine" in caplog.text
