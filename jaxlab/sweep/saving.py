"""The way of a population, saved in a folder so that it goes on where it was killed or interrupted."""

import hashlib
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import jax
import numpy as np
from jax.sharding import SingleDeviceSharding
from jaxtyping import PyTree

from jaxlab import train
from jaxlab.core import hyper

SECONDS = 30.0
"""Between two checkpoints, at least."""


class Whole(NamedTuple):
    """A population after an evaluation: its step, its arrays on the host, and a note of JSON data."""

    step: int
    arrays: PyTree[np.ndarray]
    note: dict[str, Any]


class Saving:
    """Keeps the newest whole state of a population, and writes it now and then.

    The folder holds one subfolder, ``population``, which is removed when the population is complete.

    Args:
      folder: created if need be.
      identity: what makes it this population: JSON data by name.

    Attributes:
      step: of the newest state that is written; 0: none is.
      note: its note, if there was one at the beginning.

    Raises:
      ValueError: the folder holds another population; the first thing that differs is named. A folder that is
        a file.
    """

    def __init__(self, folder: str | Path, identity: Mapping[str, Any]) -> None:
        self._folder = Path(folder) / "population"
        self._identity = dict(identity)
        self._newest: Whole | None = None
        self._checkpoints = train.Checkpoints(self._folder, keep=1)
        self.step = max(self._checkpoints.steps(), default=0)
        self._time = time.monotonic()
        self.note: dict[str, Any] | None = None
        if self.step:
            self.note = self._checkpoints.note()
            there = self.note["identity"]
            for name, here in self._identity.items():
                if there.get(name) != here:
                    raise hyper.RunError(
                        f"checkpoint = {str(folder)!r} holds another population, of {name} = {there.get(name)!r}: "
                        f"accepted is {here!r}, or an empty folder"
                    )

    def restore(self, like: PyTree[np.ndarray]) -> PyTree[np.ndarray]:
        """The arrays that were saved; ``like`` has their shapes and dtypes."""
        there = SingleDeviceSharding(_host())
        shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=there), like)
        found = self._checkpoints.restore(shapes)
        return jax.tree.map(lambda leaf, empty: np.array(leaf) if empty.size else empty, found, like)

    def hold(self, whole: Whole) -> None:
        """Takes note of a whole state, and writes it if the last one was written a while ago."""
        self._newest = whole
        if time.monotonic() - self._time >= SECONDS:
            self.write()

    def write(self) -> None:
        """Writes the newest whole state, if it is not written."""
        if self._newest is not None and self._newest.step > self.step:
            step, arrays, note = self._newest
            self._checkpoints.save(step, arrays, {**note, "identity": self._identity})
            self.step, self._time = step, time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Complete: removes what was saved. Interrupted by whatever: writes the newest whole state first."""
        if kind is not None:
            self.write()
        self._checkpoints.close()
        if kind is None:
            shutil.rmtree(self._folder, ignore_errors=True)
            above = self._folder.parent
            if above.is_dir() and not any(above.iterdir()):
                above.rmdir()


def name_of(build: Any) -> str:
    """What tells one ``build`` from another, as far as it can be told in words."""
    name = getattr(build, "__qualname__", type(build).__name__)
    owner = getattr(build, "__self__", None)
    return name if owner is None else re.sub(r" at 0x\w+", "", f"{name} of {owner!r}")


def digest(tree: PyTree) -> str:
    """A few letters that tell arrays apart.

    >>> digest({"a": np.arange(3)}) == digest({"a": np.arange(3)}) != digest({"b": np.arange(3)})
    True
    """
    found = hashlib.sha256(str(jax.tree.structure(tree)).encode())
    for leaf in jax.tree.leaves(tree):
        array = np.ascontiguousarray(leaf)
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()[:16]


def _host() -> Any:
    # All members may be more than an accelerator holds.
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # JAX was told to know accelerators alone.
        return jax.local_devices()[0]
