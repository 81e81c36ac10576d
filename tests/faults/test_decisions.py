"""Kill whoever decides about a retraining, let many decide at once, cut the wire: one run for each reason remains."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import StoreError
from pipelines.records import RunRequest
from pipelines.registry.decisions import put_request, read_decisions, stored_request_ids
from pipelines.spec.environment import StoreSettings
from pipelines.steps.begin import begin
from pipelines.steps.context import Context
from pipelines.steps.request import decide_requests, request, sweep
from pipelines.steps.verify_decisions import verify_decisions
from pipelines.store import open_store
from pipelines.store.files import FileStore
from tests.faults.deadly import DeadlyStore, run_in_child
from tests.steps.deciding import MODEL, context_of, run_of, wish
from tests.store.conftest import Wire

ROOT = Path(__file__).resolve().parents[2]
SIXTEEN = 16

Act = Callable[[Context], object]
FORM = RunRequest(run_id="manual__1", note="try", by="grace")


def _prepare(context: Context) -> None:
    """Leave a retraining that waits, and a request that was stored and never decided."""
    request(context, wish(1))
    put_request(context.store, wish(2))


ACTS: dict[str, Act] = {
    "request": lambda context: request(context, wish(3)),
    "many requests": lambda context: decide_requests(context, [wish(number) for number in (1, 3, 4)]),
    "sweep": sweep,
    "begin": lambda context: begin(context, run_of(request(context, wish(1)))),
    "begin by form": lambda context: begin(context, FORM),
}


@pytest.mark.parametrize("name", ACTS)
def test_killed_before_or_after_any_write_and_run_again_each_decision_is_there_once(name: str, tmp_path: Path) -> None:
    before, act = tmp_path / "before", ACTS[name]
    _prepare(context_of(FileStore(before)))
    undisturbed = _copy(before, tmp_path / "undisturbed")
    counting = DeadlyStore(undisturbed.store, None)
    act(context_of(counting))
    assert counting.passed >= 2
    expected = _essence(undisturbed)
    for point in range(counting.passed):
        context = _copy(before, tmp_path / f"killed-{point}")
        killed = context_of(DeadlyStore(context.store, point))
        assert run_in_child(lambda killed=killed: act(killed)) == -signal.SIGKILL
        act(context)
        assert _essence(context) == expected, point


def test_killed_between_the_request_and_its_decision_the_next_look_decides_it(tmp_path: Path) -> None:
    context = context_of(FileStore(tmp_path))
    after_the_request = context_of(DeadlyStore(context.store, 1))
    assert run_in_child(lambda: request(after_the_request, wish())) == -signal.SIGKILL
    assert stored_request_ids(context.store, MODEL) == [wish().id]
    assert read_decisions(context.store, MODEL) == []
    run_id = sweep(context).run_id
    assert run_id is not None
    assert (request(context, wish()).outcome, request(context, wish()).run_id) == ("known", run_id)


def test_killed_between_the_decision_and_the_trigger_every_later_look_names_the_run(tmp_path: Path) -> None:
    context = context_of(FileStore(tmp_path))
    after_the_decision = context_of(DeadlyStore(context.store, 3))
    assert run_in_child(lambda: request(after_the_decision, wish())) == -signal.SIGKILL
    (entry,) = read_decisions(context.store, MODEL)
    assert sweep(context).run_id == entry.run_id
    assert (request(context, wish()).outcome, request(context, wish()).run_id) == ("known", entry.run_id)
    assert request(context, wish(2)).run_id == entry.run_id


def _copy(before: Path, after: Path) -> Context:
    shutil.copytree(before, after)
    return context_of(FileStore(after))


def _essence(context: Context) -> Any:
    """Return what was decided, without the clock; a sweep sees the orphan, which is decided in the end either way."""
    sweep(context)
    assert verify_decisions(context)["problems"] == []
    entries = read_decisions(context.store, MODEL)
    state = entries[-1].state
    return (
        sorted(one for entry in entries for one in entry.requests),
        [entry.run_id for entry in entries if entry.action == "begun"],
        state.pending and (state.pending.run_id, state.pending.num_requests),
        [run.run_id for run in state.begun],
    )


DECIDER = """
import json, sys
from pathlib import Path
from pipelines.spec.environment import StoreSettings
from pipelines.steps.begin import begin
from pipelines.steps.request import request, sweep
from pipelines.store import open_store
from tests.steps.deciding import context_of, run_of, wish
settings, worker, count, begins = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "begins"
context = context_of(open_store(StoreSettings.model_validate(settings)), cooldown_days=0, weekly_runs=1000)
print("ready", flush=True)
sys.stdin.readline()
for number in range(count):
    request(context, wish(number if number % 2 else 1000 * (worker + 1) + number))
    if begins and (pending := sweep(context)).run_id:
        begin(context, run_of(pending))
    print(number, flush=True)
