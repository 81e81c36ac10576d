"""A finished search, done again from its record: on a busy machine, with other threads, in another process."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pytest
from sklearn.pipeline import Pipeline

from pipelines.classic.estimators.prediction import predict
from pipelines.classic.search.board import TrialBoard
from pipelines.classic.search.configuration import Configuration
from pipelines.classic.search.planning import plan_search
from pipelines.classic.search.rows import read_rows, search_rows
from pipelines.classic.search.schedule import differing_trials, replay
from pipelines.classic.search.searching import run_search
from pipelines.classic.search.training import train_ensemble
from pipelines.classic.search.trials import Schedule
from pipelines.errors import IntegrityError
from pipelines.spec.training import Training
from pipelines.store.memory import MemoryStore

SECONDS = 60.0  # a bound for a busy machine: a quiet one needs five
ENDLESS = {"max_iter": 10**8, "tol": 0.0, "n_iter_no_change": 10**8}

Trained = tuple[Pipeline, Schedule, pa.Table, Training]


@pytest.fixture(scope="module")
def trained(table: Callable[..., Any], training: Callable[..., Any]) -> Trained:
    """A model of a search in which the clock ended one fit's process and another one's iterations."""
    own, rows_table = training("regression", budget={"seconds": SECONDS}), table(2_000, "regression")
    rows = read_rows(rows_table, own, None)
    detail = plan_search(rows, own, None, SECONDS, None)
    never = Configuration(name="never", family="network", style="dense", params=ENDLESS)
    slow = Configuration(
        name="slow", family="boosting", style="native", params={"learning_rate": 0.002, "max_iter": 10**6}
    )
    kept = [each for each in detail.configurations if each.name in {"splines", "extra_trees"}]
    detail = detail.model_copy(update={"configurations": (slow, never, *kept), "max_fit_seconds": 0.8})
    chosen = search_rows(rows, detail.num_search_rows, detail.seed)
    board = TrialBoard(MemoryStore(), "m/searches/1")
    run_search(board, detail, chosen, lambda result: None, jobs=2)
    origin = {"model": "m", "snapshot_id": "s"}
    model, schedule = train_ensemble(detail, board.results, rows, chosen, board.predictions, 3.0, origin)
    return model, schedule, rows_table, own


def test_the_schedule_says_what_the_clock_cut_off(trained: Trained) -> None:
    _, schedule, _, _ = trained
    assert "never-0" in schedule.cut_off
    assert any(name.startswith("slow") for name in schedule.cut_off)
    stopped = [result for result in schedule.trials if result.stopped]
    assert all(result.status == "done" and result.iterations for result in stopped)
    assert Schedule.model_validate_json(schedule.to_bytes()) == schedule
    assert sum(member.weight for member in schedule.members) == pytest.approx(1.0)


def test_its_trials_and_its_model_are_the_same_bits_when_done_again(trained: Trained) -> None:
    model, schedule, rows, training = trained
    assert differing_trials(schedule, rows, training, jobs=1) == []
    again = replay(schedule, rows, training)
    assert (predict(again, rows, training) == predict(model, rows, training)).all()


REPLAY = """
import hashlib, sys
import pyarrow.feather
from pathlib import Path
from pipelines.classic.estimators.prediction import predict
from pipelines.classic.search.schedule import replay
from pipelines.classic.search.trials import Schedule
from pipelines.spec.training import Training
folder = Path(sys.argv[1])
rows = pyarrow.feather.read_table(folder / "rows.arrow")
training = Training.model_validate_json((folder / "training.json").read_bytes())
model = replay(Schedule.model_validate_json((folder / "schedule.json").read_bytes()), rows, training)
print(hashlib.sha256(predict(model, rows, training).tobytes()).hexdigest())
"""


def test_a_slow_machine_with_other_threads_gives_the_same_bits(trained: Trained, tmp_path: Path) -> None:
    model, schedule, rows, training = trained
    pyarrow.feather.write_feather(rows, tmp_path / "rows.arrow")
    (tmp_path / "schedule.json").write_bytes(schedule.to_bytes())
    (tmp_path / "training.json").write_text(training.model_dump_json())
    others = {"OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3", "TANDEM_FIT_JOBS": "3", "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", REPLAY, str(tmp_path)]
    with ExitStack() as load:
        for _ in range(os.cpu_count() or 1):
            burner = load.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            load.callback(burner.kill)
        answered = subprocess.run(command, env={**os.environ, **others}, check=True, capture_output=True, text=True)
    assert answered.stdout.split()[-1] == hashlib.sha256(predict(model, rows, training).tobytes()).hexdigest()


def test_other_rows_are_refused(trained: Trained) -> None:
    _, schedule, rows, training = trained
    with pytest.raises(IntegrityError, match="is of 2000 training rows; 1990 were given"):
        replay(schedule, rows.slice(0, 1990), training)


def test_altered_rows_or_members_are_noticed(trained: Trained) -> None:
    _, schedule, rows, training = trained
    turned = rows.take(list(reversed(range(rows.num_rows))))
    with pytest.raises(IntegrityError, match="answers differently"):
        replay(schedule, turned, training)
