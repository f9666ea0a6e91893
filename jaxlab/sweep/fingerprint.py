"""A few letters that tell arrays apart, so that results are never taken for those of other data."""

import zlib
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from jaxlab.core import tree


def fingerprint(arrays: PyTree) -> str:
    """A short checksum of arrays: their shapes, types and bytes.

    >>> fingerprint({"a": np.arange(3)}) == fingerprint({"a": np.arange(3)}) != fingerprint({"a": np.arange(4)})
    True
    """
    total = 0
    for leaf in map(np.asarray, jax.tree.leaves(arrays)):
        total = zlib.crc32(f"{leaf.shape}{leaf.dtype}".encode(), total)
        total = zlib.crc32(np.ascontiguousarray(leaf).tobytes(), total)
    return f"{total:08x}"


def given_identity(task: Any) -> dict[str, str]:
    """What of a task's parameters does not come from a run's key, where there is such a part: names and values."""
    given = {"start": task.start, "frozen": task.frozen}
    return {
        name: f"{zlib.crc32(' '.join(tree.names(part)).encode()):08x} {fingerprint(part)}"
        for name, part in given.items()
        if part is not None
    }
