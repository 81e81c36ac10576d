"""What a killed training loses, how its loss goes on on another number of workers, and what checkpoints cost.

    python resume.py [MODEL_FOLDER]

Steps lost: of a training that is killed by SIGKILL, the steps that its next start does again. Moved: the largest
difference in loss between a training that goes from two workers to one and back, by being killed, and one that is left
alone, in fp32. Stall: the share of a training's time that goes into checkpoints at one every 50 steps, from the time
that one takes and the median step.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from measure import median, report
from training import _job, _pretrained, _write_packed

CHECKPOINT_EVERY, KILLED_AFTER, NUM_STEPS = 3, 5, 8
INTERVAL = 50
MOST_STALL = 0.05
Events = list[dict[str, Any]]


def main(model: str | None = None) -> int:
    """Train, kill and resume; print the three figures."""
    folder = Path(model) if model else _pretrained()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        _write_packed(folder, home / "packed")
        whole = _train(folder, home, "whole", 1)
        _train(folder, home, "killed", 1, KILLED_AFTER)
        resumed = _train(folder, home, "killed", 1)
        lost = KILLED_AFTER - _told(resumed, "started")[0]["step"]
        moved = _losses(_train(folder, home, "moved", 2, KILLED_AFTER))
        moved |= _losses(_train(folder, home, "moved", 1, KILLED_AFTER + 2))
        moved |= _losses(_train(folder, home, "moved", 2))
    alone = _losses(whole)
    difference = max(abs(moved[step] - loss) for step, loss in alone.items())
    step = median([event["seconds"] for event in _told(whole, "step")[1:]])
    stall = median([event["seconds"] for event in _told(whole, "checkpoint")]) / (INTERVAL * step)
    peak = _told(whole, "done")[0]["peak_bytes"]
    print(f"losses alone {alone}\nlosses moved {moved}", flush=True)
    kept = [
        report("resume_steps_lost", lost, "steps", CHECKPOINT_EVERY, "the checkpoint interval", peak),
        report("resume_moved_loss", difference, "nats", 1e-4, "the uninterrupted run, 2 to 1 to 2 workers"),
        report("checkpoint_stall", stall, "share", MOST_STALL, f"the step time, at one every {INTERVAL} steps"),
    ]
    return 0 if all(kept) else 1


def _train(model: Path, home: Path, name: str, world_size: int, kill_after: int | None = None) -> Events:
    from pipelines.errors import TrainingError
    from pipelines.llm.launcher import launch

    threads = max(1, len(os.sched_getaffinity(0)) // world_size)
    job = _job(model, home / name, home, NUM_STEPS, world_size, threads, precision="fp32")
    settings = job.settings.model_copy(update={"checkpoint_every": CHECKPOINT_EVERY})
    events: Events = []

    def follow(event: dict[str, Any]) -> None:
        events.append(event)
        if event["event"] == "step" and event["step"] == kill_after:
            os.kill(_told(events, "started")[0]["pid"], signal.SIGKILL)

    try:
        launch(job.model_copy(update={"settings": settings}), follow, home)
    except TrainingError:
        if kill_after is None:
            raise
    return events


def _told(events: Events, name: str) -> Events:
    return [event for event in events if event["event"] == name]


def _losses(events: Events) -> dict[int, float]:
    return {event["step"]: event["loss"] for event in _told(events, "step")}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
