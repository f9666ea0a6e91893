"""Which dtype a device computes in, and why."""

import re
from typing import Any

AMD_BFLOAT16 = re.compile(r"gfx(908|90a|94\d|95\d|11\d\d|12\d\d)")
"""CDNA and RDNA 3 and later: AMD's architectures with products of bfloat16 matrices."""


def choose(device: Any) -> tuple[str, str]:
    """The compute dtype for a device, and the reason in words.

    ==============================================  ==================================
    TPU                                             bfloat16
    NVIDIA, compute capability 8.0 and above        bfloat16
    NVIDIA, 7.x                                     float16, which needs a loss scale
    NVIDIA below                                    float32
    AMD: CDNA, RDNA 3 and later                     bfloat16
    CPU and whatever else                           float32
    ==============================================  ==================================

    Args:
      device: one of ``jax.devices()``, or what has its ``platform``, ``device_kind`` and, for a GPU,
        ``compute_capability``.

    >>> from types import SimpleNamespace
    >>> choose(SimpleNamespace(platform="gpu", device_kind="Tesla T4", compute_capability="7.5"))
    ('float16', 'Tesla T4 has compute capability 7.5: float16 is fast from 7.0 on, bfloat16 from 8.0')
    """
    kind = device.device_kind
    if device.platform == "tpu":
        return "bfloat16", f"{kind} is a TPU: its matrix units take bfloat16"
    if device.platform == "cpu":
        return "float32", "a CPU gains no speed by less than float32"
    capability = str(getattr(device, "compute_capability", ""))
    if AMD_BFLOAT16.match(capability):
        return "bfloat16", f"{kind} is {capability}, which has products of bfloat16 matrices"
    if found := re.fullmatch(r"(\d+)\.\d+", capability):
        major, said = int(found[1]), f"{kind} has compute capability {capability}"
        if major >= 8:
            return "bfloat16", f"{said}: bfloat16 is fast from 8.0 on"
        if major == 7:
            return "float16", f"{said}: float16 is fast from 7.0 on, bfloat16 from 8.0"
        return "float32", f"{said}: float16 is fast from 7.0 on, bfloat16 from 8.0"
    return "float32", f"{kind} ({device.platform}) is not known to gain by less"
