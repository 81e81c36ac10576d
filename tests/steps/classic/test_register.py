from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow.models import Model

from pipelines.classic.estimators.persistence import load_model
from pipelines.data.snapshots import read_holdout
from pipelines.errors import IntegrityError, PromotionRefused, RegistryError
from pipelines.records import sha256_of
from pipelines.registry.connection import connect
from pipelines.registry.versions import find_or_create_logged_model, get_version
from pipelines.steps.classic.register import register
from pipelines.steps.context import Context


@pytest.fixture
def global_mlflow(workshop: Any) -> Iterator[None]:
    """What people do in a notebook: point MLflow itself at the registry."""
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(workshop.context.environment.mlflow.tracking_uri)
    yield
    mlflow.set_tracking_uri(before)


def _folder(context: Context, version: int) -> Path:
    return Path(get_version(context.environment, "tiny", version).source.removeprefix("file://"))


def _versions(context: Context) -> list[int]:
    found = connect(context.environment).search_model_versions("name = 'tiny'")
    return sorted(int(version.version) for version in found)


def _without_mlflow(context: Context, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    settings = context.environment.mlflow.model_copy(update={"tracking_uri": "http://127.0.0.1:9"})
    return Context(context.spec, context.environment.model_copy(update={"mlflow": settings}), context.store)


@pytest.mark.usefixtures("global_mlflow")
def test_the_registered_model_loads_by_mlflow_alone_and_answers_as_the_candidate(workshop: Any) -> None:
    candidate = workshop.candidate()
    registered = register(workshop.context, workshop.judged(candidate))
    holdout = read_holdout(workshop.context.store, "tiny", candidate.snapshot_id)
    with workshop.context.store.fetch(candidate.model_key) as path:
        expected = load_model(path).predict_proba(holdout)
    frame = holdout.select(["x", "n", "kind"]).to_pandas()
    uri = f"models:/tiny/{registered.version}"
    np.testing.assert_array_equal(mlflow.sklearn.load_model(uri).predict_proba(frame), expected)
    np.testing.assert_array_equal(mlflow.pyfunc.load_model(uri).predict(frame), expected)


def test_the_version_holds_the_very_bytes_that_were_judged_and_no_pickle(workshop: Any) -> None:
    candidate = workshop.candidate()
    folder = _folder(workshop.context, register(workshop.context, workshop.judged(candidate)).version)
    assert sha256_of((folder / "model.skops").read_bytes()) == candidate.model_sha256
    assert Model.load(folder).flavors["sklearn"]["serialization_format"] == "skops"
    assert not [path for path in folder.rglob("*") if path.suffix in {".pkl", ".pickle", ".joblib"}]


def test_an_integer_that_is_sometimes_missing_is_declared_a_double(workshop: Any) -> None:
    model = Model.load(_folder(workshop.context, workshop.registered().version))
    assert {name: str(kind.type) for name, kind in model.signature.inputs.input_dict().items()} == {
        "x": "DataType.double",
        "n": "DataType.double",
        "kind": "DataType.string",
    }
    assert model.signature.outputs.to_dict()[0]["tensor-spec"] == {"dtype": "float64", "shape": (-1, 2)}


def test_the_version_carries_an_example_and_its_requirements(workshop: Any) -> None:
    folder = _folder(workshop.context, workshop.registered().version)
    assert Model.load(folder).load_input_example(str(folder)).shape == (5, 3)
    requirements = (folder / "requirements.txt").read_text().split()
    assert [line.split("==")[0] for line in requirements] == [
        "mlflow",
        "numpy",
        "pandas",
        "pyarrow",
        "scikit-learn",
        "scipy",
        "skops",
    ]


def test_the_version_says_where_all_of_it_comes_from(workshop: Any) -> None:
    candidate = workshop.candidate()
    judged = workshop.judged(candidate)
    version = get_version(workshop.context.environment, "tiny", register(workshop.context, judged).version)
    assert version.tags == {
        "tandem.candidate_sha256": candidate.sha256,
        "tandem.model_sha256": candidate.model_sha256,
        "tandem.verdict_sha256": judged.verdict_sha256,
        "tandem.evaluation_sha256": judged.evaluation_key.split("/")[-1].removesuffix(".json"),
        "tandem.snapshot_id": candidate.snapshot_id,
        "tandem.code_commit": candidate.code_commit,
        "tandem.spec_sha256": workshop.context.spec.sha256,
        "tandem.environment_sha256": candidate.environment_sha256,
    }


def test_the_model_card_is_the_versions_description_and_lies_beside_the_model(workshop: Any) -> None:
    candidate = workshop.candidate()
    registered = register(workshop.context, workshop.judged(candidate))
    found = connect(workshop.context.environment).get_model_version("tiny", str(registered.version))
    card = (_folder(workshop.context, registered.version) / "tandem" / "model_card.md").read_text()
    assert found.description == card
    for text in ("Tells whether y follows from x.", "| roc_auc | all | 0.8000 |", candidate.snapshot_id, "## Limits"):
        assert text in card


def test_registering_again_makes_no_second_version(workshop: Any) -> None:
    judged = workshop.judged(workshop.candidate())
    assert register(workshop.context, judged) == register(workshop.context, judged)
    assert _versions(workshop.context) == [1]


def test_an_attempt_that_was_cut_off_is_gone_on_with(workshop: Any) -> None:
    candidate = workshop.candidate()
    tags = {"tandem.candidate_sha256": candidate.sha256}
    begun = find_or_create_logged_model(workshop.context.environment, candidate, tags)
    registered = register(workshop.context, workshop.judged(candidate))
    assert begun in str(_folder(workshop.context, registered.version))


def test_an_attempt_killed_just_before_the_version_is_gone_on_with(workshop: Any, tmp_path: Path) -> None:
    candidate = workshop.candidate()
    judged = workshop.judged(candidate)
    context, client = workshop.context, connect(workshop.context.environment)
    register(context, judged)
    client.delete_registered_model("tiny")  # all that is left is what was written before the version
    assert register(context, judged).version == 1
    experiment_id = client.get_run(candidate.mlflow_run_id).info.experiment_id
    assert len(client.search_logged_models([experiment_id])) == 1


def test_a_candidate_judged_again_keeps_its_version_and_gets_the_new_verdict(workshop: Any) -> None:
    candidate = workshop.candidate()
    first = register(workshop.context, workshop.judged(candidate))
    judged = workshop.judged(candidate, roc_auc=0.9)
    second = register(workshop.context, judged)
    version = get_version(workshop.context.environment, "tiny", second.version)
    assert (second.version, version.tags["tandem.verdict_sha256"]) == (first.version, judged.verdict_sha256)


def test_two_that_register_one_candidate_at_once_get_one_version(workshop: Any) -> None:
    judged = workshop.judged(workshop.candidate())
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: register(workshop.context, judged), range(2)))
    assert made[0] == made[1]
    assert _versions(workshop.context) == [made[0].version]


