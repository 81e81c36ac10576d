from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pipelines.steps.scratch import PREFIX, scratch_folder

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
