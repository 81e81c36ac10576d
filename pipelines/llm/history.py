"""What happened in a training, for people and for the planner's score: every step, every look, and the resources."""

from __future__ import annotations

from typing import Any

from pipelines.errors import TrainingError
from pipelines.llm.job import TrainingJob
from pipelines.records import Record, number_or_none

Event = dict[str, Any]


class Step(Record):
    """One update: loss in nats per answer token, gradient norm before clipping, seconds."""

    step: int
    loss: float
    rate: float
    grad_norm: float
    seconds: float


class Look(Record):
    """The validation loss after a step, in nats per answer token; step 0 is the pretrained model.

    `general_loss` is that on general text, per token; None where there was none.
    """

    step: int
    loss: float
    general_loss: float | None = None


class Training(Record):
    """A training that is done; with plan, corpus and code it can be replayed.

    `steps` and `looks` are those of the last start: where `resumed_from` is a step, earlier ones are in MLflow alone.
    `peak_bytes` is the most that one process held; on a GPU, what torch counts. What was forecast stands beside what
    was measured; a step's seconds are the median.
    """

    plan_id: str
    plan_sha256: str
    identity: str
    packed_sha256: str
    world_size: int
    resumed_from: int | None
    num_steps: int
    best_step: int
    base_loss: float
    best_loss: float
    base_general_loss: float | None = None
    best_general_loss: float | None = None
    num_tokens: int
    tokens_per_second: float
    seconds: float
    peak_bytes: int
    forecast_bytes: int
    step_seconds: float | None
    forecast_step_seconds: float
    steps: tuple[Step, ...]
    looks: tuple[Look, ...]


class History:
    """Gathers a training's events."""

    def __init__(self) -> None:
        self._steps = list[Step]()
        self._looks = list[Look]()
        self._resumed_from: int | None = None

    def hear(self, event: Event) -> None:
        """Take in one event of the first process."""
        if event["event"] == "started":
            self._resumed_from = event["step"] if event["resumed"] else None
        elif event["event"] == "step":
            self._steps.append(Step(**{name: event[name] for name in Step.model_fields}))
        elif event["event"] == "validation":
            self._looks.append(Look(**{name: event[name] for name in Look.model_fields}))

    def close(self, job: TrainingJob, plan_sha256: str, done: Event, seconds: float) -> Training:
        """Return the record of the whole, from the last event of a training."""
        if done["best_loss"] is None:
            raise TrainingError("The training ended without a look at the validation loss. There is no candidate.")
        return Training(
            plan_id=job.plan_id,
            plan_sha256=plan_sha256,
            identity=job.identity,
            packed_sha256=job.packed_sha256,
            world_size=job.plan.world_size,
            resumed_from=self._resumed_from,
            num_steps=done["step"],
            best_step=done["best_step"],
            base_loss=done["base_loss"],
            best_loss=done["best_loss"],
            base_general_loss=done["base_general_loss"],
            best_general_loss=done["best_general_loss"],
            num_tokens=done["tokens"],
            tokens_per_second=round(done["tokens"] / max(done["seconds"], 1e-9), 3),
            seconds=round(seconds, 3),
            peak_bytes=done["peak_bytes"],
            forecast_bytes=job.plan.forecast_measured_bytes,
            step_seconds=self._median_seconds(),
            forecast_step_seconds=job.plan.forecast_step_seconds,
            steps=tuple(self._steps),
            looks=tuple(self._looks),
        )

    def _median_seconds(self) -> float | None:
        # The first step makes what the others use again.
        seconds = sorted(step.seconds for step in self._steps[1:] or self._steps)
        return number_or_none(seconds[len(seconds) // 2]) if seconds else None


def line(event: Event) -> str | None:
    """Return an event in one line for people, or None where it is not for them.

    >>> line({"event": "step", "step": 12, "num_steps": 22, "loss": 2.3112, "tokens_per_second": 181.2, \
"seconds_left": 58.1, "rate": 1e-4})
    'step 12/22  loss 2.3112  181 tokens/s  rate 1.0e-04  58 s left'
    """
    if event["event"] == "step":
        return (
            f"step {event['step']}/{event['num_steps']}  loss {event['loss']:.4f}  "
            f"{event['tokens_per_second']:.0f} tokens/s  rate {event['rate']:.1e}  {event['seconds_left']:.0f} s left"
        )
    if event["event"] == "validation":
        what = "the pretrained model" if event["step"] == 0 else f"after step {event['step']}"
        general = "" if event["general_loss"] is None else f", general {event['general_loss']:.4f}"
        best = ", the best so far" if event["is_best"] else ""
        return f"validation loss {event['loss']:.4f}{general} ({what}){best}"
    if event["event"] == "checkpoint":
        return f"checkpoint after step {event['step']}: {event['size_bytes']} bytes in {event['seconds']:.1f} s"
    if event["event"] == "started" and event["resumed"]:
        return f"goes on from the checkpoint after step {event['step']}"
    if event["event"] == "phase":
        return str(event["name"])
    return None