@pytest.mark.parametrize("roc_auc", [0.5, None])
def test_what_the_gate_did_not_let_pass_is_not_registered(workshop: Any, roc_auc: float | None) -> None:
    with pytest.raises(PromotionRefused, match="the verdict is reject, and only promote is registered"):
        register(workshop.context, workshop.judged(workshop.candidate(), roc_auc=roc_auc))
    assert _versions(workshop.context) == []


@pytest.mark.parametrize("record", ["verdict_key", "evaluation_key", "candidate_key"])
def test_a_record_altered_by_one_byte_is_named_and_nothing_is_registered(workshop: Any, record: str) -> None:
    judged = workshop.judged(workshop.candidate())
    key = getattr(judged, record)
    data = bytearray(workshop.context.store.read(key))
    data[len(data) // 2] ^= 1
    workshop.context.store.write(key, bytes(data))
    with pytest.raises(IntegrityError, match=key):
        register(workshop.context, judged)
    assert _versions(workshop.context) == []


def test_a_model_altered_by_one_byte_is_named_and_nothing_is_registered(workshop: Any) -> None:
    candidate = workshop.candidate()
    data = bytearray(workshop.context.store.read(candidate.model_key))
    data[100] ^= 1
    workshop.context.store.write(candidate.model_key, bytes(data))
    with pytest.raises(IntegrityError, match=candidate.model_key):
        register(workshop.context, workshop.judged(candidate))
    assert _versions(workshop.context) == []


def test_a_candidate_trained_by_another_spec_is_refused(workshop: Any) -> None:
    judged = workshop.judged(workshop.candidate())
    other = workshop.context.spec.model_copy(update={"description": "Something else."})
    context = Context(other, workshop.context.environment, workshop.context.store)
    with pytest.raises(PromotionRefused, match=r"trained by spec .*train again, or take the change back"):
        register(context, judged)


def test_with_mlflow_down_nothing_is_registered_and_a_retry_works(
    workshop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = workshop.judged(workshop.candidate())
    with pytest.raises(RegistryError, match=r"MLflow does not answer at http://127.0.0.1:9 .*nothing was promoted"):
        register(_without_mlflow(workshop.context, monkeypatch), judged)
    assert _versions(workshop.context) == []
    assert register(workshop.context, judged).version == 1
