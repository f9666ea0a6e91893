"""Training with ``jax.pmap``, for programs that are written around it.

A compatibility path: jax maintains ``pmap`` and recommends ``jit`` with a layout, which is ``make_train_step(...,
layout=Layout("data=-1"))`` here and can do more. The numbers are the same. Where there are several processes
(:func:`~jaxlab.sharding.start`), each splits its own part of the batch over its own devices.
"""

from collections.abc import Sequence
from typing import Any, Unpack

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

from jaxlab.core import tree
from jaxlab.train.objective import LossFn
from jaxlab.train.state import Build
from jaxlab.train.step import StepFn, StepOptions, step_fn

AXIS = "devices"
"""The axis that :func:`pmap_train_step` maps over: a loss may average over it by ``jax.lax.pmean(x, AXIS)``."""


def pmap_train_step(
    loss_fn: LossFn, build: Build, *, devices: Sequence[Any] | None = None, **options: Unpack[StepOptions]
) -> StepFn:
    """:func:`~jaxlab.train.make_train_step` by ``jax.pmap``: a part of the batch and all of the state on each device.

    Gradients, loss and metrics are averaged over the devices, so the result is that of one device with the whole
    batch, for a loss that is a mean over examples and has no noise: noise differs from device to device.

    Args:
      loss_fn, build, options: as in :func:`~jaxlab.train.make_train_step`.
      devices: by default this process's; the same as those of :func:`replicate`.

    Returns:
      ``(state, batch) -> (state, metrics)``, with the state of :func:`replicate` and a batch of :func:`split`; metrics
      are those of the whole batch, once. The state is donated.

    Raises:
      TypeError, ValueError: as :func:`~jaxlab.train.make_train_step`.

    >>> import jax.numpy as jnp, jaxlab
    >>> loss = lambda params, batch, key: (jnp.mean((batch - params) ** 2), {})
    >>> build = lambda h: jaxlab.optimizers.sgd(h)
    >>> state = replicate(jaxlab.train.init_state(jnp.zeros(()), build, 0.5, key=jax.random.key(0)))
    >>> state, metrics = pmap_train_step(loss, build)(state, split(np.full(jax.device_count(), 3.0)))
    >>> float(unreplicate(state).params), float(metrics["loss"])
    (3.0, 9.0)
    """
    step = step_fn(loss_fn, build, axis_name=AXIS, **options)
    return jax.pmap(step, axis_name=AXIS, devices=devices, out_axes=(0, None), donate_argnums=0)


def replicate(state: PyTree[Array], devices: Sequence[Any] | None = None) -> PyTree[Array]:
    """A copy of a state for every device, on a new leading axis.

    Args:
      state: any tree of arrays, typed keys included.
      devices: by default this process's.
    """
    devices = jax.local_devices() if devices is None else devices
    mesh = jax.make_mesh((len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices)
    place = NamedSharding(mesh, PartitionSpec(AXIS))

    def one(leaf: Array) -> Array:
        copies = [jax.device_put(leaf[None], device) for device in devices]
        return jax.make_array_from_single_device_arrays((len(devices), *leaf.shape), place, copies)

    return jax.tree.map(one, state)


def unreplicate(state: PyTree[Array]) -> PyTree[Array]:
    """The first device's copy, without the leading axis: to evaluate, to save."""
    return jax.tree.map(lambda leaf: leaf[0], state)


def split(batch: PyTree[Any], devices: Sequence[Any] | None = None) -> PyTree[Any]:
    """A batch of n examples as one of ``[devices, n / devices]``, consecutive examples on one device.

    Args:
      batch: any tree of arrays with a leading axis of examples.
      devices: by default this process's.

    Raises:
      ValueError: examples that the devices do not divide, or a leaf without that axis; it is named.

    >>> split({"x": np.zeros((8 * jax.local_device_count(), 3))})["x"].shape == (jax.local_device_count(), 8, 3)
    True
    """
    count = jax.local_device_count() if devices is None else len(devices)
    for name, leaf in zip(tree.names(batch), jax.tree.leaves(batch), strict=True):
        if not np.ndim(leaf) or leaf.shape[0] % count:
            raise ValueError(
                f"batch leaf {name or 'of one array'!r} of shape {np.shape(leaf)}: accepted is a leading axis of "
                f"examples that {count} devices divide"
            )
    return jax.tree.map(lambda leaf: leaf.reshape(count, -1, *leaf.shape[1:]), batch)
