"""Events in a real Airflow: many at once are one run, and a new one is soon a running task.

`python tests/benchmarks/events.py 100` sends 100 events where 1,000 are the measure.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measure import ROOT, median, report, run_child

TANDEM = str(Path(sys.executable).with_name("tandem"))
CLIENTS, TRIES = 20, 9
WAIT_SECONDS = 180
SECRET = "a secret of the benchmark's own, long enough"
RETRAINING = {
    "equal": "{cooldown_days: 7}",
    "different": "{cooldown_days: 7}",
    "eager": "{cooldown_days: 0, weekly_runs: 1000}",
}


def main() -> int:
    """Start Airflow in a home of its own, send events, and stop it."""
    num_events = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        root, home = Path(folder) / "root", Path(folder) / "home"
        write_models(root)
        os.environ |= {"TANDEM_ROOT": str(root), "TANDEM_HOME": str(home), "TANDEM_EVENTS_SECRET": SECRET}
        try:
            links = json.loads(run_child([TANDEM, "up", "--json", "--quiet"]).stdout)
            with Server(links) as server:
                results = [
                    *equal_events(server, num_events),
                    *different_events(server, num_events),
                    until_it_runs(server),
                    faults(server),
                ]
        finally:
            run_child([TANDEM, "down", "--quiet"])
    return 0 if all(results) else 1


def write_models(root: Path) -> None:
    """Write a root with small models whose runs nobody waits for."""
    (root / "config" / "models").mkdir(parents=True)
    for name in ("dags", "plugins"):
        (root / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "config" / "environments", root / "config" / "environments")
    text = (ROOT / "config" / "models" / "flight_delay.yaml").read_text().split("\nretraining:")[0]
    for name, rules in RETRAINING.items():
        spec = text.replace("name: flight_delay", f"name: {name}") + f"\nretraining: {rules}\n"
        (root / "config" / "models" / f"{name}.yaml").write_text(spec)


class Server:
    """The running Airflow, and clients that are signed in to it."""

    def __init__(self, links: dict[str, str]) -> None:
        from pipelines.local.airflow_api import AirflowApi
        from pipelines.local.demo import wait_for_dag

        self.url = links["airflow_url"]
        self.api = AirflowApi(self.url, links["user"], links["password"])
        self._headers = {"Authorization": self.api._client.headers["Authorization"]}
        for name in RETRAINING:
            wait_for_dag(self.api, f"train__{name}")
            self.api.unpause(f"train__{name}")

    def __enter__(self) -> Server:
        self.client = self.new_client()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.api.__exit__()

    def new_client(self) -> Any:
        import httpx

        return httpx.Client(base_url=self.url, headers=self._headers, timeout=120)

    def post(self, event: dict[str, Any]) -> Any:
        return self.client.post("/tandem/events", json=event)

    def runs(self, model: str) -> list[str]:
        return self.api.run_ids(f"train__{model}")

    def begun(self, model: str, run_id: str, step: str = "begin") -> dict[str, Any]:
        """Wait until a task of a run runs, and return it."""
        for _ in self.polls(f"{step} of {run_id}"):
            for task in self.api.tasks(f"train__{model}", run_id):
                if task["task_id"] == step and task["start_date"]:
                    return dict(task)
        raise AssertionError

    def stop(self, model: str, run_id: str) -> None:
        """Let a run begin and then fail: what it would learn is not asked here."""
        for _ in self.polls(f"the end of begin of {run_id}"):
            if self.begun(model, run_id)["state"] == "success":
                break
        path = f"/api/v2/dags/train__{model}/dagRuns/{run_id}"
        self.client.patch(path, json={"state": "failed"}).raise_for_status()

    def until(self, happens: Callable[[], Any], what: str) -> Any:
        """Wait until something is true, and return it."""
        for _ in self.polls(what):
            if found := happens():
                return found
        raise AssertionError

    def polls(self, what: str) -> Iterator[None]:
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            yield
            time.sleep(0.1)
        sys.exit(f"Nothing seen within {WAIT_SECONDS} s: {what}.")


def at_once(server: Server, events: list[dict[str, Any]]) -> tuple[Counter[tuple[int, str]], float, float]:
    """Send events by 20 clients; return the answers counted, seconds in all, and the median of one answer's."""

    def send(share: list[dict[str, Any]]) -> list[tuple[int, str, float]]:
        answers = []
        with server.new_client() as client:
            for event in share:
                started = time.perf_counter()
                answer = client.post("/tandem/events", json=event)
                said = answer.json()
                outcome = said["requests"][0]["outcome"] if answer.is_success else said.get("detail", "")
                answers.append((answer.status_code, outcome, time.perf_counter() - started))
        return answers

    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        shares = pool.map(send, [events[client::CLIENTS] for client in range(CLIENTS)])
        answers = [answer for share in shares for answer in share]
    seconds = time.perf_counter() - started
    return Counter(answer[:2] for answer in answers), seconds, median([answer[2] for answer in answers])


