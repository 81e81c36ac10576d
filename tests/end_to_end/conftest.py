"""One Airflow and one MLflow for all end-to-end tests: real services, real flights, small searches."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from pipelines.local.airflow_api import AirflowApi
from pipelines.local.demo import wait_for_dag
from pipelines.local.follow import Follower
from pipelines.local.services import down, up
from pipelines.local.settings import USER, USERS_VARIABLE, password
from pipelines.spec import load_environment
from tests.end_to_end.language_specs import language_specs, write_conversations

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RETRY_DELAY = "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY=5"
TANDEM = str(Path(sys.executable).with_name("tandem"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run these tests first: a worker takes them as one, and the other one meanwhile what there is of shorter ones."""
    items.sort(key=lambda item: not item.path.is_relative_to(HERE))


@dataclass(frozen=True)
class Workplace:
    """A root with model specs of its own, a home for state, and the address of the services that run on it."""

    root: Path
    home: Path
    links: dict[str, str]
    api: AirflowApi

    def tandem(self, *arguments: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "TANDEM_ROOT": str(self.root), "TANDEM_HOME": str(home or self.home)}
        return subprocess.run([TANDEM, *arguments], env=environment, capture_output=True, text=True, check=False)

    def answer(self, *arguments: str, home: Path | None = None) -> Any:
        done = self.tandem(*arguments, "--json", home=home)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def trigger(self, model: str, run_id: str, conf: Mapping[str, Any]) -> None:
        wait_for_dag(self.api, f"train__{model}")
        self.api.unpause(f"train__{model}")
        assert self.api.trigger(f"train__{model}", run_id, conf)

    def follow(self, model: str, run_id: str) -> str:
        return Follower(self.api, f"train__{model}", run_id, print).follow()

    def task(self, model: str, run_id: str, task_id: str) -> dict[str, Any]:
        (task,) = (task for task in self.api.tasks(f"train__{model}", run_id) if task["task_id"] == task_id)
        return task

    def bearer(self, user: str = USER) -> dict[str, str]:
        """Return the header that names one of Airflow's users."""
        passwords = json.loads((self.home / "airflow" / "passwords.json").read_text())
        login = {"username": user, "password": passwords[user]}
        answer = httpx.post(f"{self.links['airflow_url']}/auth/token", json=login, timeout=30)
        token = answer.json()["access_token"]
        return {"Authorization": f"Bearer {token}"}

    def send(self, method: str, path: str, body: Mapping[str, Any], user: str | None = USER) -> httpx.Response:
        """Speak to Airflow's API as one of its users, or as nobody."""
        headers = {} if user is None else self.bearer(user)
        url = f"{self.links['airflow_url']}/api/v2{path}"
        return httpx.request(method, url, json=dict(body), headers=headers, timeout=30)


def small_spec(name: str, **changes: str) -> str:
    """Return the flights' spec with a month of data and a search that is the same on every machine."""
    text = (ROOT / "config" / "models" / "flight_delay.yaml").read_text()
    changes = {
        "name: flight_delay": f"name: {name}",
        "data_end: 2013-04-01": "data_end: 2013-02-01",
        "last_days: 14": "last_days: 7",
        "budget: {seconds: 90}": "budget: {trials: 6}\n  workers: 2",
        "minimum: 0.62": "minimum: 0.55",  # the storms at the end of January are hard to tell from three weeks
        "slices: [origin]": "slices: [origin]\n  bootstrap_samples: 200",
        **changes,
    }
    for before, after in changes.items():
        assert before in text, before
        text = text.replace(before, after)
    return text


