"""What the processes of one training are given: where things are, what to do, and how the planner settled it."""

from __future__ import annotations

from pipelines.errors import TrainingError
from pipelines.llm.planner.detail import TrainingPlanDetail
from pipelines.llm.planner.processes import for_processes
from pipelines.records import Record, sha256_of
from pipelines.spec.fine_tuning import FineTuning


class TrainingJob(Record):
    """One training. Folders are absolute paths of the machine that it runs on.

    `checkpoints` outlives the job; `work` holds logs; `output` is where the tuned model is put when all is done.
    """

    plan_id: str
    pretrained: str
    pretrained_sha256: str
    packed: str
    packed_sha256: str
    checkpoints: str
    work: str
    output: str
    settings: FineTuning
    plan: TrainingPlanDetail

    @property
    def sequences_per_step(self) -> int:
        """How many sequences make one update, over all processes."""
        return self.plan.micro_batch * self.plan.accumulation_steps * self.plan.world_size

    @property
    def identity(self) -> str:
        """The hash of all that a checkpoint must have in common with a training that goes on from it.

        Neither the number of processes nor what each of them holds is part of it: a checkpoint can be converted.
        """
        settings = self.settings.model_dump(
            mode="json",
            exclude={"micro_batch", "zero_stage", "offload", "activation_checkpointing", "checkpoint_budget_bytes"},
        )
        return sha256_of(
            {
                "pretrained": self.pretrained_sha256,
                "packed": self.packed_sha256,
                "settings": settings,
                "sequences_per_step": self.sequences_per_step,
                "num_steps": self.plan.num_steps,
                "warmup_steps": self.plan.warmup_steps,
            }
        )


def fit_to(plan: TrainingPlanDetail, world_size: int) -> TrainingPlanDetail:
    """Return the plan for another number of processes of one node: the same sequences make the same steps.

    Raises:
        TrainingError: If the sequences of a step cannot be shared out evenly.
    """
    if world_size == plan.world_size:
        return plan
    per_step = plan.micro_batch * plan.accumulation_steps * plan.world_size
    if per_step % world_size:
        raise TrainingError(
            f"{per_step} sequences a step cannot be shared evenly by {world_size} processes; the plan was made for "
            f"{plan.world_size}. Nothing was trained; give a number of processes that divides {per_step}."
        )
    share = per_step // world_size
    micro_batch = max(size for size in range(1, plan.micro_batch + 1) if share % size == 0)
    accumulation_steps = share // micro_batch
    deepspeed = for_processes(plan.deepspeed, micro_batch, accumulation_steps, world_size, plan.launch.on_gpu)
    launch = plan.launch.model_copy(update={"nodes": 1, "processes_per_node": world_size, "rendezvous": None})
    return plan.model_copy(
        update={
            "world_size": world_size,
            "micro_batch": micro_batch,
            "accumulation_steps": accumulation_steps,
            "deepspeed": deepspeed,
            "launch": launch,
        }
    )
