"""How much memory a device has, and how much of it a compiled program takes."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from jaxtyping import PyTree

from jaxlab.core import host

MARGIN = 0.8
"""The share of the free memory that a population takes: allocators lose some, others want some."""


def free(devices: Sequence[Any], root: Path = host.ROOT) -> int | None:
    """Bytes that a program may use on each of the devices; None: nobody knows.

    An accelerator is asked. Devices of the host share what it has left (:func:`~jaxlab.core.host.free_memory`).

    Args:
      devices: of one kind.
      root: where the system's files begin.
    """
    stats = [device.memory_stats() for device in devices]
    known = [each["bytes_limit"] - each["bytes_in_use"] for each in stats if each and "bytes_limit" in each]
    if len(known) == len(devices):
        return int(MARGIN * min(known))
    if devices[0].platform != "cpu":
        return None
    left = host.free_memory(root)
    return None if left is None else int(MARGIN * left / len(jax.local_devices()))


def of_arrays(tree: PyTree) -> int:
    """Bytes of arrays, or of their shapes.

    >>> import numpy as np
    >>> of_arrays({"w": np.zeros((2, 3), np.float32)})
    24
    """
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def of_program(executable: Any) -> tuple[int, int]:
    """Bytes of a device that an executable's arguments take, and what it needs besides.

    Besides are the results that are not written over arguments, and temporaries. (0, 0): its compiler does not say.
    """
    found = executable.memory_analysis()
    if found is None:
        return 0, 0
    besides = found.output_size_in_bytes - found.alias_size_in_bytes + found.temp_size_in_bytes
    return found.argument_size_in_bytes, besides


def fewest_groups(places: int, devices: int, *, shared: int, member: int, memory: int | None) -> int:
    """In how many equal groups members take turns so that their states fit; 0: not even one a device does.

    Args:
      places: for members, on all devices.
      devices: how many.
      shared: bytes that every device holds whatever trains: the data.
      member: bytes of a member's state.
      memory: bytes of a device; None: enough.

    >>> fewest_groups(32, 2, shared=100, member=10, memory=180), fewest_groups(32, 2, shared=100, member=10, memory=105)
    (2, 0)
    """
    if memory is None:
        return 1
    at_once = (memory - shared) // member * devices
    return -(-places // at_once) if at_once > 0 else 0


def text(count: int) -> str:
    """Bytes for the reader.

    >>> text(1_234), text(2_500_000_000)
    ('1.23 kB', '2.5 GB')
    """
    for size, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"
