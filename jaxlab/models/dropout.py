"""Dropout (Srivastava et al., 2014) as a function of its key."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxlab.core import hyper


def dropout(x: Float[Array, "..."], rate: hyper.Scalar, key: Key[Array, ""] | None) -> Float[Array, "..."]:
    r"""Sets each element to zero with probability :math:`r`, and divides the others by :math:`1 - r`.

    The expectation stays, so evaluation needs no correction.

    Args:
      x: any shape and floating dtype, which the result keeps.
      rate: :math:`r` in [0, 1).
      key: which elements; None is evaluation: ``x`` as it is.

    Raises:
      ValueError: a rate outside its range.

    Reference: https://jmlr.org/papers/v15/srivastava14a.html, section 10 (its inverted form).

    >>> dropout(jnp.ones(6), 0.5, jax.random.key(1)).tolist()
    [2.0, 0.0, 2.0, 2.0, 0.0, 0.0]
    """
    rate = hyper.number("dropout", rate, "[0, 1)")
    # A rate that is known to be zero must not cost random bits.
    if key is None or (not hyper.is_traced(rate) and rate == 0):
        return x
    kept = jax.random.bernoulli(key, 1 - rate, x.shape)
    return jnp.where(kept, x / (1 - rate).astype(x.dtype), 0)
