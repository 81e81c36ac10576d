"""Know what one training process has to work with: what the spec says, and what it leaves out as measured here."""

from __future__ import annotations

import json
import logging
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import torch

from pipelines.errors import UsageError
from pipelines.llm.planner.known_gpus import find_gpu
from pipelines.records import sha256_of
from pipelines.spec.hardware import Hardware

LOG = logging.getLogger(__name__)

BUSY = 0.7  # of the cores, on average over a minute: what is measured then may be too slow by a half
MEASURE_SECONDS = 0.3  # of each of three measurements
LOCAL_BANDWIDTH = 5e8  # bytes/s that gloo carries between two processes of one machine: an all-reduce of 64 MB in .15 s
NODE_BANDWIDTH = 12.5e9  # bytes/s between nodes where the spec does not say: 100 Gbit/s Ethernet
PCIE_BANDWIDTH = (
    25e9  # bytes/s between a GPU and its node's memory: PCIe 4 with 16 lanes, as measured with pinned memory
)
HOST_BANDWIDTH = 1e11  # bytes/s of a GPU node's memory, for an optimizer that is offloaded


@dataclass(frozen=True)
class Machine:
    """What one process has: bytes, FLOP/s and bytes/s.

    `memory_bytes` is the device's: a GPU's, or the process's share of a node without one. `host_bytes` is the share of
    the node's memory beside a GPU. FLOP/s are a GPU's peak, or what one matrix product reached on this processor.
    """

    name: str
    on_gpu: bool
    memory_bytes: int
    host_bytes: int
    bf16_flops: float
    fp32_flops: float
    memory_bandwidth: float
    link_bandwidth: float


def describe_machine(hardware: Hardware, home: Path) -> Machine:
    """Return what the spec says of the machine, with what it leaves out measured or known.

    Args:
        hardware: The spec's section.
        home: The environment's folder for all state: measurements are kept in `planner/` there, by host.

    Raises:
        UsageError: If the spec asks for GPUs that are neither here to be looked at nor described in the spec.
    """
    node_bytes = hardware.node_memory_bytes or (None if hardware.gpus else hardware.memory_bytes) or node_memory_bytes()
    share = node_bytes // hardware.processes_per_node
    return _of_gpu(hardware, share) if hardware.gpus else _of_processor(hardware, share, home)


def node_memory_bytes() -> int:
    """Return the memory of this machine, or the container's limit where that is less."""
    limits = [int(psutil.virtual_memory().total)]
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        path = Path(name)
        if path.is_file() and (text := path.read_text().strip()).isdigit():
            limits.append(int(text))
    return min(limits)


def _of_gpu(hardware: Hardware, host_bytes: int) -> Machine:
    name = torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""
    known = find_gpu(name)
    memory = hardware.memory_bytes or (torch.cuda.get_device_properties(0).total_memory if name else None)
    flops = hardware.flops or (known.bf16_flops if known else None)
    if memory is None or flops is None:
        found = f"the GPU here ({name}) is not a known one" if name else "there is no GPU here to look at"
        raise UsageError(
            f"hardware.gpus is {hardware.gpus}, but {found}. Give 'memory_bytes' and 'flops' (peak bf16 of one GPU), "
            "and better 'bandwidth_bytes' too; an H100 has memory_bytes: 85899345920, flops: 9.89e+14, "
            "bandwidth_bytes: 4.5e+11. Nothing was planned."
        )
    link = hardware.bandwidth_bytes or (known.link_bandwidth if known else PCIE_BANDWIDTH)
    if hardware.nodes > 1 and hardware.bandwidth_bytes is None:  # a ring is as fast as its slowest link
        link = min(link, NODE_BANDWIDTH / hardware.gpus)
    return Machine(
        name=name or "GPU",
        on_gpu=True,
        memory_bytes=memory,
        host_bytes=host_bytes,
        bf16_flops=flops,
        fp32_flops=flops / 2,  # TF32; data sheets give half of bf16
        memory_bandwidth=known.memory_bandwidth if known else flops / 300,  # usual GPUs have 150 to 500 FLOPs a byte
        link_bandwidth=link,
    )


def _of_processor(hardware: Hardware, memory_bytes: int, home: Path) -> Machine:
    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    threads = hardware.threads or max(1, cores // hardware.processes_per_node)
    speeds = _measured(threads, home / "planner")
    link = hardware.bandwidth_bytes or (
        LOCAL_BANDWIDTH if hardware.nodes == 1 else min(LOCAL_BANDWIDTH, NODE_BANDWIDTH)
    )
    bf16 = hardware.flops or speeds["bf16_flops"]
    return Machine(
        name=f"{platform.machine()}, {threads} of {cores} cores",
        on_gpu=False,
        memory_bytes=memory_bytes,
        host_bytes=0,
        bf16_flops=bf16,
        fp32_flops=speeds["fp32_flops"] * bf16 / speeds["bf16_flops"],
        memory_bandwidth=speeds["memory_bandwidth"],
        link_bandwidth=link,
    )


def _measured(threads: int, folder: Path) -> dict[str, float]:
    """Return the speeds of this processor; measured once and kept, so that the same plan is made again."""
    asked = {"host": platform.node(), "cores": os.cpu_count(), "threads": threads, "torch": torch.__version__}
    path = folder / f"speed-{sha256_of(asked)[:16]}.json"
    if path.is_file():
        try:
            kept = json.loads(path.read_text())
            return {key: float(kept[key]) for key in ("bf16_flops", "fp32_flops", "memory_bandwidth")}
        except (ValueError, KeyError, TypeError) as error:
            LOG.warning("%s cannot be read (%s): this processor is measured again.", path, error)
    load = psutil.getloadavg()[0]
    speeds = measure_speed(threads)
    if load > BUSY * (os.cpu_count() or 1):
        LOG.warning(
            "This processor was measured while it was busy (load %.1f): remove %s to have it measured again.",
            load,
            path,
        )
    folder.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(f".{os.getpid()}")
    aside.write_text(json.dumps({**asked, **speeds}, indent=2))
    aside.replace(path)
    return speeds


def measure_speed(threads: int) -> dict[str, float]:
    """Return FLOP/s of a matrix product in bf16 and fp32, and bytes/s of a copy, with so many threads; about a second.

    The product is 512 x 1024 x 1024: of the size of a small model's layers, and not the largest figure to be had.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        speeds = {}
        for name, dtype in (("bf16_flops", torch.bfloat16), ("fp32_flops", torch.float32)):
            left, right = torch.ones(512, 1024, dtype=dtype), torch.ones(1024, 1024, dtype=dtype)
            speeds[name] = 2 * 512 * 1024 * 1024 / _fastest(lambda left=left, right=right: left @ right)  # type: ignore[misc]
        source = torch.ones(16 * 1024 * 1024)
        target = torch.empty_like(source)
        speeds["memory_bandwidth"] = 2 * source.nbytes / _fastest(lambda: target.copy_(source))
        return speeds
    finally:
        torch.set_num_threads(before)


def _fastest(work: Callable[[], object]) -> float:
    """Return the seconds of the fastest of many runs: others on the machine only ever slow it down."""
    work()
    times: list[float] = []
    started = time.perf_counter()
    while time.perf_counter() - started < MEASURE_SECONDS or not times:
        before = time.perf_counter()
        work()
        times.append(time.perf_counter() - before)
    return min(times)


def as_dict(machine: Machine) -> dict[str, object]:
    """Return the machine as plain JSON values."""
    return asdict(machine)
