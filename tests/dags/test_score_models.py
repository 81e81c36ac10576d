from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from airflow.sdk import DAG

from pipelines.steps.run import SCORING_STEPS

ROOT = Path(__file__).resolve().parents[2]
LLM_SPEC = """
kind: llm
name: helper
description: Answers.
source: {type: files, paths: [rows.jsonl], format: jsonl, partition_by: none}
holdout: {by: key, share: 0.1}
pretrained: {path: /models/tiny}
hardware: {gpus: 8, queue: gpu-nodes}
gates:
  rules:
    - {metric: perplexity, better_than_base_by: 0.1}
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of specs with a copy of the flights' one in it."""
    folder = tmp_path / "config" / "models"
    folder.mkdir(parents=True)
    (folder / "flight_delay.yaml").write_text((ROOT / "config" / "models" / "flight_delay.yaml").read_text())
    monkeypatch.setenv("TANDEM_ROOT", str(tmp_path))
    return folder


def _dags() -> dict[str, DAG]:
    found = runpy.run_path(str(ROOT / "dags" / "score_models.py"))
    return {name: value for name, value in found.items() if isinstance(value, DAG)}


def _scoring(models: Path, text: str) -> DAG:
    path = models / "flight_delay.yaml"
    path.write_text(path.read_text() + f"\nscoring: {{{text}}}\n")
    dag = _dags()["score__flight_delay"]
    assert "broken spec" not in dag.tags, dag.doc_md
    return dag


def test_rows_and_champion_are_both_there_before_a_shard_begins(models: Path) -> None:
    dag = _dags()["score__flight_delay"]
    assert set(dag.task_ids) == set(SCORING_STEPS)
    assert dag.get_task("score").upstream_task_ids == {"ingest", "appoint"}
    assert dag.get_task("collect").upstream_task_ids == {"ingest", "appoint", "score"}


def test_without_a_cron_new_partitions_that_are_announced_start_it(models: Path) -> None:
    dag = _dags()["score__flight_delay"]
    (asset,) = dag.timetable.asset_condition.objects
    assert asset.uri == "tandem://flight_delay/partitions"


def test_a_cron_of_the_spec_starts_it(models: Path) -> None:
    dag = _scoring(models, "cron: '15 6 * * *'")
    assert dag.timetable.expression == "15 6 * * *"
    assert not dag.catchup


def test_a_shard_is_a_mapped_task(models: Path) -> None:
    assert _scoring(models, "shards: 3").get_task("score").expand_input.value["worker"] == [0, 1, 2]


def test_the_page_says_who_answers_beside_the_champion(models: Path) -> None:
    assert "answers 10% of the rows" in str(_scoring(models, "canary_share: 0.1").doc_md)


def test_the_form_begins_where_the_training_data_ends_and_needs_nothing_filled_in(models: Path) -> None:
    params = _dags()["score__flight_delay"].params
    assert params["data_start"] == "2013-04-01"
    assert params["data_end"] is params["as_of"] is None
    assert [name for name in params if "null" not in params.get_param(name).schema["type"]] == []


def test_a_language_model_answers_where_its_hardware_is_on_one_gpu(models: Path) -> None:
    (models / "helper.yaml").write_text(LLM_SPEC)
    dag = _dags()["score__helper"]
    task = dag.get_task("score")
    assert (task.partial_kwargs["pool"], task.partial_kwargs["pool_slots"]) == ("gpu", 1)
    assert task.partial_kwargs["queue"] == "gpu-nodes"
    assert dag.get_task("ingest").pool == "default_pool"
    assert set(dag.params) == {"as_of", "note"}  # its rows have no time, and so no window


def test_a_refusal_is_never_retried_and_a_fault_is(models: Path) -> None:
    from pipelines.errors import DataError, ScoringRefused

    task = _dags()["score__flight_delay"].get_task("appoint")
    assert task.retries == 2
    assert task.retry_policy.evaluate(ScoringRefused("nobody"), 1, 2).action.value == "fail"
    assert task.retry_policy.evaluate(DataError("gone"), 1, 2).action.value != "fail"
