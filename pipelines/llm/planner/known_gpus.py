"""What usual GPUs can do, by the name that their driver gives.

Figures are those of the makers' data sheets: dense bf16 tensor-core FLOP/s (without sparsity), memory, its bandwidth,
and bytes/s in one direction between two GPUs of a node (half of NVLink's quoted sum of both, else the PCIe slot).
"""

from __future__ import annotations

from dataclasses import dataclass

PCIE_4, PCIE_5 = 32e9, 64e9  # 16 lanes, one direction


@dataclass(frozen=True)
class Gpu:
    """One kind of GPU. FLOP/s, bytes, bytes/s, bytes/s."""

    bf16_flops: float
    memory_bytes: int
    memory_bandwidth: float
    link_bandwidth: float


GIB = 1024**3

KNOWN: tuple[tuple[str, Gpu], ...] = (  # the first whose words are all in the name is taken: special ones stand first
    ("B200", Gpu(2.25e15, 180 * GIB, 8.0e12, 900e9)),  # NVIDIA DGX B200 data sheet, 2024
    ("H200", Gpu(9.89e14, 141 * GIB, 4.8e12, 450e9)),  # NVIDIA H200 data sheet, 2024
    ("H100 PCIe", Gpu(7.56e14, 80 * GIB, 2.0e12, PCIE_5)),  # NVIDIA H100 data sheet, 2023
    ("H100", Gpu(9.89e14, 80 * GIB, 3.35e12, 450e9)),  # the same, SXM5
    ("A100 PCIE 40GB", Gpu(3.12e14, 40 * GIB, 1.555e12, PCIE_4)),  # NVIDIA A100 data sheet, 2021
    ("A100 40GB", Gpu(3.12e14, 40 * GIB, 1.555e12, 300e9)),
    ("A100 PCIe", Gpu(3.12e14, 80 * GIB, 1.935e12, PCIE_4)),
    ("A100", Gpu(3.12e14, 80 * GIB, 2.039e12, 300e9)),
    ("L40S", Gpu(3.62e14, 48 * GIB, 8.64e11, PCIE_4)),  # NVIDIA L40S data sheet, 2023
    ("A6000", Gpu(1.55e14, 48 * GIB, 7.68e11, PCIE_4)),  # NVIDIA RTX A6000 data sheet, 2021
    ("A10G", Gpu(7.0e13, 24 * GIB, 6.0e11, PCIE_4)),  # as in Amazon's g5 instances
    ("L4", Gpu(1.21e14, 24 * GIB, 3.0e11, PCIE_4)),  # NVIDIA L4 data sheet, 2023
    ("RTX 4090", Gpu(1.65e14, 24 * GIB, 1.008e12, PCIE_4)),  # NVIDIA Ada architecture white paper, 2022
    ("RTX 3090", Gpu(7.1e13, 24 * GIB, 9.36e11, PCIE_4)),  # NVIDIA Ampere GA102 white paper, 2021
    ("MI300X", Gpu(1.307e15, 192 * GIB, 5.3e12, 448e9)),  # AMD Instinct MI300X data sheet, 2023
)


def find_gpu(name: str) -> Gpu | None:
    """Return what the GPU of this name can do, or None where it is not known.

    >>> find_gpu("NVIDIA H100 80GB HBM3").bf16_flops
    989000000000000.0
    """
    words = name.upper().replace("-", " ").split()
    return next((gpu for known, gpu in KNOWN if set(known.upper().split()) <= set(words)), None)
