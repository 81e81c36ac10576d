"""How near the planner's forecast of memory and time is to what a training takes, on processors.

A model of Llama's form with random weights is trained for a few steps, in full and with adapters, under ZeRO-1, 2
and 3, by the processes that train in earnest. Memory is the most that the process ever held, by the kernel's count,
Python and its libraries with it; time is the median step after the first.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from measure import median, report

STEPS = 4
SEQUENCE_LENGTH, SEQUENCES = 256, 4
LEARNT_FROM = 96  # of each sequence, the tokens from here on are learnt
LARGEST_MEMORY_ERROR, LARGEST_TIME_ERROR = 0.15, 0.30
MODEL = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 16,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 32_000,
    "tie_word_embeddings": True,
    "max_position_embeddings": 2048,
}


def main(stages: tuple[int, ...] = (1, 2, 3)) -> int:
    """Train six times; print both errors of each, and the worst of each kind."""
    with tempfile.TemporaryDirectory() as name:
        model, packed = _write_model(Path(name) / "model"), _write_packed(Path(name) / "packed")
        errors = [
            _compare(model, packed, Path(name) / f"{method}-{stage}", method, stage)
            for method in ("full", "lora")
            for stage in stages
        ]
    kept = [
        report(
            f"planner_{kind}_error", max(found), "share", bound, f"the planner's own forecast, {len(found)} trainings"
        )
        for kind, found, bound in (
            ("memory", [memory for memory, _ in errors], LARGEST_MEMORY_ERROR),
            ("time", [time for _, time in errors], LARGEST_TIME_ERROR),
        )
    ]
    return 0 if all(kept) else 1


def _compare(model: Path, packed: Path, work: Path, method: Any, stage: Any) -> tuple[float, float]:
    from pipelines.llm.job import TrainingJob
    from pipelines.llm.launcher import launch
    from pipelines.llm.planner.choose import choose
    from pipelines.llm.planner.machine import describe_machine
    from pipelines.llm.planner.shape import read_shape
    from pipelines.spec.fine_tuning import FineTuning
    from pipelines.spec.hardware import Hardware

    settings = FineTuning(
        method=method,
        zero_stage=stage,
        sequence_length=SEQUENCE_LENGTH,
        sequences_per_step=SEQUENCES,
        micro_batch=SEQUENCES // 2,
        activation_checkpointing=False,
        max_steps=STEPS,
        evaluate_every=STEPS,
    )
    home = work.parent / "home"  # of this benchmark alone: the processor is measured as it is now
    hardware = Hardware(threads=1)
    learnt = 1 - LEARNT_FROM / SEQUENCE_LENGTH
    machine = describe_machine(hardware, home)
    plan = choose(read_shape(model, settings), settings, hardware, machine, STEPS * SEQUENCES, learnt)
    job = TrainingJob(
        plan_id="0" * 64,
        pretrained=str(model),
        pretrained_sha256="0" * 64,
        packed=str(packed),
        packed_sha256="0" * 64,
        checkpoints=str(work / "checkpoints"),
        work=str(work / "work"),
        output=str(work / "output"),
        settings=settings,
        plan=plan,
    )
    seconds = []

    def follow(event: dict[str, Any]) -> None:
        if event["event"] == "step":
            seconds.append(event["seconds"])

    done = launch(job, follow, home)
    peak, step = done["peak_bytes"], median(seconds[1:])  # the first one warms up
    memory_error = abs(plan.forecast_bytes_per_process / peak - 1)
    time_error = abs(plan.forecast_step_seconds / step - 1)
    print(
        f"{method} ZeRO-{stage}: {peak / 1e9:.2f} GB, forecast {plan.forecast_bytes_per_process / 1e9:.2f} "
        f"({memory_error:.0%} off); {step:.2f} s a step, forecast {plan.forecast_step_seconds:.2f} "
        f"({time_error:.0%} off)",
        flush=True,
    )
    return memory_error, time_error


def _write_model(folder: Path) -> Path:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**MODEL)).to(torch.bfloat16).save_pretrained(folder)
    return folder


def _write_packed(folder: Path) -> Path:
    import numpy as np
    import pyarrow as pa

    folder.mkdir()
    random = np.random.default_rng(0)
    for name, count in (("train", STEPS * SEQUENCES), ("validation", SEQUENCES)):
        tokens = random.integers(0, MODEL["vocab_size"], (count, SEQUENCE_LENGTH), dtype=np.int32)
        labels = np.where(np.arange(SEQUENCE_LENGTH) < LEARNT_FROM, -100, tokens)
        positions = np.tile(np.arange(SEQUENCE_LENGTH, dtype=np.int32), (count, 1))
        columns = {
            column: pa.FixedSizeListArray.from_arrays(pa.array(values.ravel(), pa.int32()), SEQUENCE_LENGTH)
            for column, values in (("input_ids", tokens), ("labels", labels), ("position_ids", positions))
        }
        columns["document_ends"] = pa.array([[SEQUENCE_LENGTH]] * count, pa.list_(pa.int32()))
        columns["document_rows"] = pa.array([[number] for number in range(count)], pa.list_(pa.int64()))
        table = pa.table(columns)
        with pa.OSFile(str(folder / f"{name}.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    return folder


if __name__ == "__main__":
    sys.exit(main())
