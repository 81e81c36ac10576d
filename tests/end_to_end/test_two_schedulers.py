"""Two schedulers on one Postgres, and one of them killed: equal requests are one run, and different ones one more."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pipelines.errors import ServiceError
from pipelines.local.airflow_api import AirflowApi
from pipelines.local.processes import Process
from pipelines.local.services import AIRFLOW_PARTS, MIGRATE_COMMAND
from pipelines.local.settings import USER, choose_addresses, password, process_environment
from pipelines.spec import load_environment
from tests.end_to_end.conftest import ROOT, SPECS, Workplace
from tests.end_to_end.services import kill
from tests.end_to_end.waiting import awake, begun, post, runs, states, until
from tests.servers import running_postgres

pytestmark = pytest.mark.timeout(600)
MODEL, DAG_ID = "twice", "train__twice"
COOLDOWN_DAYS = 1e-4  # 8.6 seconds
SCHEDULERS = ("airflow-scheduler", "airflow-scheduler-2")
PARTS = {
    "airflow-api-server": AIRFLOW_PARTS["api-server"],
    **dict.fromkeys(SCHEDULERS, AIRFLOW_PARTS["scheduler"]),
    "airflow-dag-processor": AIRFLOW_PARTS["dag-processor"],
}
CLIENTS, NUM_EQUAL, NUM_DIFFERENT = 10, 50, 10


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """An Airflow of its own with one model, all of whose parts share a Postgres."""
    root, home = tmp_path_factory.mktemp("twice_root"), tmp_path_factory.mktemp("twice_home")
    (root / "dags").mkdir()
    (root / "dags" / "train_models.py").symlink_to(ROOT / "dags" / "train_models.py")
    (root / "plugins").symlink_to(ROOT / "plugins")
    (root / "config" / "models").mkdir(parents=True)
    (root / "config" / "environments").symlink_to(ROOT / "config" / "environments")
    spec = SPECS["by_bearer"].replace("name: by_bearer", f"name: {MODEL}")
    assert "cooldown_days: 7" in spec
    spec = spec.replace("cooldown_days: 7", f"cooldown_days: {COOLDOWN_DAYS}")
    (root / "config" / "models" / f"{MODEL}.yaml").write_text(spec)
    with pytest.MonkeyPatch.context() as patch, running_postgres() as server:
        patch.setenv("TANDEM_ROOT", str(root))
        patch.setenv("TANDEM_HOME", str(home))
        environment = load_environment()
        addresses = choose_addresses(environment)
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg2://", 1)
        variables = process_environment(addresses) | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url}
        subprocess.run(MIGRATE_COMMAND, env=variables, check=True, capture_output=True)
        services = [(Process(name, home), command) for name, command in PARTS.items()]
        try:
            for service, command in services:
                service.start(command, variables)
            links = {**addresses.__dict__, "user": USER, "password": password(environment)}
            with until(lambda: _signed_in(links), "an API server that answers") as api:
                yield Workplace(root, home, links, api)
        finally:
            for service, _ in services:
                if service.is_running():
                    kill(service.name)  # nothing of it is wanted any more


def _signed_in(links: dict[str, str]) -> AirflowApi | None:
    try:
        return AirflowApi(links["airflow_url"], links["user"], links["password"])
    except ServiceError:
        return None


def ask(place: Workplace, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Send events by several clients at once; return what was answered about each."""
    headers = place.bearer()
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda body: post(place, json.dumps(body).encode(), headers), bodies))
    assert {answer.status_code for answer in answers} <= {200, 202}, answers[0].text
    return [request for answer in answers for request in answer.json()["requests"]]


def beating(place: Workplace) -> int:
    """Return how many schedulers are alive, as Airflow sees it."""
    found = place.send("GET", "/jobs?job_type=SchedulerJob&is_alive=true", {}).json()["jobs"]
    return sum(job["state"] == "running" for job in found)


def test_many_requests_under_two_schedulers_are_one_run_and_one_follow_up_which_the_one_left_starts(
    place: Workplace,
) -> None:
    until(lambda: beating(place) == len(SCHEDULERS), "two schedulers")
    awake(place, DAG_ID)
    equal = ask(place, [{"model": MODEL, "evidence": {"month": "2013-01"}}] * NUM_EQUAL)
    assert sorted(one["outcome"] for one in equal) == ["known"] * (NUM_EQUAL - 1) + ["start"]
    (first,) = {one["run_id"] for one in equal}
    begun(place, DAG_ID, first)
    kill(SCHEDULERS[0])
    different = ask(place, [{"model": MODEL, "evidence": {"month": number}} for number in range(NUM_DIFFERENT)])
    assert sorted(one["outcome"] for one in different) == ["fold"] * (NUM_DIFFERENT - 1) + ["start"]
    (follow_up,) = {one["run_id"] for one in different}
    begun(place, DAG_ID, follow_up)

    assert runs(place, DAG_ID).keys() == {first, follow_up}
    assert {states(place, DAG_ID, run_id)["begin"] for run_id in (first, follow_up)} == {("success", 1)}
    decisions = place.answer("decisions", MODEL)["decisions"]
    assert [entry["run_id"] for entry in decisions if entry["action"] == "begun"] == [first, follow_up]
    asked = [request for entry in decisions for request in entry["requests"] if entry["action"] == "requested"]
    assert len(asked) == len(set(asked)) == 1 + NUM_DIFFERENT
