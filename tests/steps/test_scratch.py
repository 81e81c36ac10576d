from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import StoreError
from pipelines.steps.run import run_step_in
from pipelines.steps.scratch import PREFIX, scratch_folder
from pipelines.store.base import ObjectInfo
from pipelines.store.memory import MemoryStore

HOLD = """
import sys, tempfile
from pipelines.steps.scratch import scratch_folder
with scratch_folder():
    file = tempfile.NamedTemporaryFile(delete=False)
    print(file.name, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _own_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def _start() -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_temporary_files_are_made_in_the_folder_and_go_with_it(tmp_path: Path) -> None:
    with scratch_folder() as folder, tempfile.NamedTemporaryFile(delete=False) as file:
        assert Path(file.name).parent == folder
    assert list(tmp_path.iterdir()) == []
    assert tempfile.gettempdir() == str(tmp_path)


def test_what_a_killed_process_left_is_removed_by_the_next_one() -> None:
    process, file = _start()
    process.kill()
    with process:
        assert process.wait() == -signal.SIGKILL
    assert file.exists()
    with scratch_folder():
        assert not file.parent.exists()


def test_the_folder_of_a_living_process_is_left_alone() -> None:
    process, file = _start()
    with process:
        with scratch_folder():
            assert file.exists()
        process.communicate("")
    assert not file.exists()


def test_what_only_has_the_name_of_a_folder_is_left_alone(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    (tmp_path / f"{PREFIX}file").write_text("mine")
    with scratch_folder():
        assert elsewhere.exists()
        assert (tmp_path / f"{PREFIX}file").exists()


def test_what_another_machine_left_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "tandem-step-0000abcd-x"
    other.mkdir()
    with scratch_folder():
        assert other.exists()


def test_without_a_place_for_the_folder_the_fault_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(StoreError, match=r"/gone/.*Nothing was run; set TMPDIR"), scratch_folder():
        pass


class _TellsWhere(MemoryStore):
    """A store that notes where temporary files are made while it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = set[str]()

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        self.seen.add(tempfile.gettempdir())
        return super().list(prefix)


def test_a_step_has_a_folder_of_its_own_and_removes_those_of_killed_steps(tmp_path: Path, workshop: Any) -> None:
    process, file = _start()
    process.kill()
    with process:
        process.wait()
    store = _TellsWhere()
    run_step_in(replace(workshop.context, store=store), "reconcile")
    (folder,) = store.seen
    assert Path(folder).name.startswith(PREFIX)
    assert not file.parent.exists()
    assert not Path(folder).exists()
