"""What the devices of a named axis compute together, inside ``pmap`` or ``shard_map``, where each runs its own program.

The functions here are right to differentiate, forwards and backwards, once and again, whether or not the axis checks
what varies over it (``check_vma`` of ``shard_map``; ``pmap`` does not). With ``axis_name=None`` there is one program
for all devices, and every function is the identity.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from jaxlab.core import hyper

_BEFORE_PCAST = "pvary"  # its name in jax 0.7


def own(values: PyTree[Array], axis_name: str | None) -> PyTree[Array]:
    """Values that all devices have alike, for each one to compute with on its own examples.

    The identity; what is differentiated with respect to its argument and then averaged by :func:`mean` is the
    derivative of the average.
    """
    if axis_name is None:
        return values
    if _is_checked(axis_name):
        return jax.tree.map(lambda leaf: _varying(leaf, axis_name), values)
    return jax.tree.map(lambda leaf: _same(axis_name, leaf) if _is_floating(leaf) else leaf, values)


def mean(values: PyTree[Array], axis_name: str | None) -> PyTree[Array]:
    """The average over the devices; of whole numbers and of flags as a real number."""
    if axis_name is None:
        return values

    def one(leaf: Array) -> Array:
        return jax.lax.pmean(leaf if _is_floating(leaf) else leaf.astype(hyper.arithmetic_dtype()), axis_name)

    return jax.tree.map(one, values)


def agreed(model_state: PyTree[Array], axis_name: str | None) -> PyTree[Array]:
    """One model state from those of all devices: the average, of whole numbers, which are counters, the largest."""
    if axis_name is None:
        return model_state

    def one(leaf: Array) -> Array:
        if _is_floating(leaf):
            return jax.lax.pmean(leaf, axis_name)
        return jax.lax.pmax(leaf, axis_name) if jnp.issubdtype(leaf.dtype, jnp.integer) else leaf

    return jax.tree.map(one, model_state)


def total(values: PyTree[Array], axis_name: str | None) -> PyTree[Array]:
    """The sum over the devices."""
    if axis_name is None:
        return values
    return jax.tree.map(lambda leaf: jax.lax.psum(leaf, axis_name), values)


def joined(values: PyTree[Array], axis_name: str | None) -> PyTree[Array]:
    """The arrays of all devices, one after the other along their leading axes, on every device."""
    if axis_name is None:
        return values

    def one(leaf: Array) -> Array:
        # A sum of what lies in different places: unlike all_gather it is known to be the same on all devices.
        size = leaf.shape[0]
        places = own(jnp.zeros((devices(axis_name) * size, *leaf.shape[1:]), leaf.dtype), axis_name)
        start = jax.lax.axis_index(axis_name) * size
        return jax.lax.psum(jax.lax.dynamic_update_slice_in_dim(places, leaf, start, axis=0), axis_name)

    return jax.tree.map(one, values)


def own_key(key: Key[Array, ""], axis_name: str | None) -> Key[Array, ""]:
    """A key for each device: its examples are others, so is their noise."""
    return key if axis_name is None else jax.random.fold_in(key, jax.lax.axis_index(axis_name))


def devices(axis_name: str | None) -> int:
    """How many devices compute together."""
    return 1 if axis_name is None else jax.lax.psum(1, axis_name)


def check_axis_name(axis_name: str | None) -> None:
    """Refuses what names no axis.

    Raises:
      TypeError: neither None nor a text.
    """
    if axis_name is not None and not isinstance(axis_name, str):
        raise TypeError(f"axis_name = {axis_name!r}: accepted is the name of an axis of pmap or shard_map, or None")


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _same(axis_name: str, x: Array) -> Array:
    return x


@_same.defjvp
def _same_jvp(axis_name: str, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # Tangents are the same on all devices, so this changes nothing; its transpose averages what comes back.
    return primals[0], jax.lax.pmean(tangents[0], axis_name)


def _is_checked(axis_name: str) -> bool:
    return axis_name in _varies_over(jax.lax.axis_index(axis_name))


def _varies_over(x: Array) -> Any:
    kind: Any = jax.typeof(x)
    return kind.manual_axis_type.varying if hasattr(kind, "manual_axis_type") else kind.vma


def _varying(x: Array, axis_name: str) -> Array:
    if axis_name in _varies_over(x):
        return x
    if hasattr(jax.lax, "pcast"):
        return jax.lax.pcast(x, axis_name, to="varying")
    return getattr(jax.lax, _BEFORE_PCAST)(x, axis_name)


def _is_floating(x: Array) -> bool:
    return jnp.issubdtype(x.dtype, jnp.floating)
