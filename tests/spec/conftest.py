"""A project folder of its own for each test, with the shipped specs in it to be changed."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.errors import Problem, SpecError
from pipelines.spec import load_environment, load_model, project_root

SHIPPED = project_root() / "config"


@dataclass
class Project:
    """A folder with config/ in it."""

    root: Path

    def path(self, file: str) -> Path:
        return self.root / "config" / file

    def change(self, *changes: tuple[str, str], file: str = "models/flight_delay.yaml") -> None:
        text = self.path(file).read_text()
        for before, after in changes:
            assert before in text, before
            text = text.replace(before, after, 1)
        self.path(file).write_text(text)

    def model_problems(self, *changes: tuple[str, str], name: str = "flight_delay") -> list[Problem]:
        """Change the model's file and return what loading it complains about."""
        self.change(*changes, file=f"models/{name}.yaml")
        with pytest.raises(SpecError) as caught:
            load_model(name)
        return caught.value.problems

    def environment_problems(self, name: str | None = None) -> list[Problem]:
        with pytest.raises(SpecError) as caught:
            load_environment(name)
        return caught.value.problems


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in [name for name in os.environ if name.startswith("TANDEM_")]:
        monkeypatch.delenv(name)
    shutil.copytree(SHIPPED, tmp_path / "config", ignore=shutil.ignore_patterns("python_helper.yaml"))
    monkeypatch.setenv("TANDEM_ROOT", str(tmp_path))
    return Project(tmp_path)