"""


@pytest.fixture(params=["files", "s3"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> StoreSettings:
    """An empty store that several processes can open; S3 is a real server."""
    if request.param == "files":
        return StoreSettings(uri=f"file://{tmp_path}")
    found: StoreSettings = request.getfixturevalue("s3_settings")
    return found.model_copy(update={"uri": f"{found.uri}/{tmp_path.name}"})


def _start(settings: StoreSettings, worker: int, count: int, *, begins: bool = False) -> subprocess.Popen[str]:
    given = [settings.model_dump_json(), str(worker), str(count), "begins" if begins else "asks"]
    return subprocess.Popen(
        [sys.executable, "-c", DECIDER, *given], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _go(*deciders: subprocess.Popen[str]) -> None:
    for decider in deciders:
        assert decider.stdout is not None
        assert decider.stdout.readline() == "ready\n"
    for decider in deciders:
        assert decider.stdin is not None
        decider.stdin.write("go\n")
        decider.stdin.flush()


def test_two_processes_that_decide_at_once_make_one_run_and_lose_and_double_nothing(settings: StoreSettings) -> None:
    deciders = [_start(settings, worker, SIXTEEN) for worker in range(2)]
    _go(*deciders)
    for decider in deciders:
        decider.communicate()
        assert decider.returncode == 0
    context = context_of(open_store(settings))
    expected = {number if number % 2 else 1000 * (worker + 1) + number for worker in range(2) for number in range(16)}
    _check_exactly_once(context, {wish(number).id for number in expected})
    assert len({entry.run_id for entry in read_decisions(context.store, MODEL)}) == 1


def test_while_runs_begin_between_requests_each_request_is_in_one_run_and_one_run_is_pending_at_most(
    settings: StoreSettings,
) -> None:
    deciders = [_start(settings, 0, SIXTEEN), _start(settings, 1, SIXTEEN, begins=True)]
    _go(*deciders)
    for decider in deciders:
        decider.communicate()
        assert decider.returncode == 0
    context = context_of(open_store(settings))
    _check_exactly_once(context, set(stored_request_ids(context.store, MODEL)))
    assert len(stored_request_ids(context.store, MODEL)) == 24


def test_deciders_that_are_killed_again_and_again_leave_every_request_in_one_run(tmp_path: Path) -> None:
    settings = StoreSettings(uri=f"file://{tmp_path}")
    context = context_of(open_store(settings))
    for worker in range(4):
        deciders = [_start(settings, 2 * worker + one, 10_000, begins=bool(one)) for one in range(2)]
        _go(*deciders)
        for decider in deciders:  # in the middle of something, each elsewhere
            assert decider.stdout is not None
            for _ in range(3 + worker):
                decider.stdout.readline()
            decider.kill()
            decider.communicate()
            assert decider.returncode == -signal.SIGKILL
    sweep(context)
    _check_exactly_once(context, set(stored_request_ids(context.store, MODEL)))


def _check_exactly_once(context: Context, requests: set[str]) -> None:
    """Hold the whole chain against what one who reads it from its beginning would decide."""
    assert verify_decisions(context)["problems"] == []
    pending: str | None = None
    decided: dict[str, str] = {}
    begun: list[str] = []
    for entry in read_decisions(context.store, MODEL):
        assert entry.run_id is not None
        if entry.action == "begun":
            assert entry.run_id == pending
            begun.append(entry.run_id)
            pending = None
            continue
        assert pending in {None, entry.run_id}, "two runs are pending"
        pending = entry.run_id
        assert not decided.keys() & set(entry.requests)
        decided |= dict.fromkeys(entry.requests, entry.run_id)
        assert entry.state.num_requests == len(decided)
    assert decided.keys() == requests
    assert len(begun) == len(set(begun))
    assert set(decided.values()) - set(begun) == ({pending} if pending else set())


@pytest.fixture
def wire(s3_settings: StoreSettings) -> Iterator[Wire]:
    """A wire to the S3 server that can be cut."""
    wire = Wire(str(s3_settings.s3_endpoint_url))
    yield wire
    wire.cut()


@pytest.mark.parametrize("what", ["requests", "decisions"])
def test_a_write_to_s3_whose_answer_is_lost_is_neither_lost_nor_doubled(
    what: str, s3_settings: StoreSettings, wire: Wire, tmp_path: Path
) -> None:
    near = s3_settings.model_copy(update={"uri": f"{s3_settings.uri}/{tmp_path.name}"})
    far = near.model_copy(update={"s3_endpoint_url": wire.endpoint_url})
    wire.answer_instead = (rb"PUT \S+/" + what.encode(), b"")
    assert request(context_of(open_store(far)), wish()).outcome == "start"
    assert wire.answer_instead is None
    _check_exactly_once(context_of(open_store(near)), {wish().id})


def test_while_s3_is_down_a_request_and_a_begin_fail_and_succeed_after(
    s3_settings: StoreSettings, wire: Wire, tmp_path: Path
) -> None:
    near = open_store(s3_settings.model_copy(update={"uri": f"{s3_settings.uri}/{tmp_path.name}"}))
    far = open_store(StoreSettings(uri=f"{s3_settings.uri}/{tmp_path.name}", s3_endpoint_url=wire.endpoint_url))
    decided = request(context_of(far), wish(1))
    wire.after_bytes = (wire.bytes_sent + 200, wire.cut)  # in the middle of what comes next
    for act in (lambda: request(context_of(far), wish(2)), lambda: begin(context_of(far), run_of(decided))):
        with pytest.raises(StoreError):
            act()
    again = context_of(near)
    assert request(again, wish(2)).run_id == decided.run_id
    assert begin(again, run_of(decided)).run_id == decided.run_id
    _check_exactly_once(again, {wish(1).id, wish(2).id})
