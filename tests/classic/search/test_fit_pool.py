from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from pipelines.classic.search.configuration import Configuration
from pipelines.classic.search.fit_pool import JOBS_VARIABLE, FitPool, default_jobs
from pipelines.classic.search.rows import write_rows
from pipelines.classic.search.searching import fit_request
from pipelines.classic.search.trials import SearchDetail, TrialKey
from pipelines.errors import UsageError

QUICK = Configuration(name="quick", family="linear", style="dense")
NEVER_ENDS = Configuration(
    name="never_ends",
    family="network",
    style="dense",
    params={"max_iter": 10**8, "tol": 0.0, "n_iter_no_change": 10**8},
)
ENDS_BY_CLOCK = Configuration(name="by_clock", family="boosting", style="native", params={"max_iter": 10**7})
RAISES = Configuration(name="raises", family="linear", style="dense", params={"solver": "no such solver"})
WARNS = Configuration(name="warns", family="network", style="dense", params={"max_iter": 1})


@pytest.fixture
def detail(planned: Callable[..., Any], tmp_path: Path) -> SearchDetail:
    """A plan; the folder `tmp_path` holds its rows."""
    detail, _, chosen = planned()
    write_rows(chosen, tmp_path)
    return detail


@pytest.fixture
def pool(detail: SearchDetail, tmp_path: Path) -> Iterator[FitPool]:
    with FitPool(tmp_path, 1) as pool:
        yield pool


def ask(pool: FitPool, detail: SearchDetail, configuration: Configuration, hard: float = 60.0, soft: Any = None) -> Any:
    key = TrialKey(configuration.name, 0)
    pool.submit(key, fit_request(detail, configuration, 0, soft, None), hard)
    return until_answered(pool)[0]


def until_answered(pool: FitPool) -> list[Any]:
    for _ in range(120):
        if answers := pool.wait(1.0):
            return answers
    raise AssertionError("no answer in two minutes")


def children() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if "pipelines.classic.search.fit_server" in " ".join(child.cmdline())
    ]


def test_fits_are_answered_bounded_and_survived(pool: FitPool, detail: SearchDetail, tmp_path: Path) -> None:
    """One long test, since each server takes a second or two to start."""
    answered = ask(pool, detail, QUICK)
    assert answered.answer["status"] == "done"
    assert 0 < answered.answer["loss"] < 0.69
    predictions = np.load(tmp_path / answered.answer["predictions"])
    assert predictions.shape == (240 // 5, 2)

    raised = ask(pool, detail, RAISES)
    assert raised.answer["status"] == "failed"
    assert "no such solver" in raised.answer["reason"]

    warned = ask(pool, detail, WARNS)
    assert warned.answer["status"] == "done"
    assert any("ConvergenceWarning" in line for line in warned.answer["warnings"])

    clocked = ask(pool, detail, ENDS_BY_CLOCK, soft=0.5)
    assert clocked.answer["status"] == "done"
    assert clocked.answer["iterations"] >= 1

    before = children()
    started = time.monotonic()
    cut = ask(pool, detail, NEVER_ENDS, hard=0.5)
    assert cut.cut_off
    assert cut.answer is None
    assert time.monotonic() - started < 5
    assert not any(child.is_running() for child in before)  # the fit was stopped for real

    assert ask(pool, detail, QUICK).answer["predictions_sha256"] == answered.answer["predictions_sha256"]

    pool.submit(TrialKey("never_ends", 0), fit_request(detail, NEVER_ENDS, 0, None, None), 60.0)
    assert pool.num_free == 0
    assert pool.running == [TrialKey("never_ends", 0)]
    time.sleep(0.2)
    os.kill(children()[0].pid, signal.SIGKILL)
    lost = until_answered(pool)[0]
    assert not lost.cut_off
    assert "ended with -9" in lost.reason
    assert ask(pool, detail, QUICK).answer["status"] == "done"


def test_no_process_is_left_behind(detail: SearchDetail, tmp_path: Path) -> None:
    with FitPool(tmp_path, 2) as pool:
        pool.submit(TrialKey("never_ends", 0), fit_request(detail, NEVER_ENDS, 0, None, None), 60.0)
        assert len(children()) == 2
    assert children() == []


PARENT = """
import json, sys, time
from pathlib import Path
from pipelines.classic.search.fit_pool import FitPool
from pipelines.classic.search.trials import TrialKey
with FitPool(Path(sys.argv[1]), 1) as pool:
    pool.submit(TrialKey("x", 0), json.loads(sys.argv[2]), 60.0)
    pool.wait(0.5)
    while not pool._servers[0].ready:
        pool.wait(0.1)
    print(pool._servers[0].process.pid, flush=True)
    time.sleep(60)
"""


def test_a_parent_that_is_killed_leaves_no_fit_behind(detail: SearchDetail, tmp_path: Path) -> None:
    request = json.dumps(fit_request(detail, NEVER_ENDS, 0, None, None))
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), request], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        server = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    _, alive = psutil.wait_procs([server], timeout=20)
    assert not alive


def test_the_number_of_fits_at_once_can_be_set_and_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(JOBS_VARIABLE, "3")
    assert default_jobs() == 3
    monkeypatch.setenv(JOBS_VARIABLE, "none")
    with pytest.raises(UsageError, match="TANDEM_FIT_JOBS is 'none'; allowed: 1 to 64"):
        default_jobs()
    monkeypatch.delenv(JOBS_VARIABLE)
    assert 1 <= default_jobs() <= 64
