from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import SVC

from pipelines.classic.estimators.calibration import Calibrator
from pipelines.classic.estimators.persistence import load_model, save_model
from pipelines.classic.estimators.preprocessing import TableReader
from pipelines.classic.search.assembly import assemble
from pipelines.classic.search.clock import Clock
from pipelines.classic.search.configuration import Configuration
from pipelines.classic.search.fitting import fit_pipeline
from pipelines.classic.search.portfolio import portfolio
from pipelines.errors import IntegrityError

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def small(configuration: Configuration) -> Configuration:
    fewer = {"max_iter": 4, "n_estimators": 3, "components": 10}
    params = {name: fewer.get(name, value) for name, value in configuration.params.items()}
    return configuration.model_copy(update={"params": params})


@pytest.fixture
def model(planned: Callable[..., Any]) -> Callable[[str, str], Pipeline]:
    """Fit everything that a portfolio has, a little, and average it."""

    def fit(task: str, metric: str) -> Pipeline:
        _, rows, _ = planned(task, num_rows=120)
        configurations = portfolio(metric, len(rows.classes), len(rows.y), 3.0 if task == "regression" else None, 60.0)
        members = [fit_pipeline(small(own), rows.shape, 0, rows.X, rows.y, Clock(), None)[0] for own in configurations]
        calibrators = [None, *[Calibrator(1.1, 0.0)] * (len(members) - 1)]
        return assemble(rows, members, [1 / len(members)] * len(members), calibrators, Calibrator(0.9, 0.0))

    return fit


@pytest.mark.parametrize(
    ("task", "metric"), [("binary", "f1"), ("multiclass", "log_loss"), ("regression", "mae"), ("regression", "rmse")]
)
def test_every_configuration_can_be_saved_and_answers_the_same_when_loaded(
    model: Callable[[str, str], Pipeline], table: Callable[..., pa.Table], tmp_path: Path, task: str, metric: str
) -> None:
    fitted, rows = model(task, metric), table(50, task, seed=9)
    save_model(fitted, tmp_path / "model.skops")
    loaded = load_model(tmp_path / "model.skops")
    answer = "predict" if task == "regression" else "predict_proba"
    assert (getattr(loaded, answer)(rows) == getattr(fitted, answer)(rows)).all()
    save_model(loaded, tmp_path / "again.skops")
    assert (tmp_path / "again.skops").read_bytes() == (tmp_path / "model.skops").read_bytes()


SAVE = """
import sys
from pathlib import Path
import numpy as np, pyarrow as pa
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.pipeline import make_pipeline
from pipelines.classic.estimators.persistence import save_model
from pipelines.classic.estimators.preprocessing import TableReader

def fit():
    table = pa.table({"x": np.arange(50.0), "c": ["a", "b"] * 25})
    model = make_pipeline(TableReader(["x", "c"]), ExtraTreesClassifier(20, random_state=0))
    return model.fit(table, np.arange(50) % 3)

if __name__ == "__main__":
    save_model(fit(), Path(sys.argv[1]))
"""


def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", SAVE, str(tmp_path / "theirs")], check=True)
    here: dict[str, Any] = {"__name__": "here"}
    exec(SAVE, here)
    save_model(here["fit"](), tmp_path / "ours")
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def rows() -> tuple[pa.Table, np.ndarray]:
    return pa.table({"x": np.arange(40.0)}), np.arange(40) % 2


def test_a_type_that_is_not_on_the_list_is_neither_saved_nor_loaded(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    with pytest.raises(IntegrityError, match=r"not on the list of trusted types: sklearn\.svm\._classes\.SVC"):
        save_model(make_pipeline(TableReader(["x"]), SVC()).fit(*rows()), path)
    assert not path.exists()
    save_model(make_pipeline(TableReader(["x"]), HistGradientBoostingClassifier(max_iter=2)).fit(*rows()), path)
    change_schema(
        path, lambda text: text.replace("pipelines.classic.estimators.preprocessing", "pipelines.classic.other")
    )
    with pytest.raises(IntegrityError, match=r"trusted types: pipelines\.classic\.other\.TableReader"):
        load_model(path)


def test_a_way_of_building_that_is_not_on_the_list_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    save_model(make_pipeline(TableReader(["x"]), HistGradientBoostingClassifier(max_iter=2)).fit(*rows()), path)
    change_schema(path, lambda text: text.replace('"__loader__":"DictNode"', '"__loader__":"MethodNode"', 1))
    with pytest.raises(IntegrityError, match="MethodNode"):
        load_model(path)


def test_a_tree_that_points_outside_of_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    model = make_pipeline(TableReader(["x"]), HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=2)).fit(
        *rows()
    )
    save_model(model, path)
    load_model(path)
    model.steps[-1][1]._predictors[0][0].nodes["left"][0] = 1_000_000
    save_model(model, path)
    with pytest.raises(IntegrityError, match="a tree whose nodes point outside of it"):
        load_model(path)


@pytest.mark.parametrize("damage", [b"", b"no zip at all", "half"])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: bytes | str) -> None:
    path = tmp_path / "model.skops"
    save_model(make_pipeline(TableReader(["x"]), HistGradientBoostingClassifier(max_iter=2)).fit(*rows()), path)
    data = path.read_bytes()
    path.write_bytes(damage if isinstance(damage, bytes) else data[: len(data) // 2])
    with pytest.raises(IntegrityError, match="no model that this version can read"):
        load_model(path)


def test_the_file_holds_no_pickle_and_no_time(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    save_model(make_pipeline(TableReader(["x"]), HistGradientBoostingClassifier(max_iter=2)).fit(*rows()), path)
    with zipfile.ZipFile(path) as archive:
        assert {Path(info.filename).suffix for info in archive.infolist()} == {".npy", ".json"}
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        for info in archive.infolist():
            if info.filename.endswith(".npy"):
                np.load(io.BytesIO(archive.read(info)), allow_pickle=False)


def change_schema(path: Path, change: Callable[[str], str]) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    before = hashlib.sha256(entries["schema.json"]).hexdigest()
    entries["schema.json"] = change(entries["schema.json"].decode()).encode()
    assert hashlib.sha256(entries["schema.json"]).hexdigest() != before
    json.loads(entries["schema.json"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
