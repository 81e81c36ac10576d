"""What holds for the DAGs of every model, whatever they are for."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.sdk import DAG

ROOT = Path(__file__).resolve().parents[2]
PER_MODEL = [
    ("train", "train_models"),
    ("score", "score_models"),
    ("monitor", "monitor_models"),
    ("roll_back", "roll_back_models"),
]
HEAVY = ["torch", "mlflow", "sklearn", "great_expectations", "duckdb", "pandas", "numpy", "pyarrow"]


def _parse(file: str) -> dict[str, DAG]:
    found = runpy.run_path(str(ROOT / "dags" / f"{file}.py"))
    return {name: value for name, value in found.items() if isinstance(value, DAG)}


@pytest.mark.parametrize(("kind", "file"), PER_MODEL)
def test_a_broken_spec_shows_its_problems_and_leaves_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, file: str
) -> None:
    models = tmp_path / "config" / "models"
    models.mkdir(parents=True)
    good = (ROOT / "config" / "models" / "flight_delay.yaml").read_text()
    (models / "flight_delay.yaml").write_text(good)
    broken = good.replace("name: flight_delay", "name: broken").replace("task: binary", "task: binry")
    (models / "broken.yaml").write_text(broken)
    monkeypatch.setenv("TANDEM_ROOT", str(tmp_path))
    dags = _parse(file)
    assert "broken spec" in dags[f"{kind}__broken"].tags
    assert "binry" in str(dags[f"{kind}__broken"].doc_md)
    assert "broken spec" not in dags[f"{kind}__flight_delay"].tags


@pytest.mark.parametrize("file", sorted(path.stem for path in (ROOT / "dags").glob("*.py")))
def test_parsing_imports_no_heavy_library(file: str) -> None:
    code = f"import sys, {file}; print([name for name in {HEAVY} if name in sys.modules])"
    paths = os.pathsep.join([str(ROOT / "dags"), str(ROOT / "plugins")])
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("kind", "file"), PER_MODEL)
def test_two_parses_serialize_alike_so_that_dag_versions_do_not_multiply(kind: str, file: str) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    first, second = (DagSerialization.to_dict(_parse(file)[f"{kind}__flight_delay"]) for _ in range(2))
    assert first == second
    assert DagSerialization.from_dict(first).dag_id == f"{kind}__flight_delay"
