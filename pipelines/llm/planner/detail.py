"""The records of a plan: what was chosen, what it should take, and why nothing else was chosen."""

from __future__ import annotations

from typing import Any

from pipelines.records import Record


class MemoryForecast(Record):
    """The most bytes that one training process should hold at a time, by what holds them.

    `device` is what the processor or GPU of the process holds; `host` is what offload puts beside it in the node's
    memory, and is 0 without offload or where there is no GPU.
    """

    baseline: int  # Python, its libraries and, on a GPU, the driver's context
    weights: int
    gradients: int
    optimizer: int
    activations: int
    buffers: int  # of communication, of DeepSpeed, and what a step holds for a moment
    host: int = 0

    @property
    def device(self) -> int:
        """All parts but `host`."""
        return self.baseline + self.tensors

    @property
    def tensors(self) -> int:
        """What the process's tensors take: on a GPU, what torch counts as allocated."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.buffers


class TimeForecast(Record):
    """Seconds of one step (one update of the weights), by what takes them."""

    compute: float
    communication: float
    optimizer: float
    overhead: float

    @property
    def step(self) -> float:
        """Seconds of the whole step."""
        return self.compute + self.communication + self.optimizer + self.overhead


class Option(Record):
    """One way to run the training, what it should take, and `refusal`: why it cannot be; None where it can."""

    zero_stage: int
    offload: bool
    activation_checkpointing: bool
    micro_batch: int
    accumulation_steps: int
    memory: MemoryForecast
    seconds: TimeForecast
    communication_bytes_per_step: int
    refusal: str | None = None

    @property
    def name(self) -> str:
        """The option in a few words: `ZeRO-2, offload, checkpointing, 4 x 2`."""
        extras = [", offload" if self.offload else "", ", checkpointing" if self.activation_checkpointing else ""]
        return f"ZeRO-{self.zero_stage}{''.join(extras)}, {self.micro_batch} x {self.accumulation_steps}"


class Launch(Record):
    """How the processes of a training are started: the same on every node but for the node's own rank.

    `rendezvous` is the host:port that the nodes meet at; None where there is one node, which meets itself on loopback.
    `threads` bounds the threads of a process; None leaves them to torch.
    """

    nodes: int
    processes_per_node: int
    rendezvous: str | None
    threads: int | None
    on_gpu: bool

    @property
    def torchrun(self) -> list[str]:
        """What torchrun is given on each node, before the module; the nodes find their ranks when they meet."""
        meeting = ["--standalone"]
        if self.rendezvous is not None:
            meeting = ["--rdzv-backend=c10d", f"--rdzv-endpoint={self.rendezvous}"]
        return [f"--nnodes={self.nodes}", f"--nproc-per-node={self.processes_per_node}", *meeting]


class TrainingPlanDetail(Record):
    """All that is fixed of a training before it starts, and what it should take.

    `micro_batch` sequences at once in each of `world_size` processes, `accumulation_steps` times, make one of
    `num_steps` updates, `warmup_steps` of them with a rising rate. `deepspeed` is what `deepspeed.initialize` is given
    as its configuration; the optimizer and its schedule are the caller's. `memory` is forecast for one process.
    """

    zero_stage: int
    offload: bool
    activation_checkpointing: bool
    micro_batch: int
    accumulation_steps: int
    world_size: int
    num_steps: int
    warmup_steps: int
    deepspeed: dict[str, Any]
    launch: Launch
    num_parameters: int
    num_trainable: int
    memory: MemoryForecast
    forecast_step_seconds: float
    seconds: TimeForecast
    communication_bytes_per_step: int
    forecast_seconds: float  # of all steps, without evaluation and checkpoints
    cost: float
    memory_limit_bytes: int  # of one process, without the headroom that is kept free
    flops_per_step: float  # of all processes
    alternatives: tuple[Option, ...]

    @property
    def forecast_bytes_per_process(self) -> int:
        """The most bytes that a process should hold on its device."""
        return self.memory.device

    @property
    def forecast_measured_bytes(self) -> int:
        """The part of it that is measured: on a GPU what torch counts, else the whole process."""
        return self.memory.tensors if self.launch.on_gpu else self.memory.device
