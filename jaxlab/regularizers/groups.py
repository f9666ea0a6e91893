"""Groups of weights inside one leaf: the weights that share an index of one axis."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxlab.core import tree


def check_axis(axis: int | None) -> int | None:
    """Validates the static choice of an axis: an integer, or None for the whole leaf.

    Raises:
      TypeError: neither of them.
    """
    if axis is not None and (isinstance(axis, bool) or not isinstance(axis, int | np.integer)):
        raise TypeError(f"axis = {axis!r}: accepted are an integer, and None for the whole leaf")
    return axis if axis is None else int(axis)


def check_axis_fits(axis: int | None, params: PyTree, chosen: list[bool]) -> None:
    """Refuses an axis that a chosen matrix does not have.

    Raises:
      ValueError: the leaf is named.
    """
    for name, leaf, keep in zip(tree.names(params), jax.tree.leaves(params), chosen, strict=True):
        rank = jnp.ndim(leaf)
        if axis is not None and keep and rank >= 2 and not -rank <= axis < rank:
            raise ValueError(f"axis = {axis}: leaf {name!r} has {rank} axes, accepted are -{rank} to {rank - 1}")


def others(axis: int | None, rank: int) -> tuple[int, ...]:
    """The axes that run inside a group: all but one, all if the leaf is one group, none below two axes.

    >>> others(0, 3), others(None, 2), others(0, 1)
    ((1, 2), (0, 1), ())
    """
    if axis is None:
        return tuple(range(rank))
    return tuple(i for i in range(rank) if rank >= 2 and i != axis % rank)


def norms(x: Float[Array, "..."], axis: int | None) -> Float[Array, "..."]:
    """The Euclidean norm of each group, broadcastable to ``x``; its gradient at a group of zeros is zero.

    >>> norms(jnp.array([[3.0, 4.0], [0.0, 0.0]]), 0).tolist()
    [[5.0], [0.0]]
    """
    axes = others(axis, x.ndim)
    # Divided by the largest first: squares overflow from 1.8e19 on.
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axes, keepdims=True, initial=0))
    scale = jnp.where(largest > 0, largest, 1)
    squares = jnp.sum(jnp.square(x / scale), axes, keepdims=True)
    return scale * jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)


def size(x: Float[Array, "..."], axis: int | None) -> int:
    """How many weights a group holds."""
    return math.prod(x.shape[i] for i in others(axis, x.ndim))
