from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from pipelines.llm.chat_model import ChatModel
from pipelines.llm.packaging import store_package
from pipelines.records import Candidate
from pipelines.registry.versions import check_version, create_version_at
from pipelines.spec import Environment
from pipelines.store.files import FileStore
from pipelines.store.trees import MANIFEST, fetch_tree, store_tree

ASKED = {"messages": [{"role": "user", "content": "What is a list?"}], "max_tokens": 5}


@pytest.fixture
def package(tiny_model: Path, tmp_path: Path) -> tuple[FileStore, str, str]:
    """A stored model with MLflow's files beside it: the store, the key of its manifest, and its hash."""
    store = FileStore(tmp_path / "store")
    key, sha256 = store_tree(store, "toy", tiny_model, "full", "b" * 64)
    store_package(store, key.removesuffix(f"/{MANIFEST}"), "run-1", {"model_card.md": b"# toy"}, 1000)
    return store, key, sha256


@pytest.fixture
def global_mlflow(environment: Environment) -> Iterator[None]:
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(environment.mlflow.tracking_uri)
    yield
    mlflow.set_tracking_uri(before)


def _candidate(key: str, sha256: str, run_id: str = "run-1") -> Candidate:
    return Candidate(
        model="toy", snapshot_id="5" * 64, model_key=key, model_sha256=sha256, training_key="toy/plans/p.json",
        mlflow_run_id=run_id, algorithm="full", validation_metric="validation loss", validation_score=1.0,
        num_trials=1, seconds=1.0, spec_sha256="c" * 64, code_commit="c", environment_sha256="e" * 64,
    )  # fmt: skip


@pytest.mark.usefixtures("global_mlflow")
def test_a_version_by_address_loads_in_mlflow_and_answers_a_conversation(
    package: tuple[FileStore, str, str], environment: Environment, tiny_model: Path
) -> None:
    store, key, sha256 = package
    candidate = _candidate(key, sha256)
    source = f"{store.root}/{key.removesuffix('/' + MANIFEST)}"
    version = create_version_at(environment, candidate, source, {}, "# toy")
    assert create_version_at(environment, candidate, source, {}, "# toy").number == version.number
    check_version(environment, version, candidate)
    (answer,) = mlflow.pyfunc.load_model(f"models:/toy/{version.number}").predict(ASKED)
    (expected,) = ChatModel(tiny_model).predict(ASKED)
    assert answer["choices"] == expected["choices"]
    assert answer["usage"]["completion_tokens"] == 5


def test_mlflows_files_do_not_change_what_the_model_is(package: tuple[FileStore, str, str], tiny_model: Path) -> None:
    store, key, sha256 = package
    with fetch_tree(store, key, sha256) as folder:
        assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in tiny_model.iterdir())


def test_a_version_answers_where_nothing_of_this_project_is_installed(package: tuple[FileStore, str, str]) -> None:
    store, key, _ = package
    folder = Path(store.root.removeprefix("file://")) / Path(key).parent
    code = (
        "import sys\n"
        "class Nothing:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.partition('.')[0] == 'pipelines': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Nothing())\n"
        "import mlflow\n"
        f"print(len(mlflow.pyfunc.load_model({str(folder)!r}).predict({ASKED!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder)
    assert done.stdout.strip() == "1", done.stderr


def test_rows_of_a_frame_are_answered_one_by_one_and_a_row_without_messages_is_named(tiny_model: Path) -> None:
    model = ChatModel(tiny_model)
    frame = pd.DataFrame([ASKED, {**ASKED, "max_tokens": 2}])
    assert [one["usage"]["completion_tokens"] for one in model.predict(frame)] == [5, 2]
    with pytest.raises(ValueError, match="messages is None"):
        model.predict({"prompt": "Hello"})