LENIENT = {"minimum: 0.62": "minimum: 0.40", "minimum: 0.55": "minimum: 0.40", "maximum: 0.25": "maximum: 0.90"}
SPECS = {
    "flights": small_spec("flights"),
    "strict": small_spec("strict", **{"minimum: 0.62": "minimum: 0.99"}),
    "killed": small_spec(
        "killed",
        **LENIENT,
        **{
            "data_start: 2013-01-01": "data_start: 2013-03-25",  # a part of two months: two partitions
            "data_end: 2013-04-01": "data_end: 2013-04-06",
            "last_days: 14": "last_days: 3",
            "budget: {seconds: 90}": "budget: {trials: 4}\n  workers: 2",
        },
    ),
    "asked": small_spec(
        "asked",
        **LENIENT,
        **{
            "data_end: 2013-04-01": "data_end: 2013-01-10",
            "last_days: 14": "last_days: 2",
            "budget: {seconds: 90}": "budget: {trials: 1}",
            "no_worse_than_champion_by: 0.005": "no_worse_than_champion_by: 0.5",
        },
    )
    + "\npromotion:\n  approval: human\n",
}
EVENTS_SECRET = "what senders without a user sign with"
EVENTS_QUEUE = "tandem"
WAYS_IN = ("by_bearer", "by_signature", "by_command", "by_queue")
SPECS |= {
    name: SPECS["asked"].replace("name: asked", f"name: {name}").split("\nretraining:")[0].split("\npromotion:")[0]
    + "\nretraining:\n  cooldown_days: 7\n"
    for name in WAYS_IN
}
SPECS["watched"] = (  # any drift asks for a training at once, and no two days have the same weather
    SPECS["asked"].replace("name: asked", "name: watched").split("\nmonitoring:")[0].replace("by: month", "by: day")
    + """
monitoring:
  drift: {minimum_weight: 0, persistence: {needed: 1, windows: 1}}
retraining: {reasons: [drift], cooldown_days: 0, weekly_runs: 9, minimum_new_rows: 100}
"""
)
SPECS["by_key"] = SPECS["by_bearer"].replace("name: by_bearer", "name: by_key")


_SERVICES = ExitStack()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop the services after the last of these tests: others have other settings, and need the cores."""
    if nextitem is None or not nextitem.path.is_relative_to(HERE):
        _SERVICES.close()


@pytest.fixture(scope="session")
def workplace(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, trained_tiny: Path, redis_port: int
) -> Iterator[Workplace]:
    """A root with specs of both kinds, and services that run on it; beside admin Maria may act, and Victor look."""
    root, home = tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("home")
    _write_root(root, tiny_model)
    shutil.copytree(trained_tiny / "home" / "store", home / "store")  # a champion serves already
    with _SERVICES:  # closed here only where the tests were broken off
        yield _SERVICES.enter_context(_running(root, home, redis_port))


def _write_root(root: Path, tiny_model: Path) -> None:
    from tests.steps.watching import SPEC as TINY  # the libraries of a training take seconds

    for folder in ("dags", "plugins"):
        (root / folder).symlink_to(ROOT / folder)
    models = root / "config" / "models"
    models.mkdir(parents=True)
    settings = Path(shutil.copytree(ROOT / "config" / "environments", root / "config" / "environments")) / "airflow.env"
    shipped = settings.read_text()
    assert RETRY_DELAY in shipped
    settings.write_text(shipped.replace(RETRY_DELAY, f"{RETRY_DELAY.split('=')[0]}=1"))  # tests have no time to wait
    for name, text in (SPECS | language_specs(write_conversations(root / "rows.jsonl"), tiny_model)).items():
        (models / f"{name}.yaml").write_text(text)
    (models / "tiny.yaml").write_text(TINY.format(rows=root / "rows", label_delay_days=0))
    (root / "rows").mkdir()


@contextmanager
def _running(root: Path, home: Path, redis_port: int) -> Iterator[Workplace]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TANDEM_ROOT", str(root))
        patch.setenv("TANDEM_HOME", str(home))
        patch.setenv(USERS_VARIABLE, f"{USER}:admin,maria:user,victor:viewer")
        patch.setenv("TANDEM_EVENTS_SECRET", EVENTS_SECRET)
        patch.setenv("TANDEM_EVENTS_QUEUE", f"redis://127.0.0.1:{redis_port}/{EVENTS_QUEUE}")
        with Redis(port=redis_port) as queue:  # somebody asks before anybody is there to hear it
            queue.rpush(EVENTS_QUEUE, json.dumps({"model": "by_queue", "evidence": {"number": "early"}}))
        environment = load_environment()
        try:
            links = {**up(environment).__dict__, "user": USER, "password": password(environment)}
            with AirflowApi(links["airflow_url"], USER, links["password"]) as api:
                yield Workplace(root, home, links, api)
        finally:
            down(environment)