def told(what: str, counted: Counter[tuple[int, str]], seconds: float, one: float) -> None:
    """Print a line for a person."""
    rate = counted.total() / seconds
    print(f"{what}: {seconds:.1f} s in all, {rate:.0f} a second, {one * 1000:.0f} ms each; {dict(counted)}")


def equal_events(server: Server, num_events: int) -> Iterator[bool]:
    """Equal events at once: one run."""
    told(f"{num_events} equal events", *at_once(server, num_events * [{"model": "equal", "evidence": {"number": 1}}]))
    runs = server.runs("equal")
    yield report("events_equal_runs", len(runs), "runs", 1, f"{num_events} equal events by {CLIENTS} clients")
    server.stop("equal", runs[0])


def different_events(server: Server, num_events: int) -> Iterator[bool]:
    """Different events at once while a model cools down: one run, and one follow-up that all of them went into."""
    first = server.post({"model": "different", "evidence": {"number": "first"}}).json()["requests"][0]["run_id"]
    server.stop("different", first)
    counted, *times = at_once(server, [{"model": "different", "evidence": {"number": n}} for n in range(num_events)])
    told(f"{num_events} different events", counted, *times)
    against = f"{num_events} different events in a cooldown"
    yield report("events_different_runs", len(server.runs("different")), "runs", 2, against)
    decided = json.loads(run_child([TANDEM, "decisions", "different", "--json"]).stdout)["decisions"]
    asked = {one for entry in decided if entry["action"] == "requested" for one in entry["requests"]}
    yield report("events_lost", num_events + 1 - len(asked), "events", 0, f"{against}, {len(decided)} decisions")


def until_it_runs(server: Server) -> bool:
    """From sending an event until the first task of the training runs."""
    seconds = []
    for number in range(TRIES):
        started = datetime.now(UTC)
        run_id = server.post({"model": "eager", "evidence": {"number": number}}).json()["requests"][0]["run_id"]
        running = datetime.fromisoformat(server.begun("eager", run_id)["start_date"])
        seconds.append((running - started).total_seconds())
        server.stop("eager", run_id)
    print("from event to running task:", ", ".join(f"{each:.2f}" for each in seconds), "s")
    return report("events_seconds_until_running", median(seconds), "s", 2.0, f"median of {TRIES}, shipped settings")


def faults(server: Server) -> bool:
    """Bodies that nobody should send, and what each is answered."""
    import hashlib
    import hmac

    body, now = b'{"model": "equal", "evidence": {"number": 1}}', str(int(time.time()))
    server.client.post("/tandem/events", content=body)  # known from now on
    code = "sha256=" + hmac.new(SECRET.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
    stamped = {"Authorization": "", "X-Tandem-Timestamp": now}
    cases: dict[str, tuple[int, Callable[[], Any]]] = {
        "10 MB": (413, lambda: server.client.post("/tandem/events", content=b"x" * 10_000_000)),
        "not JSON": (422, lambda: server.client.post("/tandem/events", content=b"{")),
        "unknown model": (422, lambda: server.post({"model": "nobody"})),
        "wrong signature": (
            401,
            lambda: server.client.post(
                "/tandem/events", content=body, headers={**stamped, "X-Tandem-Signature": code[:-1] + "x"}
            ),
        ),
        "signed": (
            200,
            lambda: server.client.post("/tandem/events", content=body, headers={**stamped, "X-Tandem-Signature": code}),
        ),
        "replayed": (
            200,
            lambda: server.client.post("/tandem/events", content=body, headers={**stamped, "X-Tandem-Signature": code}),
        ),
    }
    wrong = 0
    for name, (expected, send) in cases.items():
        answer = send()
        wrong += answer.status_code != expected
        print(f"{name}: {answer.status_code} {answer.text[:120]}")
    return report("events_faults_answered_wrongly", wrong, "answers", 0, ", ".join(cases))


if __name__ == "__main__":
    sys.exit(main())
