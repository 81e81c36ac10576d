"""What the training processes are measured against; the last line on stdout is JSON: useful tokens a second.

python training_peers.py hand|trainer MODEL PACKED STEPS MICRO_BATCH ACCUMULATION_STEPS
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from measure import median
from transformers import AutoModelForCausalLM

RATE = 1e-5


def train_by_hand(model: Any, packed: Path, steps: int, micro_batch: int, accumulation_steps: int) -> float:
    """Train as one would write it: bf16 weights, fp32 masters, one fused AdamW."""
    import numpy as np

    from pipelines.llm.order import sequences_of_step
    from pipelines.llm.sequences import PackedSequences

    data = PackedSequences(packed / "train.arrow")
    weights = list(model.parameters())
    masters = [weight.detach().float().requires_grad_() for weight in weights]
    optimizer = torch.optim.AdamW(masters, lr=RATE, weight_decay=0.0, fused=True)
    seconds = list[float]()
    for step in range(1, steps + 1):
        started = time.perf_counter()
        numbers = sequences_of_step(step, micro_batch * accumulation_steps, len(data), seed=0)
        for start in range(0, len(numbers), micro_batch):
            found = [data[number] for number in numbers[start : start + micro_batch]]
            ids, positions, labels = (
                torch.from_numpy(np.stack([getattr(one, name) for one in found]))
                for name in ("input_ids", "position_ids", "labels")
            )
            loss = model(input_ids=ids, position_ids=positions, labels=labels, use_cache=False).loss
            (loss / accumulation_steps).backward()
        for master, weight in zip(masters, weights, strict=True):
            master.grad, weight.grad = weight.grad.float(), None
        torch.nn.utils.clip_grad_norm_(masters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            torch._foreach_copy_(weights, masters)
        seconds.append(time.perf_counter() - started)
    share = json.loads((packed / "share.json").read_text())
    per_step = micro_batch * accumulation_steps * len(data[0].input_ids)
    return float(share * per_step / median(seconds[1:]))


def train_with_trainer(model: Any, packed: Path, steps: int, micro_batch: int, accumulation_steps: int) -> float:
    """Train with transformers' Trainer, each document a padded row."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    documents = json.loads((packed / "documents.json").read_text())
    useful, ends = [0], list[tuple[float, int]]()

    def collate(rows: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        longest = max(len(row["input_ids"]) for row in rows)
        useful[0] += sum(len(row["input_ids"]) for row in rows)
        filled = [(row["input_ids"], longest - len(row["input_ids"])) for row in rows]
        return {
            "input_ids": torch.tensor([ids + [0] * rest for ids, rest in filled]),
            "attention_mask": torch.tensor([[1] * len(ids) + [0] * rest for ids, rest in filled]),
            "labels": torch.tensor([ids + [-100] * rest for ids, rest in filled]),
        }

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append((time.perf_counter(), useful[0]))

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=micro_batch,
            gradient_accumulation_steps=accumulation_steps,
            learning_rate=RATE,
            bf16=True,
            use_cpu=True,
            optim="adamw_torch_fused",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            logging_strategy="no",
        )
        rows = [{"input_ids": document, "labels": document} for document in documents]
        Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collate, callbacks=[Clock()]).train()  # type: ignore[arg-type]
    (first, before), (last, after) = ends[0], ends[-1]
    return (after - before) / (last - first)


if __name__ == "__main__":
    kind, folder, packed_folder, *numbers = sys.argv[1:]
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    pretrained = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, attn_implementation="sdpa").train()
    train = train_by_hand if kind == "hand" else train_with_trainer
    speed = train(pretrained, Path(packed_folder), *map(int, numbers))
    print(json.dumps({"tokens_per_second": speed}))
