"""What a language model is fine-tuned on, and how Airflow finds the way there."""

from __future__ import annotations

from pydantic import Field, model_validator

from pipelines.spec.base import Section


class Hardware(Section):
    """The machines of one training. With no GPU it runs on the processors of the worker."""

    gpus: int = Field(0, ge=0, le=64, description="GPUs of one node; 0 trains on processors.")
    processes: int = Field(1, ge=1, le=64, description="Without GPUs: training processes of one node.")
    threads: int | None = Field(None, ge=1, le=1024, description="Without GPUs: threads of one process.")
    nodes: int = Field(1, ge=1, le=4096, description="Nodes, each like the others.")
    rendezvous: str | None = Field(None, description="host:port that the nodes of a training meet at.")
    memory_bytes: int | None = Field(
        None, ge=1, description="Of one GPU, or of a node without; measured where left out."
    )
    node_memory_bytes: int | None = Field(None, ge=1, description="Of one node, for offload; measured where left out.")
    flops: float | None = Field(None, gt=0, description="Peak bf16 FLOP/s of one process; known for usual GPUs.")
    bandwidth_bytes: float | None = Field(
        None, gt=0, description="Bytes/s between two processes; known for usual GPUs."
    )
    price_per_hour: float = Field(0.0, ge=0, description="Of all nodes together, in any currency: the plan's cost.")
    headroom: float = Field(0.1, ge=0.0, lt=0.9, description="Share of memory that a plan leaves free.")
    pool: str | None = Field(None, min_length=1, description="Airflow pool; one slot a GPU is taken. 'gpu' with GPUs.")
    queue: str | None = Field(None, min_length=1, description="Celery queue of the workers that have it.")
    executor: str | None = Field(None, min_length=1, description="Name of Airflow's executor, where it has several.")

    @property
    def processes_per_node(self) -> int:
        """How many training processes run on a node: one a GPU, or what is asked for without GPUs."""
        return self.gpus or self.processes

    @property
    def pool_name(self) -> str | None:
        """The Airflow pool that a training takes its slots from; None takes the default one."""
        return self.pool or ("gpu" if self.gpus else None)

    @property
    def world_size(self) -> int:
        """How many training processes there are in all."""
        return self.processes_per_node * self.nodes

    @model_validator(mode="after")
    def _nodes_can_meet(self) -> Hardware:
        if self.nodes > 1 and self.rendezvous is None:
            raise ValueError(f"{self.nodes} nodes need 'rendezvous', the host:port that they meet at")
        if self.gpus and self.processes != 1:
            raise ValueError(f"'processes: {self.processes}' beside 'gpus: {self.gpus}'; with GPUs there is one a GPU")
        return self
