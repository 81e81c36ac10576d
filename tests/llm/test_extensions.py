from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.errors import TrainingError
from pipelines.llm.extensions import extensions_folder, prepare_extensions

BUILDER = (
    "import sys, time; file = open(sys.argv[1], 'x'); print('building', flush=True); time.sleep(float(sys.argv[2]))"
)


def _lock(home: Path) -> Path:
    folder = extensions_folder(home) / "py311_cpu" / "deepspeed_shm_comm"
    folder.mkdir(parents=True)
    return folder / "lock"


def _build(lock: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BUILDER, str(lock), str(seconds)]
    builder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert builder.stdout is not None
    assert builder.stdout.readline() == "building\n"
    return builder


def test_the_folder_is_made(tmp_path: Path) -> None:
    prepare_extensions(tmp_path)
    assert extensions_folder(tmp_path).is_dir()


def test_the_lock_of_a_killed_builder_is_removed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lock = _lock(tmp_path)
    with _build(lock, 60) as builder:
        builder.kill()
    assert lock.exists()
    prepare_extensions(tmp_path)
    assert not lock.exists()
    assert "the lock of deepspeed_shm_comm is removed: its builder is gone" in caplog.text


def test_a_living_builder_is_waited_for_with_words(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    lock = _lock(tmp_path)
    with _build(lock, 1.5) as builder:
        prepare_extensions(tmp_path)
        assert builder.wait() == 0
        assert f"process {builder.pid} is building DeepSpeed's operator deepspeed_shm_comm; waiting" in caplog.text


def test_a_builder_that_takes_for_ever_is_told(tmp_path: Path) -> None:
    lock = _lock(tmp_path)
    with _build(lock, 60) as builder:
        with pytest.raises(TrainingError, match=f"Process {builder.pid} has been building deepspeed_shm_comm"):
            prepare_extensions(tmp_path, patience_seconds=0.2)
        assert lock.exists()
        builder.kill()
