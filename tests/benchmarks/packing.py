"""Pack the conversations of Python's own documentation: how much of a batch is tokens of the corpus, and how fast.

Beside it, the same documents as a trainer without packing has them: batches in random order, each padded to its longest
document; and each document padded to the whole sequence. A third figure is what word-for-word lines the two sides of
the holdout share, whose bound is what a split by module without deduplication leaves.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from measure import bench_folder, report, run_child

USEFUL_BOUND = 0.97
SECONDS_BOUND = 60.0
SHARED_LINES_BOUND = 0.09  # a split by module, measured without deduplication
BATCH = 8


def main() -> None:
    """Run all steps in a child, print each and the figures."""
    folder = bench_folder()
    measured = run_child([sys.executable, __file__, str(folder)])
    found = json.loads(measured.stdout.splitlines()[-1])
    for line in measured.stdout.splitlines()[:-1]:
        print(line)
    memory = measured.peak_memory_bytes
    of = f"{found['num_documents']} documents of {found['num_tokens']} tokens, sequences of {found['sequence_length']}"
    against = (
        f"padded to the longest of {BATCH}: {found['padded']:.3f}, to the sequence: {found['padded_alone']:.3f}; {of}"
    )
    report("packing_useful_share", found["useful"], "share", USEFUL_BOUND, against, memory, higher_is_better=True)
    against = f"ingest {found['ingest']:.1f} s, prepare {found['prepare']:.1f} s, validate {found['validate']:.1f} s, "
    against += f"snapshot {found['snapshot']:.1f} s, pack {found['pack']:.1f} s; {found['num_rows']} conversations"
    report("packing_seconds", found["seconds"], "s", SECONDS_BOUND, against, memory)
    against = "a split by module alone leaves 0.09"
    report("packing_shared_lines", found["shared_lines"], "share", SHARED_LINES_BOUND, against, memory)


def run(folder: Path) -> None:
    """Go from the documentation to packed sequences and print what was measured as JSON."""
    from pipelines.data.snapshots import read_holdout, read_training
    from pipelines.llm.pretrained import open_pretrained
    from pipelines.records import RunRequest
    from pipelines.spec import load_model
    from pipelines.spec.environment import Environment
    from pipelines.spec.model import LlmSpec
    from pipelines.steps.context import Context
    from pipelines.steps.run import step_function
    from pipelines.store import open_store

    home = folder / "packing"
    shutil.rmtree(home, ignore_errors=True)
    environment = Environment.model_validate(
        {"name": "bench", "home": str(folder), "store": {"uri": f"file://{home}"}}
        | {"mlflow": {"tracking_uri": "http://127.0.0.1:9", "artifact_root": f"file://{home}"}}
    )
    spec = load_model("python_helper")
    assert isinstance(spec, LlmSpec)
    open_pretrained(spec.pretrained, folder)  # converted once; not what is measured
    context: Context[Any] = Context(spec, environment, open_store(environment.store))
    record: Any = RunRequest()
    found: dict[str, Any] = {}
    for name in ("ingest", "prepare", "validate", "snapshot", "pack"):
        started = time.perf_counter()
        record = step_function(name, "llm")(context, record)
        found[name] = time.perf_counter() - started
        print(f"{name}: {found[name]:.2f} s", flush=True)
    seconds = sum(found.values())
    sides = [
        read_training(context.store, record.snapshot, ["messages"]),
        read_holdout(context.store, spec.name, record.snapshot.snapshot_id, ["messages"]),
    ]
    lines = [_lines(side["messages"].to_pylist()) for side in sides]
    lengths = _lengths(context.store, record.manifest_key)
    found |= {
        "seconds": seconds,
        "useful": record.useful_share,
        "padded": _padded(lengths),
        "padded_alone": sum(lengths) / (len(lengths) * record.sequence_length),
        "shared_lines": len(lines[0] & lines[1]) / len(lines[1]),
        "num_documents": record.num_documents,
        "num_tokens": record.num_tokens,
        "sequence_length": record.sequence_length,
        "num_rows": sum(side.num_rows for side in sides),
    }
    shutil.rmtree(home)
    print(json.dumps(found))


def _lines(messages: list[str]) -> set[str]:
    """Return the different lines of all answers that are long enough to say something."""
    answers = (one["content"] for text in messages for one in json.loads(text) if one["role"] == "assistant")
    return {line.strip() for answer in answers for line in answer.splitlines() if len(line.split()) >= 5}


def _lengths(store: Any, manifest_key: str) -> list[int]:
    import pyarrow as pa

    with store.fetch(manifest_key.replace("manifest.json", "train.arrow")) as path:
        ends = pa.ipc.open_file(pa.memory_map(str(path))).read_all()["document_ends"].to_pylist()
    return [end - start for each in ends for start, end in zip([0, *each[:-1]], each, strict=True)]


def _padded(lengths: list[int]) -> float:
    """Return the useful share of batches in random order, each padded to its longest document."""
    import numpy as np

    order = np.random.default_rng(0).permutation(lengths)
    batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    return float(sum(batch.sum() for batch in batches) / sum(batch.max() * len(batch) for batch in batches))


if __name__ == "__main__":
    if sys.argv[1:]:
        run(Path(sys.argv[1]))
    else:
        main()
