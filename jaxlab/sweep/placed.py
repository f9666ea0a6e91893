"""What a task's runs share, on the devices: put there once, whatever number of populations trains on them."""

import weakref

import jax
import numpy as np
from jax.sharding import Mesh

from jaxlab.core import hyper, parts
from jaxlab.sweep import memory
from jaxlab.sweep.program import SHARED, Shared, put
from jaxlab.tasks import Task

# The newest place alone: data that lie elsewhere, too, would take memory for nothing.
_placed: weakref.WeakKeyDictionary[Task, tuple[tuple[Mesh, np.dtype], Shared]] = weakref.WeakKeyDictionary()


def placed(task: Task, mesh: Mesh) -> Shared:
    """The task's data and frozen parameters, whole on every device; they stay there as long as the task lives."""
    where, shared = _placed.get(task, (None, None))
    if where != _place(mesh) or shared is None:
        shared = put(mesh, shared_of(task), SHARED)
        _placed[task] = _place(mesh), shared
    return shared


def shared_of(task: Task) -> Shared:
    """What all members of the task's populations share, wherever it lies; frozen parameters in the dtypes of ``init``.

    Raises:
      ValueError: frozen parameters that ``init`` does not make, that have other shapes, or that are all there are.
    """
    if task.frozen is None:
        return Shared(task.data, None)
    params = jax.eval_shape(task.init, jax.random.key(0))
    frozen = parts.fitted("frozen", task.frozen, params)
    if not jax.tree.leaves(parts.without(params, frozen)):
        raise ValueError(f"task {task.name!r}: frozen has every parameter: accepted is what leaves one to train")
    return Shared(task.data, frozen)


def bytes_there(task: Task, mesh: Mesh) -> int:
    """Bytes of a device that the data take already."""
    where, shared = _placed.get(task, (None, None))
    return memory.of_arrays(shared) if where == _place(mesh) else 0


def _place(mesh: Mesh) -> tuple[Mesh, np.dtype]:
    # 64-bit data are put as such or as 32 bits.
    return mesh, hyper.arithmetic_dtype()
