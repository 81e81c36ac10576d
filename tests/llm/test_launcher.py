from __future__ import annotations

import fcntl
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from pipelines.errors import TrainingError
from pipelines.llm import launcher
from pipelines.llm.checkpoints import newest
from pipelines.llm.job import TrainingJob
from pipelines.llm.launcher import Event, Patience, launch, worker_environment
from pipelines.llm.sequences import VALIDATION
from tests.llm.training import make_job, make_plan, write_packed, write_sequences

SCRIPT = """
import sys
from pathlib import Path
from pipelines.errors import TrainingError
from pipelines.llm.job import TrainingJob
from pipelines.llm.launcher import launch
def tell(event):
    print(event["event"], event.get("step", ""), event.get("pid", ""), flush=True)

job = TrainingJob.model_validate_json(Path(sys.argv[1]).read_bytes())
try:
    launch(job, tell, Path(sys.argv[2]))
except TrainingError as error:
    print("refused", error, flush=True)
"""
LONG = 400  # steps: more than a test waits for


@pytest.fixture
def job(tiny_model: Path, tmp_path: Path) -> TrainingJob:
    return make_job(tmp_path, tiny_model, write_packed(tmp_path / "packed"), make_plan(num_steps=LONG), early_stop=None)


@contextmanager
def launched(job: TrainingJob, home: Path) -> Iterator[subprocess.Popen[str]]:
    """Give a process that has launched the job; it is ended at last."""
    path = home / "given.json"
    path.write_bytes(job.to_bytes())
    command = [sys.executable, "-c", SCRIPT, str(path), str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(process: subprocess.Popen[str], wanted: str) -> str:
    """Return the line that starts with `wanted`, once the launcher has printed it."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(wanted):
            return line
    raise AssertionError(f"the launcher ended before it told of {wanted!r}")


def gone_within(pid: int, seconds: float) -> bool:
    """Tell whether a process ends in time; a zombie has ended."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.1)
    return False


def test_sigterm_ends_in_a_checkpoint_of_the_step_that_ran(job: TrainingJob, tmp_path: Path) -> None:
    with launched(job, tmp_path) as process:
        worker = int(wait_for(process, "started").split()[2])
        wait_for(process, "step 4")
        process.send_signal(signal.SIGTERM)
        stopped = int(wait_for(process, "stopped").split()[1])
        assert f"did, after step {stopped}, with a checkpoint" in wait_for(process, "refused")
    found = newest(Path(job.checkpoints), "step", job.identity)
    assert found is not None
    assert found.step == stopped
    assert gone_within(worker, 1)


def test_workers_of_a_killed_launcher_write_a_checkpoint_and_end(job: TrainingJob, tmp_path: Path) -> None:
    with launched(job, tmp_path) as process:
        worker = int(wait_for(process, "started").split()[2])
        wait_for(process, "step 4")
        process.kill()
    assert gone_within(worker, 30)
    found = newest(Path(job.checkpoints), "step", job.identity)
    assert found is not None
    assert found.step >= 4


def test_a_second_start_waits_for_the_workers_of_a_killed_launcher(
    job: TrainingJob, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Path(job.checkpoints)
    folder.mkdir()
    with (folder / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(TrainingError, match="Another training still writes"):
            launch(job, print, tmp_path, Patience(stop=0.3))
    assert "waiting for them to end" in caplog.text


def test_a_worker_that_hangs_is_killed_and_told(job: TrainingJob, tmp_path: Path) -> None:
    pids = list[int]()

    def hear(event: Event) -> None:
        if event["event"] == "started":
            pids.append(event["pid"])
        if event["event"] == "step" and event["step"] == 3:
            os.kill(pids[0], signal.SIGSTOP)

    with pytest.raises(TrainingError, match=r"Process 0 of 1 has said nothing for 2 s, .* it hangs"):
        launch(job, hear, tmp_path, Patience(step=2))
    assert gone_within(pids[0], 1)


def test_a_worker_that_is_killed_is_told_with_its_signal(job: TrainingJob, tmp_path: Path) -> None:
    def hear(event: Event) -> None:
        if event["event"] == "started":
            os.kill(event["pid"], signal.SIGKILL)

    with pytest.raises(TrainingError, match="Process 0 of 1 was killed by SIGKILL in step 1"):
        launch(job, hear, tmp_path)


def test_a_port_that_was_given_and_is_taken_is_told(job: TrainingJob, tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        with pytest.raises(TrainingError, match=f"Port {port}, .* is taken"):
            launch(job, print, tmp_path, port=port)


def test_another_port_is_tried_where_the_first_was_taken_meanwhile(
    job: TrainingJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    short = job.model_copy(update={"plan": make_plan(num_steps=1)})
    with socket.socket() as held, socket.socket() as free:
        held.bind(("127.0.0.1", 0))
        held.listen()
        free.bind(("127.0.0.1", 0))
        ports = iter([held.getsockname()[1], free.getsockname()[1]])
        free.close()
        monkeypatch.setattr(launcher, "_free_port", lambda: next(ports))
        assert launch(short, print, tmp_path)["step"] == 1
    assert "was taken before the processes met; another one is tried" in caplog.text


def test_a_full_disk_ends_the_training_and_says_where_it_goes_on(job: TrainingJob, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))  # workers inherit it; the optimizer's state is 1.3 MB
    try:
        with pytest.raises(TrainingError, match=r"checkpoint after step 3 cannot be written .* make room"):
            launch(job, lambda event: None, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert newest(Path(job.checkpoints), "step", job.identity) is None


def test_a_job_for_other_processes_than_are_started_is_refused(job: TrainingJob, tmp_path: Path) -> None:
    launch_of_one = job.plan.launch
    torn = job.model_copy(update={"plan": make_plan(world_size=2).model_copy(update={"launch": launch_of_one})})
    environment = worker_environment(torn, tmp_path, 0, 29_500) | {"WORLD_SIZE": "1"}
    path = tmp_path / "job.json"
    path.write_bytes(torn.to_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.llm.worker", str(path)],
        env={name: value for name, value in environment.items() if name != launcher.WATCH_VARIABLE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "1 processes were started for a plan of 2" in done.stdout


def test_workers_get_what_torchrun_would_give_them(
    job: TrainingJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PET_NODE_RANK", "1")
    plan = make_plan(world_size=4)
    nodes = plan.launch.model_copy(update={"nodes": 2, "processes_per_node": 2, "rendezvous": "node-a:29400"})
    many = job.model_copy(update={"plan": plan.model_copy(update={"launch": nodes})})
    found = worker_environment(many, tmp_path, 1, 29_400)
    wanted = {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "node-a"}
    assert wanted.items() <= found.items()
    assert (found["MASTER_PORT"], found["OMP_NUM_THREADS"], found["HF_HUB_OFFLINE"]) == ("29400", "1", "1")


def test_a_corpus_without_a_sequence_to_validate_on_is_told(job: TrainingJob, tmp_path: Path) -> None:
    write_sequences(Path(job.packed) / VALIDATION, [])
    with pytest.raises(TrainingError, match=f"{VALIDATION} holds no sequence"):
        launch(job, print, tmp_path)
