"""Checkpoints of a training state: saved whole, restored to the bit. The only place that knows orbax."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import PyTree
from orbax.checkpoint import v1 as ocp

from jaxlab.core import hyper, tree

State = TypeVar("State")


class Checkpoints:
    """A folder of checkpoints, one for each saved step; the newest few are kept.

    A checkpoint holds every array of a state under its path name, and a note. It is written to a temporary
    folder and renamed when complete: an interrupted save leaves the older checkpoints whole.

    Args:
      directory: created with the first save.
      keep: how many of the newest to keep, at least 1.

    Raises:
      ValueError: ``keep`` below 1; a directory that is a file.

    >>> import tempfile
    >>> with Checkpoints(tempfile.mkdtemp()) as checkpoints:
    ...     checkpoints.save(7, {"w": jnp.arange(3)}, note={"task": "line"})
    ...     checkpoints.restore({"w": jnp.zeros(3, int)})["w"].tolist(), checkpoints.note()
    ([0, 1, 2], {'task': 'line'})
    """

    def __init__(self, directory: str | Path, keep: int = 3) -> None:
        hyper.integer("keep", keep, at_least=1)
        self.directory = Path(directory).absolute()
        if self.directory.exists() and not self.directory.is_dir():
            raise ValueError(f"directory = {str(directory)!r} is a file: accepted is a folder, or a path to create")
        checkpointer: Any = ocp.training.Checkpointer  # its policies do not satisfy its own protocol
        policy = ocp.training.preservation_policies.LatestN(keep)
        self._checkpointer: Any = checkpointer(str(self.directory), preservation_policy=policy)

    def save(self, step: int, state: PyTree, note: Mapping[str, Any] | None = None) -> None:
        """Writes one checkpoint and returns when it is complete.

        Args:
          step: names it; above every step saved before.
          state: any pytree of arrays, typed keys included.
          note: JSON data kept beside the arrays: what the run was.

        Raises:
          ValueError: a step that is not above the newest, or two leaves of one name; nothing is written.
        """
        newest = self.steps()[-1:]
        if newest and step <= newest[0]:
            raise ValueError(f"step = {step}: accepted is a step above {newest[0]}, the newest in {self.directory}")
        arrays = {name: leaf for name, leaf in _named(state).items() if leaf.size}
        form = {name: [list(leaf.shape), str(leaf.dtype)] for name, leaf in _named(state).items()}
        self._checkpointer.save_checkpointables(
            step, {"arrays": arrays, "about": {"form": form, "note": dict(note or {})}}, overwrite=True
        )

    def steps(self) -> list[int]:
        """The saved steps, oldest first."""
        return [checkpoint.step for checkpoint in self._checkpointer.checkpoints]

    def note(self, step: int | None = None) -> dict[str, Any]:
        """The note of a step's checkpoint, by default the newest."""
        return self._about(self._chosen(step))["note"]

    def restore(self, like: State, step: int | None = None) -> State:
        """A saved state with the structure, dtypes and shardings of ``like``.

        Args:
          like: a state of the same run, such as a fresh one; its values are not used.
          step: by default the newest.

        Raises:
          FileNotFoundError: no checkpoint, or none of that step; those that exist are named.
          ValueError: the checkpoint's arrays are not those of ``like``; the first that differs is named.
        """
        step = self._chosen(step)
        wanted = _named(like)
        found = self._about(step)["form"]
        for name in sorted(wanted.keys() | found.keys()):
            here = [list(wanted[name].shape), str(wanted[name].dtype)] if name in wanted else "nothing"
            there = found.get(name, "nothing")
            if here != there:
                raise ValueError(
                    f"checkpoint {step} in {self.directory} is of another run: {name!r} is {there} there, {here} here"
                )
        abstract = {
            name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=getattr(leaf, "sharding", None))
            for name, leaf in wanted.items()
            if leaf.size
        }
        arrays = self._checkpointer.load_checkpointables(step, {"arrays": abstract})["arrays"]
        leaves = [arrays.get(name, leaf) for name, leaf in wanted.items()]
        return jax.tree.unflatten(jax.tree.structure(like), leaves)

    def close(self) -> None:
        """Waits for what is being written and lets go of the folder."""
        self._checkpointer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _chosen(self, step: int | None) -> int:
        steps = self.steps()
        if not steps:
            raise FileNotFoundError(f"no checkpoint in {self.directory}")
        if step is None:
            return steps[-1]
        if step not in steps:
            raise FileNotFoundError(f"no checkpoint of step {step} in {self.directory}; there are {steps}")
        return step

    def _about(self, step: int) -> dict[str, Any]:
        return self._checkpointer.load_checkpointables(step, {"about": None})["about"]


def _named(state: PyTree) -> dict[str, Any]:
    leaves = [leaf if hasattr(leaf, "dtype") else jnp.asarray(leaf) for leaf in jax.tree.leaves(state)]
    names = tree.names(state)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two leaves of the state are named {twice[0]!r}: accepted are names that differ")
    return dict(zip(names, leaves, strict=True))
