"""What all losses share: real inputs in full precision, shapes that agree, weights, and one number in the end."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from jaxlab.core import hyper

REDUCTIONS = ("mean", "sum", "none")


def real(name: str, x: ArrayLike) -> Float[Array, "..."]:
    """An array in the arithmetic's dtype, float32 (float64 under ``jax_enable_x64``).

    Raises:
      TypeError: complex numbers, what is no array of numbers.
    """
    check_real(name, x)
    return jnp.asarray(x, hyper.arithmetic_dtype())


def check_real(name: str, x: Any) -> None:
    """Refuses complex numbers, too.

    Raises:
      TypeError: complex numbers, what is no array of numbers.
    """
    check_numbers(name, x)
    if jnp.iscomplexobj(x):
        raise TypeError(f"{name} has dtype {jnp.result_type(x)}: accepted are real numbers")


def check_numbers(name: str, x: Any) -> None:
    """Refuses lists, texts and objects, which would be converted somewhere on the way or not at all.

    Raises:
      TypeError: no array of numbers.
    """
    dtype = getattr(x, "dtype", None)
    is_array = dtype is not None and (jnp.issubdtype(dtype, jnp.number) or jnp.issubdtype(dtype, jnp.bool_))
    if not is_array and not isinstance(x, bool | int | float | complex):
        raise TypeError(f"{name} = {x!r}: accepted is an array of numbers")


def check_same_shape(first: str, a: ArrayLike, second: str, b: ArrayLike) -> None:
    """Refuses to broadcast: (n,) against (n, 1) would silently make n x n pairs.

    Raises:
      ValueError: the shapes differ; both are named.
      TypeError: one of them is no array of numbers.
    """
    check_numbers(first, a)
    check_numbers(second, b)
    if jnp.shape(a) != jnp.shape(b):
        raise ValueError(f"{first} has shape {jnp.shape(a)}, {second} {jnp.shape(b)}: accepted are equal shapes")


def check_has_classes(name: str, x: ArrayLike) -> None:
    """Refuses an array without classes on its last axis.

    Raises:
      ValueError: no axis, or one of length 0.
    """
    if not jnp.shape(x)[-1:] or not jnp.shape(x)[-1]:
        raise ValueError(
            f"{name} has shape {jnp.shape(x)}: accepted is at least one axis, of classes, with one or more of them"
        )


def spread(weights: ArrayLike | None, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Weights in the shape of the values they weigh: ones for None, else theirs along the leading axes.

    Raises:
      ValueError: the weights' shape is not the beginning of the values' shape.
      TypeError: complex weights.

    >>> spread(jnp.array([True, False]), (2, 3)).tolist()
    [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
    """
    if weights is None:
        return jnp.ones(shape, hyper.arithmetic_dtype())
    weights = real("weights", weights)
    if weights.shape != shape[: weights.ndim]:
        raise ValueError(f"weights has shape {weights.shape}: accepted is {shape} or the beginning of it")
    missing = len(shape) - weights.ndim
    return jnp.broadcast_to(weights.reshape(weights.shape + (1,) * missing), shape)


def visible(x: Float[Array, "..."], weights: Float[Array, "..."]) -> Float[Array, "..."]:
    """Zero where the weight is 0, so that NaN in padding reaches neither the loss nor a gradient."""
    return jnp.where(weights == 0, 0, x)


def reduce(values: Float[Array, "..."], weights: Float[Array, "..."], reduction: str) -> Float[Array, "..."]:
    r"""Weighted values, or their sum, or their mean :math:`\sum_i w_i l_i / \sum_i w_i`.

    The mean over no weight at all (an empty batch, every example ignored) is 0, with gradient 0.

    Raises:
      ValueError: an unknown reduction.
    """
    hyper.one_of("reduction", reduction, REDUCTIONS)
    weighted = weights * visible(values, weights)
    if reduction == "none":
        return weighted
    if reduction == "sum":
        return jnp.sum(weighted)
    total = jnp.sum(weights)
    return jnp.sum(weighted) / jnp.where(total == 0, 1, total)
