from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from pipelines.errors import TrainingDiverged, TrainingError
from pipelines.llm.launcher import Event, launch
from pipelines.llm.sequences import VALIDATION, PackedSequences
from pipelines.llm.worker.loss import AnswerLoss
from tests.llm.training import killed_at, make_job, make_plan, write_packed

pytestmark = pytest.mark.timeout(600)
Losses = dict[int, float]
LORA: dict[str, Any] = {"method": "lora", "lora": {"rank": 8, "dropout": 0.1}, "learning_rate": 1e-2}


class Trainer:
    """Runs small trainings in one folder each."""

    def __init__(self, home: Path, model: Path) -> None:
        self.home, self.model = home, model
        self.packed = write_packed(home / "packed")
        self.events = list[Event]()
        self._trained = dict[str, tuple[Losses, list[Event]]]()

    def once(self, name: str, **given: Any) -> Losses:
        """Return the losses of a training that several tests look at; its events stand as if it had just ended."""
        if name not in self._trained:
            self._trained[name] = self.train(name, **given), self.events
        losses, self.events = self._trained[name]
        return losses

    def copy_checkpoints(self, source: str, target: str) -> Path:
        """Give another training the checkpoints of one that was killed; return their folder."""
        return Path(shutil.copytree(self.home / source / "checkpoints", self.home / target / "checkpoints"))

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
        job = make_job(self.home / name, self.model, self.packed, plan, **settings)
        dies = nullcontext() if kill_after is None else pytest.raises(TrainingError, match="was killed by SIGKILL")
        with killed_at(kill_after), dies:
            launch(job, self.events.append, self.home)
        return {event["step"]: event["loss"] for event in self.events if event["event"] == "step"}

    def first(self, name: str) -> Event:
        return next(event for event in self.events if event["event"] == name)

    def weights_of(self, name: str) -> bytes:
        return (self.home / name / "model" / "model.safetensors").read_bytes()

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
    return trainer.once("uninterrupted")


@pytest.fixture(scope="module")
def killed(trainer: Trainer) -> str:
    """The name of the same training, killed after step 7; it leaves checkpoints after steps 3 and 6."""
    assert max(trainer.once("killed", kill_after=7)) == 7
    return "killed"


@pytest.mark.parametrize(
    ("zero_stage", "precision"), [(0, "fp32"), (3, "bf16"), pytest.param(1, "bf16", marks=pytest.mark.slow)]
)
def test_every_stage_of_zero_learns_the_same(
    zero_stage: int, precision: str, trainer: Trainer, uninterrupted: Losses
) -> None:
    losses = trainer.once(f"zero-{zero_stage}-{precision}", zero_stage=zero_stage, precision=precision)
    assert losses == pytest.approx(uninterrupted, abs=2e-3)
    assert losses[8] < losses[1] - 0.3


def test_the_best_weights_are_a_model_that_loads_and_costs_what_was_told(trainer: Trainer, tiny_model: Path) -> None:
    trainer.once("uninterrupted")
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
    losses = trainer.once(name, zero_stage=zero_stage, **LORA)
    folder = trainer.home / name / "model"
    assert losses[8] < losses[1] - 0.1
    assert trainer.loss_of(folder) == pytest.approx(trainer.first("done")["best_loss"], abs=0.02)
    config = json.loads((folder / "adapter" / "adapter_config.json").read_text())
    assert "/" not in config["base_model_name_or_path"]
    assert config["target_modules"] == sorted(config["target_modules"])
    assert (folder / "adapter" / "adapter_model.safetensors").stat().st_size < 200_000


def test_a_resume_after_kill_9_equals_the_uninterrupted_run(
    trainer: Trainer, killed: str, uninterrupted: Losses
) -> None:
    before = trainer.once(killed)
    trainer.copy_checkpoints(killed, "resumed")
    resumed = trainer.train("resumed")
    assert trainer.first("started")["step"] == 6
    assert {**before, **resumed} == uninterrupted
    assert trainer.weights_of("resumed") == trainer.weights_of("uninterrupted")


def test_a_resume_with_adapters_and_chance_equals_the_uninterrupted_run(trainer: Trainer) -> None:
    whole = trainer.once("lora-2", zero_stage=2, **LORA)
    before = trainer.train("killed-lora", zero_stage=2, kill_after=5, **LORA)
    assert max(before) == 5
    resumed = trainer.train("killed-lora", zero_stage=2, **LORA)
    assert trainer.first("started")["step"] == 3
    assert {**before, **resumed} == whole
    assert trainer.weights_of("killed-lora") == trainer.weights_of("lora-2")


@pytest.mark.parametrize(
    ("zero_stage", "method", "goes_back"),
    [
        pytest.param(1, "full", True, marks=pytest.mark.slow),
        pytest.param(2, "full", True, marks=pytest.mark.slow),
        pytest.param(2, "lora", True, marks=pytest.mark.slow),
        (2, "lora", False),
        (3, "full", True),
    ],
)
def test_from_two_workers_to_one_and_back_the_loss_goes_on(
    zero_stage: int, method: str, goes_back: bool, trainer: Trainer
) -> None:
    given: dict[str, Any] = {"zero_stage": zero_stage, "method": method, "precision": "fp32"}
    two, one = {"world_size": 2, "accumulation_steps": 1, **given}, {**given}
    name = f"moved-{zero_stage}-{method}-{goes_back}"
    # One for all stages: in fp32 they agree.
    whole = trainer.once("zero-0-fp32" if method == "full" else "lora-0", zero_stage=0, method=method, precision="fp32")
    losses = trainer.train(name, kill_after=4, **two)
    losses |= trainer.train(name, kill_after=7 if goes_back else None, **one)
    assert trainer.first("started")["step"] == 3
    if goes_back:
        losses |= trainer.train(name, **two)
        assert trainer.first("started")["step"] == 6
    assert losses == pytest.approx(whole, abs=1e-4)


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
    damage: Callable[[Path], None], trainer: Trainer, killed: str, uninterrupted: Losses
) -> None:
    name = f"damaged{damage.__name__}"
    damage(trainer.copy_checkpoints(killed, name) / "step-00000006")
    resumed = trainer.train(name)
    assert trainer.first("started")["step"] == 3
    assert resumed == {step: uninterrupted[step] for step in (4, 5, 6, 7, 8)}


def test_a_training_whose_checkpoints_are_all_damaged_does_not_start_anew(trainer: Trainer, killed: str) -> None:
    folder = trainer.copy_checkpoints(killed, "lost")
    for step in (3, 6):
        _damage(folder / f"step-{step:08d}")
    with pytest.raises(
        TrainingError, match=r"step-00000006, step-00000003 are damaged.*remove them to start from step 0"
    ):
        trainer.train("lost")
