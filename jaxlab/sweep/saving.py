"""The way of a population, saved in a folder so that it goes on where it was killed or interrupted."""

import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jax
import numpy as np
from jax.sharding import SingleDeviceSharding
from jaxtyping import PyTree

from jaxlab import train
from jaxlab.core import hyper
from jaxlab.train.given import Beside

SECONDS = 30.0
"""Between two checkpoints, at least."""


class Saving:
    """Writes the whole state of a population now and then.

    The folder holds one subfolder, ``population``, which is removed when the population is complete.

    Args:
      folder: created if need be.
      identity: what makes it this population: JSON data by name.

    Attributes:
      step: of the state that was there at the beginning; 0: none was.
      note: its note.

    Raises:
      ValueError: the folder holds another population; the first thing that differs is named. A folder that is
        a file.
    """

    def __init__(self, folder: str | Path, identity: Mapping[str, Any]) -> None:
        self._folder = Path(folder) / "population"
        self._identity = dict(identity)
        self._checkpoints = train.Checkpoints(self._folder, keep=1)
        self.step = max(self._checkpoints.steps(), default=0)
        self._time = time.monotonic()
        self.note: dict[str, Any] | None = None
        if self.step:
            self.note = self._checkpoints.note()
            there = self.note["identity"]
            for name in self._identity | there:  # What one of the two has not at all is another thing, too.
                if there.get(name) != self._identity.get(name):
                    raise hyper.RunError(
                        f"checkpoint = {str(folder)!r} holds another population, of {name} = {there.get(name)!r}: "
                        f"accepted is {self._identity.get(name)!r}, or an empty folder"
                    )

    def restore(self, like: PyTree[np.ndarray]) -> PyTree[np.ndarray]:
        """The arrays that were saved; ``like`` has their shapes and dtypes."""
        there = SingleDeviceSharding(_host())
        shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=there), like)
        found = self._checkpoints.restore(shapes)
        return jax.tree.map(lambda leaf, empty: np.array(leaf) if empty.size else empty, found, like)

    def due(self) -> bool:
        """Whether the last state was written a while ago."""
        return time.monotonic() - self._time >= SECONDS

    def write(self, step: int, arrays: PyTree[np.ndarray], note: Mapping[str, Any]) -> None:
        """Writes a population after an evaluation: its step, its arrays on the host, and a note of JSON data."""
        self._checkpoints.save(step, arrays, {**note, "identity": self._identity})
        self._time = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Removes what was saved, if the population is complete."""
        self._checkpoints.close()
        if kind is None:
            shutil.rmtree(self._folder, ignore_errors=True)
            above = self._folder.parent
            if above.is_dir() and not any(above.iterdir()):
                above.rmdir()


def name_of(build: Any) -> str:
    """What tells one ``build`` from another, as far as it can be told in words."""
    if isinstance(build, Beside):
        return f"{name_of(build.build)} beside {', '.join(build.loss.names)}"
    name = getattr(build, "__qualname__", type(build).__name__)
    owner = getattr(build, "__self__", None)
    return re.sub(r" at 0x\w+", "", name if owner is None else f"{name} of {owner!r}")


def _host() -> Any:
    # All members may be more than an accelerator holds.
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # JAX was told to know accelerators alone.
        return jax.local_devices()[0]
