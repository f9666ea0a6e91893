"""Class labels as whole numbers: of the right shape, wide enough, never wrapped around."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Shaped

from jaxlab.core import hyper
from jaxlab.losses import reduction as common


def indices(
    outputs: str, shape: tuple[int, ...], labels: Shaped[ArrayLike, "..."], *, or_else: str = ""
) -> Int[Array, "*batch"]:
    """One class for each example, as wide signed integers.

    Args:
      outputs: what the user calls the outputs; errors name it.
      shape: theirs, classes on the last axis.
      labels: whole numbers in the shape of the other axes.
      or_else: what is accepted besides, for the error.

    Raises:
      ValueError: the shapes do not fit.
      TypeError: no integers.
    """
    common.check_numbers("labels", labels)
    if jnp.shape(labels) != shape[:-1]:
        raise ValueError(
            f"{outputs} has shape {shape}, labels {jnp.shape(labels)}: accepted are "
            f"indices of shape {shape[:-1]}{or_else}"
        )
    if not jnp.issubdtype(jnp.result_type(labels), jnp.integer):
        raise TypeError(f"labels of shape {shape[:-1]} has dtype {jnp.result_type(labels)}: accepted are whole numbers")
    # Wide and signed: in a uint8 no ignore_index below 0 could be found.
    return jnp.asarray(labels).astype(jax.dtypes.canonicalize_dtype(np.int64))


def ignore(
    weights: Float[Array, "*batch"], index: Int[Array, "*batch"], ignore_index: int | None
) -> Float[Array, "*batch"]:
    """The weights, 0 where the label is to be ignored.

    Raises:
      ValueError, TypeError: ``ignore_index`` is no 32-bit integer.
    """
    if ignore_index is None:
        return weights
    return jnp.where(index == hyper.integer("ignore_index", ignore_index, at_least=-(2**31)), 0, weights)


def chosen(index: Int[Array, "*batch"], classes: int) -> Bool[Array, "*batch classes"]:
    """True at each example's class; nowhere if its label is no class."""
    # A comparison, no gather: it fuses with what follows, shards over classes, and its gradient is no scatter.
    return index[..., None] == jnp.arange(classes)


def one_hot(index: Int[Array, "*batch"], classes: int) -> Float[Array, "*batch classes"]:
    """All weight on each example's class; NaN if its label is no class."""
    is_true = chosen(index, classes).astype(hyper.arithmetic_dtype())
    # Selected, not multiplied: XLA makes the product with a boolean a choice of 0, and loses the NaN.
    return jnp.where(_is_class(index, classes)[..., None], is_true, jnp.nan)


def known(index: Int[Array, "*batch"], classes: int) -> Float[Array, "*batch"]:
    """1 where a label is a class, NaN where it is none: a factor of the outputs that makes the gradient NaN too."""
    return jnp.where(_is_class(index, classes), 1, jnp.asarray(jnp.nan, hyper.arithmetic_dtype()))


def _is_class(index: Int[Array, "*batch"], classes: int) -> Bool[Array, "*batch"]:
    return (index >= 0) & (index < classes)
