from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipelines.errors import ServiceError
from pipelines.local.processes import Process

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]


def test_a_started_process_is_found_again_by_another_command(tmp_path: Path) -> None:
    Process("sleeper", tmp_path).start(SLEEP, os.environ)
    again = Process("sleeper", tmp_path)
    assert again.is_running()
    assert again.stop()
    assert not again.is_running()


def test_stopping_ends_the_children_too(tmp_path: Path) -> None:
    code = f"import subprocess, sys; child = subprocess.Popen({SLEEP!r}); print(child.pid, flush=True); child.wait()"
    process = Process("parent", tmp_path)
    process.start([sys.executable, "-c", code], os.environ)
    while not process.log_path.read_text().split():
        time.sleep(0.02)
    child = int(process.log_path.read_text().split()[0])
    process.stop()
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_another_process_under_the_same_id_is_left_alone(tmp_path: Path) -> None:
    record = tmp_path / "run" / "stranger.json"
    record.parent.mkdir()
    record.write_text(json.dumps({"pid": os.getpid(), "started": 1.0}))
    assert not Process("stranger", tmp_path).stop()


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="no-such-command"):
        Process("ghost", tmp_path).start(["no-such-command"], os.environ)


def test_the_end_of_the_log_is_shown(tmp_path: Path) -> None:
    process = Process("talker", tmp_path)
    process.log_path.parent.mkdir()
    process.log_path.write_text("\n".join(str(number) for number in range(100)))
    assert process.last_lines(2).split() == ["98", "99"]
