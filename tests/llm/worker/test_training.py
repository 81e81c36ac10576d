from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from pipelines.errors import TrainingDiverged, TrainingError
from pipelines.llm.launcher import Event, launch
from pipelines.llm.sequences import VALIDATION, PackedSequences
from pipelines.llm.worker.loss import AnswerLoss
from tests.llm.training import make_job, make_plan, write_packed

Losses = dict[int, float]


class Trainer:
    """Runs small trainings in one folder each."""

    def __init__(self, home: Path, model: Path) -> None:
        self.home, self.model = home, model
        self.packed = write_packed(home / "packed")
        self.events = list[Event]()

    def train(self, name: str, kill_after: int | None = None, **given: Any) -> Losses:
        """Return the loss of each step; `kill_after` kills the first process when it tells of that step."""
        planned = {
            "world_size",
            "zero_stage",
            "num_steps",
            "precision",
            "accumulation_steps",
            "activation_checkpointing",
        }
        plan = make_plan(**{key: value for key, value in given.items() if key in planned})
        settings = {key: value for key, value in given.items() if key not in planned - {"precision"}}
        self.events = []

        def hear(event: Event) -> None:
            self.events.append(event)
            if event["event"] == "step" and event["step"] == kill_after:
                os.kill(self.first("started")["pid"], signal.SIGKILL)

        try:
            launch(make_job(self.home / name, self.model, self.packed, plan, **settings), hear, self.home)
        except TrainingError:
            if kill_after is None:
                raise
        return {event["step"]: event["loss"] for event in self.events if event["event"] == "step"}

    def first(self, name: str) -> Event:
        return next(event for event in self.events if event["event"] == name)

    def loss_of(self, folder: Path) -> float:
        """Return the validation loss of a model's folder, in plain transformers."""
        model = AnswerLoss(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16))
        data = PackedSequences(self.packed / VALIDATION)
        summed = count = 0.0
        with torch.no_grad():
            for one in (data[number] for number in range(len(data))):
                tensors = [torch.from_numpy(values)[None] for values in (one.input_ids, one.position_ids, one.labels)]
                summed += float(model(*tensors))
                count += int((one.labels >= 0).sum())
        return summed / count


