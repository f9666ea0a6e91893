"""A task's data on the devices: put there once, whatever number of populations trains on them."""

import weakref

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, PyTree

from jaxlab.core import hyper
from jaxlab.sweep import memory
from jaxlab.sweep.program import SHARED, put
from jaxlab.tasks import Task

# The newest place alone: data that lie elsewhere, too, would take memory for nothing.
_placed: weakref.WeakKeyDictionary[Task, tuple[tuple[Mesh, np.dtype], PyTree[Array]]] = weakref.WeakKeyDictionary()


def placed(task: Task, mesh: Mesh) -> PyTree[Array]:
    """The task's data, whole on every device of the mesh; they stay there as long as the task lives."""
    where, data = _placed.get(task, (None, None))
    if where != _place(mesh):
        data = put(mesh, task.data, SHARED)
        _placed[task] = _place(mesh), data
    return data


def bytes_there(task: Task, mesh: Mesh) -> int:
    """Bytes of a device that the data take already."""
    where, data = _placed.get(task, (None, None))
    return memory.of_arrays(data) if where == _place(mesh) else 0


def _place(mesh: Mesh) -> tuple[Mesh, np.dtype]:
    # 64-bit data are put as such or as 32 bits.
    return mesh, hyper.arithmetic_dtype()
