"""A small training for tests: packed sequences that a tiny model can learn, a plan and a job."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.llm.job import TrainingJob
from pipelines.llm.planner.detail import Launch, MemoryForecast, TimeForecast, TrainingPlanDetail
from pipelines.llm.planner.settings import deepspeed_settings, stage_that_runs
from pipelines.llm.planner.shape import ModelShape
from pipelines.llm.sequences import COLUMNS, GENERAL, IGNORED, TRAIN, VALIDATION
from pipelines.spec.fine_tuning import FineTuning
from tests.llm.tiny import VOCABULARY

LENGTH = 64
NUM_TRAIN, NUM_VALIDATION, NUM_GENERAL = 26, 6, 3
SHAPE = ModelShape(
    architecture="LlamaForCausalLM", parameters=106_816, trainable=106_816, multiplied=106_816, layers=2, hidden=64,
    attention_width=64, vocabulary=VOCABULARY, largest_layer=37_000, largest_parameter=32_768, small=320,
    kept_by_layer=6000.0, kept_outside=500.0, tensors=20, in_heap=106_816, frozen_in_heap=0,
)  # fmt: skip


@contextmanager
def killed_at(step: int | None) -> Iterator[None]:
    """Let the first process of each training that is started meanwhile be killed when it tells of a step."""
    with pytest.MonkeyPatch.context() as patch:
        if step is not None:
            patch.setenv("PYTHONPATH", str(Path(__file__).with_name("killed")), prepend=os.pathsep)
            patch.setenv("KILLED_AT", str(step))
        yield


def write_packed(folder: Path, seed: int = 0) -> Path:
    """Write sequences of three documents each, in which each token follows from the one before; return the folder.

    In the general text another one follows: who learns the one unlearns the other.
    """
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    first = 0
    for name, count in ((TRAIN, NUM_TRAIN), (VALIDATION, NUM_VALIDATION), (GENERAL, NUM_GENERAL)):
        rule = 11 if name == GENERAL else 7
        rows = [_sequence(generator, first + 3 * number, rule) for number in range(count)]
        first += 3 * count
        write_sequences(folder / name, rows)
    return folder


def write_sequences(path: Path, rows: Sequence[dict[str, list[int]]]) -> None:
    """Write rows to one file in several batches, as a large corpus has them."""
    table = pa.table({name: pa.array([row[name] for row in rows], _type(name)) for name in COLUMNS})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=7)


def make_plan(
    *,
    world_size: int = 1,
    micro_batch: int = 2,
    accumulation_steps: int = 2,
    num_steps: int = 8,
    zero_stage: int = 2,
    precision: str = "bf16",
    activation_checkpointing: bool = False,
    offload: bool = False,
) -> TrainingPlanDetail:
    """Return a plan with no forecast to speak of."""
    zero_stage = stage_that_runs(zero_stage, precision)
    return TrainingPlanDetail(
        zero_stage=zero_stage,
        offload=offload,
        activation_checkpointing=activation_checkpointing,
        micro_batch=micro_batch,
        accumulation_steps=accumulation_steps,
        world_size=world_size,
        num_steps=num_steps,
        warmup_steps=2,
        deepspeed=deepspeed_settings(
            SHAPE,
            zero_stage=zero_stage,
            offload=offload,
            micro_batch=micro_batch,
            accumulation_steps=accumulation_steps,
            world_size=world_size,
            clip_norm=1.0,
            precision=precision,
            on_gpu=False,
        ),
        launch=Launch(nodes=1, processes_per_node=world_size, rendezvous=None, threads=1, on_gpu=False),
        num_parameters=130_000,
        num_trainable=130_000,
        memory=MemoryForecast(
            baseline=500_000_000, weights=0, gradients=0, optimizer=0, activations=0, buffers=100_000_000
        ),
        forecast_step_seconds=0.5,
        seconds=TimeForecast(compute=0.5, communication=0, optimizer=0, overhead=0),
        communication_bytes_per_step=0,
        forecast_seconds=4.0,
        cost=0.0,
        memory_limit_bytes=2_000_000_000,
        flops_per_step=1.0,
        alternatives=(),
    )


def make_job(home: Path, model: Path, packed: Path, plan: TrainingPlanDetail, **settings: Any) -> TrainingJob:
    """Return a job whose folders are under `home`."""
    given = {
        "sequence_length": LENGTH,
        "learning_rate": 3e-3,
        "evaluate_every": 4,
        "checkpoint_every": 3,
        "seed": 1,
        **settings,
    }
    return TrainingJob(
        plan_id="test",
        pretrained=str(model),
        pretrained_sha256="0" * 64,
        packed=str(packed),
        packed_sha256="1" * 64,
        checkpoints=str(home / "checkpoints"),
        work=str(home / "work"),
        output=str(home / "model"),
        settings=FineTuning(**given),
        plan=plan,
    )


def _sequence(generator: np.random.Generator, first_row: int, rule: int) -> dict[str, list[int]]:
    lengths = (LENGTH // 2, LENGTH // 4, LENGTH // 4 - 4)
    row: dict[str, list[int]] = {name: [] for name in COLUMNS}
    for number, length in enumerate(lengths):
        start = int(generator.integers(3, VOCABULARY))
        tokens = [(start + rule * position) % (VOCABULARY - 3) + 3 for position in range(length)]
        row["input_ids"] += tokens
        row["labels"] += [IGNORED] * (length // 3) + tokens[length // 3 :]
        row["position_ids"] += list(range(length))
        row["document_ends"].append(len(row["input_ids"]))
        row["document_rows"].append(first_row + number)
    padding = LENGTH - sum(lengths)
    row["input_ids"] += [2] * padding
    row["labels"] += [IGNORED] * padding
    row["position_ids"] += list(range(padding))
    return row


def _type(name: str) -> pa.DataType:
    return {
        "input_ids": pa.list_(pa.int32(), LENGTH),
        "labels": pa.list_(pa.int32(), LENGTH),
        "position_ids": pa.list_(pa.int32(), LENGTH),
        "document_ends": pa.list_(pa.int32()),
        "document_rows": pa.list_(pa.int64()),
    }[name]
