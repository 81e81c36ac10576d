"""One Airflow and one MLflow for all end-to-end tests: real services, real flights, a small search."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines.local.airflow_api import AirflowApi
from pipelines.local.services import down, up
from pipelines.local.settings import USER, password
from pipelines.spec import load_environment

ROOT = Path(__file__).resolve().parents[2]
TANDEM = str(Path(sys.executable).with_name("tandem"))


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


def small_spec(name: str, **changes: str) -> str:
    """Return the flights' spec with a month of data and a search that is the same on every machine."""
    text = (ROOT / "config" / "models" / "flight_delay.yaml").read_text()
    changes = {
        "name: flight_delay": f"name: {name}",
        "data_end: 2013-04-01": "data_end: 2013-02-01",
        "last_days: 14": "last_days: 7",
        "budget: {seconds: 90}": "budget: {trials: 6}\n  workers: 2",
        "minimum: 0.62": "minimum: 0.55",  # the storms at the end of January are hard to tell from three weeks
        "maximum: 0.20": "maximum: 0.25",
        "slices: [origin]": "slices: [origin]\n  bootstrap_samples: 200",
        **changes,
    }
    for before, after in changes.items():
        assert before in text, before
        text = text.replace(before, after)
    return text


@pytest.fixture(scope="module")  # no longer: an idle Airflow still takes a quarter of a core from the tests after it
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """A root with the specs `flights` and `strict`, whose gate nothing passes, and services that run on it."""
    root, home = tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("home")
    for folder in ("dags", "plugins"):
        (root / folder).symlink_to(ROOT / folder)
    models = root / "config" / "models"
    models.mkdir(parents=True)
    (root / "config" / "environments").symlink_to(ROOT / "config" / "environments")
    (models / "flights.yaml").write_text(small_spec("flights"))
    (models / "strict.yaml").write_text(small_spec("strict", **{"minimum: 0.62": "minimum: 0.99"}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TANDEM_ROOT", str(root))
        patch.setenv("TANDEM_HOME", str(home))
        environment = load_environment()
        try:
            links = {**up(environment).__dict__, "user": USER, "password": password(environment)}
            with AirflowApi(links["airflow_url"], USER, links["password"]) as api:
                yield Workplace(root, home, links, api)
        finally:
            down(environment)