@pytest.fixture(scope="module")
def trainer(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    return Trainer(tmp_path_factory.mktemp("trainings"), tiny_model)


@pytest.fixture(scope="module")
def uninterrupted(trainer: Trainer) -> Losses:
    return trainer.train("uninterrupted")


@pytest.fixture(scope="module")
def still() -> dict[str, Losses]:
    """The losses of uninterrupted trainings by method, filled in by the first test that needs them."""
    return {}


@pytest.mark.parametrize(("zero_stage", "precision"), [(0, "fp32"), (1, "bf16"), (3, "bf16")])
def test_every_stage_of_zero_learns_the_same(
    zero_stage: int, precision: str, trainer: Trainer, uninterrupted: Losses
) -> None:
    losses = trainer.train(f"zero-{zero_stage}", zero_stage=zero_stage, precision=precision)
    assert losses == pytest.approx(uninterrupted, abs=2e-3)
    assert losses[8] < losses[1] - 0.3


def test_the_best_weights_are_a_model_that_loads_and_costs_what_was_told(
    trainer: Trainer, uninterrupted: Losses, tiny_model: Path
) -> None:
    trainer.train("uninterrupted")  # from its last checkpoint
    folder = trainer.home / "uninterrupted" / "model"
    done = trainer.first("done")
    assert trainer.loss_of(folder) == pytest.approx(done["best_loss"], abs=0.01)
    assert trainer.loss_of(tiny_model) == pytest.approx(done["base_loss"], abs=0.01)
    assert done["best_loss"] < done["base_loss"] - 0.2
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.chat_template == AutoTokenizer.from_pretrained(tiny_model).chat_template
    assert not list(folder.rglob("*.bin")) + list(folder.rglob("*.pt"))


@pytest.mark.parametrize("zero_stage", [2, 3])
def test_adapters_are_kept_beside_merged_weights_that_load_without_peft(zero_stage: int, trainer: Trainer) -> None:
    name = f"lora-{zero_stage}"
    losses = trainer.train(name, method="lora", zero_stage=zero_stage, learning_rate=1e-2)
    folder = trainer.home / name / "model"
    assert losses[8] < losses[1] - 0.1
    assert trainer.loss_of(folder) == pytest.approx(trainer.first("done")["best_loss"], abs=0.02)
    config = json.loads((folder / "adapter" / "adapter_config.json").read_text())
    assert "/" not in config["base_model_name_or_path"]
    assert config["target_modules"] == sorted(config["target_modules"])
    assert (folder / "adapter" / "adapter_model.safetensors").stat().st_size < 200_000


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_resume_after_kill_9_equals_the_uninterrupted_run(method: str, trainer: Trainer) -> None:
    given: dict[str, Any] = {"method": method}
    if method == "lora":
        given["lora"] = {"rank": 8, "dropout": 0.1}  # chance must go on where it was, too
    whole = trainer.train(f"whole-{method}", **given)
    killed = trainer.train(f"killed-{method}", kill_after=5, **given)
    assert max(killed) == 5
    resumed = trainer.train(f"killed-{method}", **given)
    assert trainer.first("started")["step"] == 3
    assert {**killed, **resumed} == whole
    models = [trainer.home / f"{name}-{method}" / "model" / "model.safetensors" for name in ("whole", "killed")]
    assert models[0].read_bytes() == models[1].read_bytes()


@pytest.mark.parametrize(
    ("zero_stage", "method"),
    [
        pytest.param(1, "full", marks=pytest.mark.slow),
        pytest.param(2, "full", marks=pytest.mark.slow),
        (2, "lora"),
        (3, "full"),
    ],
)
def test_from_two_workers_to_one_and_back_the_loss_goes_on(
    zero_stage: int, method: str, trainer: Trainer, still: dict[str, Losses]
) -> None:
    given: dict[str, Any] = {"zero_stage": zero_stage, "method": method, "precision": "fp32"}
    two, one = {"world_size": 2, "accumulation_steps": 1, **given}, {**given}
    name = f"moved-{zero_stage}-{method}"
    if method not in still:  # one for all stages: in fp32 they agree
        still[method] = trainer.train(f"still-{method}", method=method, precision="fp32")
    losses = trainer.train(name, kill_after=4, **two)
    losses |= trainer.train(name, kill_after=7, **one)
    assert trainer.first("started")["step"] == 3
    losses |= trainer.train(name, **two)
    assert trainer.first("started")["step"] == 6
    assert losses == pytest.approx(still[method], abs=1e-4)


def test_the_best_weights_are_those_that_learnt_most_among_those_that_forgot_little(trainer: Trainer) -> None:
    given = {"learning_rate": 0.01, "schedule": "constant", "evaluate_every": 3, "early_stop": None}
    trainer.train("frontier", num_steps=12, forgetting_margin=0.2, **given)
    looks = [event for event in trainer.events if event["event"] == "validation"]
    most = looks[0]["general_loss"] + 0.2
    remembering = [look for look in looks[1:] if look["general_loss"] <= most]
    best = min(remembering, key=lambda look: look["loss"])
    done = trainer.first("done")
    assert (done["best_step"], done["best_loss"]) == (best["step"], best["loss"])
    assert done["best_general_loss"] == best["general_loss"] <= most
    assert best["step"] != min(looks, key=lambda look: look["loss"])["step"], "the lowest loss was the best all along"
    assert trainer.loss_of(trainer.home / "frontier" / "model") == pytest.approx(best["loss"], abs=0.01)


def test_activation_checkpointing_changes_nothing_but_memory(trainer: Trainer, uninterrupted: Losses) -> None:
    losses = trainer.train("recomputed", activation_checkpointing=True, num_steps=3)
    assert losses[1] == uninterrupted[1]
    assert losses[3] == pytest.approx(uninterrupted[3], abs=0.05)


def test_an_exploding_loss_stops_with_the_documents_of_its_batch(trainer: Trainer) -> None:
    with pytest.raises(TrainingDiverged, match=r"Step \d .* documents are rows \d+, \d+"):
        trainer.train("exploding", learning_rate=9.0, schedule="constant")


def test_training_ends_early_when_looks_get_no_better(trainer: Trainer) -> None:
    losses = trainer.train(
        "tired",
        learning_rate=0.05,
        schedule="constant",
        evaluate_every=1,
        early_stop=2,
        num_steps=30,
        forgetting_margin=100.0,
    )
    assert max(losses) < 30
    looks = [event for event in trainer.events if event["event"] == "validation" and event["step"] > 0]
    assert [look["is_best"] for look in looks[-2:]] == [False, False]
    best = min(looks, key=lambda look: look["loss"])
    assert trainer.first("done")["best_step"] == best["step"]


def _damage(folder: Path) -> None:
    path = max((folder / "state").glob("*optim_states.pt"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _forget(folder: Path) -> None:
    (folder / "checkpoint.json").unlink()


@pytest.mark.parametrize("damage", [_damage, _forget])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    damage: Callable[[Path], None], trainer: Trainer
) -> None:
    name = f"damaged{damage.__name__}"
    whole = trainer.train(name, kill_after=7)
    damage(trainer.home / name / "checkpoints" / "step-00000006")
    resumed = trainer.train(name)
    assert trainer.first("started")["step"] == 3
    assert {step: resumed[step] for step in (4, 5, 6, 7)} == {step: whole[step] for step in (4, 5, 6, 7)}


def test_a_training_whose_checkpoints_are_all_damaged_does_not_start_anew(trainer: Trainer) -> None:
    trainer.train("lost", kill_after=4)
    _damage(trainer.home / "lost" / "checkpoints" / "step-00000003")
    with pytest.raises(TrainingError, match=r"step-00000003 are damaged.*remove them to start from step 0"):
        trainer.train("lost")
