from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pipelines.errors import IntegrityError
from pipelines.llm.checkpoints import (
    MANIFEST,
    Progress,
    begin,
    complete,
    name_of,
    newest,
    open_checkpoint,
    prune,
    sweep,
)

IDENTITY = "a" * 64


def write(folder: Path, step: int, identity: str = IDENTITY, kind: str = "step", best: int | None = None) -> Path:
    aside = begin(folder, kind, step)  # type: ignore[arg-type]
    (aside / "state").mkdir()
    (aside / "state" / "weights.pt").write_bytes(b"weights" * 100)
    (aside / "state" / "optimizer.pt").write_bytes(b"optimizer" * 200)
    progress = Progress(step=step, best_step=best)
    return complete(aside, kind, identity, 1, 2, progress).folder  # type: ignore[arg-type]


def test_the_newest_checkpoint_is_found_by_its_step(tmp_path: Path) -> None:
    for step in (9, 100, 20):
        write(tmp_path, step)
    found = newest(tmp_path, "step", IDENTITY)
    assert found is not None
    assert found.step == 100


def test_where_there_is_none_a_training_starts_anew(tmp_path: Path) -> None:
    assert newest(tmp_path / "nothing", "step", IDENTITY) is None


def _flip(folder: Path) -> None:
    path = folder / "state" / "optimizer.pt"
    data = bytearray(path.read_bytes())
    data[700] ^= 1
    path.write_bytes(data)


def _truncate(folder: Path) -> None:
    path = folder / "state" / "optimizer.pt"
    path.write_bytes(path.read_bytes()[:-1])


def _lose(folder: Path) -> None:
    (folder / "state" / "weights.pt").unlink()


def _lose_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()


def _spoil_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_bytes(b'{"kind":"step"}')


DAMAGE = {
    _flip: "optimizer.pt is not what was written",
    _truncate: "optimizer.pt has 1799 bytes, expected 1800",
    _lose: "it lacks state/weights.pt",
    _lose_manifest: f"it has no {MANIFEST}",
    _spoil_manifest: f"its {MANIFEST} cannot be read",
}


@pytest.mark.parametrize(("damage", "word"), DAMAGE.items())
def test_a_damaged_checkpoint_is_passed_over_with_a_word(
    damage: object, word: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, 10)
    damage(write(tmp_path, 20))  # type: ignore[operator]
    found = newest(tmp_path, "step", IDENTITY)
    assert found is not None
    assert found.step == 10
    assert word in caplog.text


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_training_whose_only_checkpoint_is_damaged_does_not_start_anew(damage: object, tmp_path: Path) -> None:
    damage(write(tmp_path, 20))  # type: ignore[operator]
    with pytest.raises(IntegrityError, match=r"step-00000020 are damaged.*remove them to start from step 0"):
        newest(tmp_path, "step", IDENTITY)


def test_another_trainings_checkpoint_is_passed_over_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, 10)
    write(tmp_path, 20, identity="b" * 64)
    found = newest(tmp_path, "step", IDENTITY)
    assert found is not None
    assert found.step == 10
    assert "step-00000020 is passed over: it belongs to another training" in caplog.text


def test_what_was_never_finished_is_no_checkpoint_and_is_swept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    aside = begin(tmp_path, "step", 30)
    (aside / "weights.pt").write_bytes(b"half")
    assert newest(tmp_path, "step", IDENTITY) is None
    sweep(tmp_path)
    assert not aside.exists()
    assert "never finished" in caplog.text


def test_a_checkpoint_takes_the_place_of_a_damaged_one_of_its_step(tmp_path: Path) -> None:
    _truncate(write(tmp_path, 20))
    assert open_checkpoint(write(tmp_path, 20)).step == 20


def test_the_oldest_go_until_the_budget_holds_and_the_newest_keeps_its_best_weights(tmp_path: Path) -> None:
    for step in (10, 20, 30, 40):
        write(tmp_path, step, kind="best")
        write(tmp_path, step, best=20)
    size = open_checkpoint(tmp_path / name_of("step", 40)).manifest.size_bytes
    prune(tmp_path, 5 * (size + 1000))
    names = {path.name for path in tmp_path.iterdir()}
    assert {name_of("step", 40), name_of("best", 20), name_of("best", 40)} <= names
    assert name_of("step", 10) not in names
    assert name_of("best", 10) not in names


def test_the_newest_stays_even_where_it_is_over_the_budget(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    write(tmp_path, 10)
    write(tmp_path, 20)
    prune(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == [name_of("step", 20)]
    assert "over the budget" in caplog.text
