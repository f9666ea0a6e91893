"""What accelerators can do at most, as their makers publish it: operations, memory, links.

One entry is one device as ``jax.devices()`` shows it. The two cores of a TPU v2 or v3 and the two halves of a TPU7x are
devices of their own, and each has half of its chip.

Sources: https://docs.cloud.google.com/tpu/docs/v2 and likewise v3, v4, v5e, v5p, v6e, tpu7x (peak, memory and its
bandwidth per chip; links of v4 and later, each way: half of what is called bidirectional there); Jouppi et al. 2020,
https://doi.org/10.1145/3360307, table 1 (links of v2 and v3); NVIDIA's data sheets and white papers
(https://www.nvidia.com/en-us/data-center/h100 and likewise h200, a100, l4, l40s, t4, v100;
https://www.nvidia.com/en-us/data-center/hgx for B200; the white papers "NVIDIA Ada GPU Architecture" and "NVIDIA Ampere
GA102 GPU Architecture" for GeForce), whose figures with sparsity are halved here.
"""

import re
from typing import NamedTuple

GIB = 2**30
"""What makers call a GB of memory."""


class Chip(NamedTuple):
    """The most that a device can do, and what it holds.

    Attributes:
      name: what people call it.
      peak_flops: operations a second in matrix products of bfloat16 that are summed in float32, nothing sparse; of
        float16 on a T4 and a V100, which have no bfloat16.
      memory: bytes.
      bandwidth: bytes a second from and to its memory.
      link_bandwidth: bytes a second each way over one link to a neighbour.
      links: how many it has: to its neighbours in a torus of two or three dimensions for a TPU, to a switch that joins
        all GPUs of a machine (NVLink), or one to the machine's bus.

    >>> chip = chip_of("TPU v5 lite")
    >>> chip.name, chip.peak_flops, chip.peak_flops / chip.bandwidth > 240
    ('TPU v5e', 197000000000000.0, True)
    """

    name: str
    peak_flops: float
    memory: int
    bandwidth: float
    link_bandwidth: float
    links: int


def _chip(name: str, tera: float, gib: float, gigabytes: float, link: float, links: int) -> Chip:
    return Chip(name, tera * 1e12, int(gib * GIB), gigabytes * 1e9, link * 1e9, links)


# The whole of a device kind, as a regular expression: what is left of a card that was cut up (MIG) is another kind.
_KINDS = (
    ("TPU v2", _chip("TPU v2 core", 23, 8, 350, 31, 4)),
    ("TPU v3", _chip("TPU v3 core", 61.5, 16, 450, 41, 4)),
    ("TPU v4", _chip("TPU v4", 275, 32, 1200, 50, 6)),
    ("TPU v5 lite|TPU v5e", _chip("TPU v5e", 197, 16, 819, 50, 4)),
    ("TPU v5|TPU v5p", _chip("TPU v5p", 459, 95, 2765, 100, 6)),
    ("TPU v6 lite|TPU v6e", _chip("TPU v6e", 918, 32, 1638, 100, 4)),
    ("TPU7x|TPU v7x?", _chip("TPU7x half", 1153.5, 96, 3690, 50, 6)),
    ("NVIDIA B200", _chip("B200", 2250, 180, 7700, 50, 18)),
    ("NVIDIA H200", _chip("H200", 989.5, 141, 4800, 25, 18)),
    ("NVIDIA H200 NVL", _chip("H200 NVL", 835.5, 141, 4800, 25, 18)),
    ("NVIDIA H100 80GB HBM3", _chip("H100 SXM", 989.5, 80, 3350, 25, 18)),
    ("NVIDIA H100 NVL", _chip("H100 NVL", 835.5, 94, 3900, 25, 12)),
    ("NVIDIA H100 PCIe", _chip("H100 PCIe", 756.5, 80, 2000, 25, 12)),
    ("NVIDIA A100-SXM4-80GB", _chip("A100 80 GB SXM", 312, 80, 2039, 25, 12)),
    ("NVIDIA A100 80GB PCIe", _chip("A100 80 GB PCIe", 312, 80, 1935, 25, 12)),
    ("NVIDIA A100-(SXM4|PCIE)-40GB", _chip("A100 40 GB", 312, 40, 1555, 25, 12)),
    ("NVIDIA L40S", _chip("L40S", 362, 48, 864, 32, 1)),
    ("NVIDIA L4", _chip("L4", 121, 24, 300, 32, 1)),
    ("(NVIDIA |)Tesla V100-SXM2-32GB", _chip("V100 32 GB SXM", 125, 32, 900, 25, 6)),
    ("(NVIDIA |)Tesla V100-SXM2-16GB", _chip("V100 16 GB SXM", 125, 16, 900, 25, 6)),
    ("(NVIDIA |)(Tesla |)T4", _chip("T4", 65, 16, 300, 16, 1)),
    ("NVIDIA GeForce RTX 5090", _chip("RTX 5090", 209.5, 32, 1792, 64, 1)),
    ("NVIDIA GeForce RTX 4090", _chip("RTX 4090", 165.2, 24, 1008, 32, 1)),
    ("NVIDIA GeForce RTX 3090", _chip("RTX 3090", 71, 24, 936, 32, 1)),
)

CHIPS = tuple(chip for _, chip in _KINDS)
"""All that are known."""


def chip_of(device_kind: str) -> Chip | None:
    """The chip that a device is, by ``jax.devices()[0].device_kind``.

    None where nobody has said what it can do: a CPU, a card that is cut up, one that is newer than this table. A share
    of a peak that is not known is not known either.

    >>> chip_of("NVIDIA H100 80GB HBM3").name, chip_of("cpu")
    ('H100 SXM', None)
    """
    return next((chip for kinds, chip in _KINDS if re.fullmatch(kinds, device_kind)), None)
