from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import TrainingError
from pipelines.llm.job import TrainingJob, fit_to
from tests.llm.training import make_job, make_plan


def _job(**settings: object) -> TrainingJob:
    return make_job(Path("/home"), Path("/model"), Path("/packed"), make_plan(), **settings)


def test_a_plan_fits_another_number_of_processes_with_the_same_sequences_a_step() -> None:
    plan = make_plan(world_size=4, micro_batch=4, accumulation_steps=3)
    for world_size in (1, 2, 3, 6, 8, 16):
        fitted = fit_to(plan, world_size)
        assert fitted.micro_batch * fitted.accumulation_steps * fitted.world_size == 48
        assert fitted.micro_batch <= 4
        assert fitted.launch.processes_per_node == world_size
        assert fitted.deepspeed["gradient_accumulation_steps"] == fitted.accumulation_steps


def test_sequences_that_cannot_be_shared_evenly_are_refused() -> None:
    with pytest.raises(TrainingError, match="4 sequences a step cannot be shared evenly by 3"):
        fit_to(make_plan(), 3)


def test_a_checkpoint_fits_whatever_the_number_of_processes_or_the_stage() -> None:
    job = _job()
    moved = job.model_copy(update={"plan": fit_to(job.plan, 2).model_copy(update={"zero_stage": 3})})
    assert moved.identity == job.identity


@pytest.mark.parametrize("change", [{"learning_rate": 1e-5}, {"seed": 2}, {"method": "lora"}, {"clip_norm": 0.5}])
def test_a_checkpoint_does_not_fit_other_settings(change: dict[str, object]) -> None:
    assert _job(**change).identity != _job().identity
