from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest
import torch

from pipelines.errors import UsageError
from pipelines.llm.planner.known_gpus import KNOWN, find_gpu
from pipelines.llm.planner.machine import describe_machine, measure_speed, node_memory_bytes
from pipelines.spec.hardware import Hardware

GIVEN = {"gpus": 2, "memory_bytes": 80 * 1024**3, "node_memory_bytes": 400 * 10**9, "flops": 9.89e14}


def test_what_the_spec_says_is_taken() -> None:
    machine = describe_machine(Hardware(**GIVEN, bandwidth_bytes=4.5e11), Path("unused"))
    assert (machine.on_gpu, machine.memory_bytes, machine.bf16_flops) == (True, 80 * 1024**3, 9.89e14)
    assert machine.host_bytes == 200 * 10**9  # each of two processes has half of the node
    assert machine.link_bandwidth == 4.5e11


def test_nodes_talk_no_faster_than_their_network() -> None:
    near, far = (
        describe_machine(Hardware(**GIVEN, nodes=nodes, rendezvous="a:1"), Path("unused")).link_bandwidth
        for nodes in (1, 2)
    )
    assert far < near


def test_gpus_that_are_neither_here_nor_described_are_refused_with_what_to_write() -> None:
    if torch.cuda.is_available():  # then there is one to look at, and it is
        assert describe_machine(Hardware(gpus=1), Path("unused")).memory_bytes > 10**9
        return
    with pytest.raises(UsageError, match=r"hardware.gpus is 8, but there is no GPU here.*memory_bytes: 85899345920"):
        describe_machine(Hardware(gpus=8), Path("unused"))


def test_a_processor_is_measured_once_and_the_measurement_kept(tmp_path: Path) -> None:
    first = describe_machine(Hardware(threads=1), tmp_path)
    assert first == describe_machine(Hardware(threads=1), tmp_path)
    (kept,) = (tmp_path / "planner").glob("*.json")
    assert json.loads(kept.read_text())["bf16_flops"] == first.bf16_flops
    assert first.memory_bytes <= psutil.virtual_memory().total


def test_a_measurement_that_cannot_be_read_is_made_again(tmp_path: Path) -> None:
    first = describe_machine(Hardware(threads=1), tmp_path)
    (kept,) = (tmp_path / "planner").glob("*.json")
    kept.write_text('{"bf16_flops": "fast"}')
    again = describe_machine(Hardware(threads=1), tmp_path)
    assert again.bf16_flops > 0
    assert json.loads(kept.read_text())["host"]
    assert again.memory_bytes == first.memory_bytes


def test_processes_of_one_node_share_its_memory(tmp_path: Path) -> None:
    two = describe_machine(Hardware(processes=2, threads=1), tmp_path)
    assert two.memory_bytes == node_memory_bytes() // 2
    assert describe_machine(Hardware(memory_bytes=10**10, threads=1), tmp_path).memory_bytes == 10**10


def test_a_measurement_leaves_the_number_of_threads_as_it_was() -> None:
    before = torch.get_num_threads()
    speeds = measure_speed(1)
    assert torch.get_num_threads() == before
    assert speeds["bf16_flops"] > 1e9
    assert speeds["memory_bandwidth"] > 1e8


@pytest.mark.parametrize(
    ("name", "flops", "gigabytes"),
    [
        ("NVIDIA H100 80GB HBM3", 9.89e14, 80),
        ("NVIDIA H100 PCIe", 7.56e14, 80),
        ("NVIDIA H200", 9.89e14, 141),
        ("NVIDIA A100-SXM4-80GB", 3.12e14, 80),
        ("NVIDIA A100-SXM4-40GB", 3.12e14, 40),
        ("NVIDIA L4", 1.21e14, 24),
        ("NVIDIA L40S", 3.62e14, 48),
    ],
)
def test_usual_gpus_are_known_by_the_names_of_their_driver(name: str, flops: float, gigabytes: int) -> None:
    gpu = find_gpu(name)
    assert gpu is not None
    assert (gpu.bf16_flops, gpu.memory_bytes) == (flops, gigabytes * 1024**3)


def test_an_unknown_gpu_is_not_taken_for_another() -> None:
    assert find_gpu("Quadro K2000") is None
    assert all(find_gpu(name) is not None for name, _ in KNOWN)
