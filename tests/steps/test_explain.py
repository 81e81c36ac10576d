from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.data.manifests import Manifest
from pipelines.data.snapshots import read_manifest
from pipelines.errors import UsageError
from pipelines.registry.connection import connect
from pipelines.registry.ledger import entry_key, read_ledger
from pipelines.registry.versions import get_version
from pipelines.spec.gates import Gates
from pipelines.steps.context import Context
from pipelines.steps.explain import explain
from pipelines.steps.roll_back import roll_back

LINKS = [
    "ledger",
    "ledger entry",
    "version in MLflow",
    "verdict",
    "candidate",
    "evaluation",
    "predictions",
    "spec",
    "judgement",
    "model file",
    "model file in MLflow",
    "environment",
    "training run",
    "snapshot",
    "raw all",
    "clean all",
    "training all",
    "holdout all",
    "quality report",
]


def _link(answer: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [link for link in answer["links"] if link["link"] == name]
    return dict(found)


def _alter(context: Context, key: str) -> None:
    data = bytearray(context.store.read(key))
    data[len(data) // 2] ^= 1
    context.store.write(key, bytes(data))


def _manifest(context: Context) -> Manifest:
    snapshot_id = _link(explain(context), "snapshot")["sha256"]
    return read_manifest(context.store, "tiny", snapshot_id)


def test_the_champion_is_explained_from_the_ledger_to_the_raw_data(champions: Any) -> None:
    answer = explain(champions(2).context)
    assert [link["link"] for link in answer["links"]] == LINKS
    assert (answer["version"], answer["serves"], answer["verified"], answer["problems"]) == (2, True, True, [])
    assert all(link["verified"] for link in answer["links"])


def test_an_answer_is_plain_json(champions: Any) -> None:
    answer = explain(champions(1).context)
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer


def test_the_links_say_what_a_person_asks(champions: Any) -> None:
    answer = explain(champions(1).context)
    assert _link(answer, "ledger entry")["says"]["by"] == "ada"
    assert "roc_auc = 0.800" in str(_link(answer, "verdict")["says"]["results"])
    assert _link(answer, "snapshot")["says"]["source"]["paths"] == ["rows.csv"]
    assert _link(answer, "training run")["says"]["url"].startswith("http://127.0.0.1:5000/#/experiments/")
    assert any(line.startswith("python==3.11") for line in _link(answer, "environment")["says"]["packages"])


def test_another_version_than_the_champion_can_be_asked_for(champions: Any) -> None:
    answer = explain(champions(2).context, version=1)
    assert (answer["version"], answer["serves"], answer["verified"]) == (1, False, True)


def test_a_version_that_never_served_is_explained_from_its_tags(champions: Any) -> None:
    workshop = champions(1)
    version = workshop.registered().version
    answer = explain(workshop.context, version)
    assert [link["link"] for link in answer["links"]] == [name for name in LINKS if name != "ledger entry"]
    assert (answer["serves"], answer["verified"]) == (False, True)


def test_after_a_rollback_the_entry_of_the_rollback_is_told(champions: Any) -> None:
    workshop = champions(2)
    roll_back(workshop.context, 1, "slow", "grace")
    said = _link(explain(workshop.context), "ledger entry")["says"]
    assert (said["action"], said["reason"], said["by"]) == ("roll_back", "slow", "grace")


def test_without_a_champion_there_is_nothing_to_explain(workshop: Any) -> None:
    with pytest.raises(UsageError, match="tiny has no champion to explain"):
        explain(workshop.context)


def test_a_version_that_is_nowhere_is_refused(champions: Any) -> None:
    with pytest.raises(UsageError, match="tiny has no version 9 to explain"):
        explain(champions(1).context, version=9)


@pytest.mark.parametrize(
    "name", ["verdict", "candidate", "evaluation", "predictions", "model file", "raw all", "clean all", "holdout all"]
)
def test_one_altered_byte_breaks_its_link_and_is_named(champions: Any, name: str) -> None:
    context = champions(1).context
    key = _link(explain(context), name)["key"]
    _alter(context, key)
    answer = explain(context)
    link = _link(answer, name)
    assert (answer["verified"], link["verified"]) == (False, False)
    assert key in link["problem"]
    assert link["problem"] in answer["problems"]


def test_a_broken_ledger_is_a_problem_and_the_version_is_explained_all_the_same(champions: Any) -> None:
    context = champions(2).context
    _alter(context, entry_key("tiny", 1))
    answer = explain(context, version=2)
    assert not _link(answer, "ledger")["verified"]
    assert _link(answer, "verdict")["verified"]


def test_missing_data_is_named(champions: Any) -> None:
    context = champions(1).context
    key = _manifest(context).training.train.partitions[0].key
    context.store.delete(key)
    assert key in _link(explain(context), "training all")["problem"]


def test_a_version_altered_in_mlflow_is_named(workshop: Any) -> None:
    workshop.promote_one()
    source = get_version(workshop.context.environment, "tiny", 1).source
    (Path(source.removeprefix("file://")) / "tandem" / "spec.json").write_text("{}")
    link = _link(explain(workshop.context), "spec")
    assert "spec.json of version 1 has SHA-256" in link["problem"]


def test_a_version_lost_in_mlflow_leaves_the_rest_to_be_told(champions: Any) -> None:
    workshop = champions(2)
    client = connect(workshop.context.environment)
    client.delete_model_version("tiny", "1")
    answer = explain(workshop.context, version=1)
    assert not _link(answer, "version in MLflow")["verified"]
    assert _link(answer, "snapshot")["verified"]


def test_rules_changed_since_are_taken_from_the_version(champions: Any) -> None:
    context = champions(1).context
    gates = Gates.model_validate({"rules": [{"metric": "roc_auc", "minimum": 0.99}]})
    changed = Context(context.spec.model_copy(update={"gates": gates}), context.environment, context.store)
    assert _link(explain(changed), "judgement")["says"]["rules"] == context.spec.rules_sha256


def test_explaining_changes_nothing(champions: Any) -> None:
    context = champions(1).context
    before = [(info.key, info.tag) for info in context.store.list()]
    explain(context)
    assert [(info.key, info.tag) for info in context.store.list()] == before
    assert len(read_ledger(context.store, "tiny")) == 1
