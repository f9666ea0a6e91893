"""Where a step lies in a period of training, for lengths that are traced.

A schedule's lengths are data like its peak: one compiled program serves every length, so no length may
decide in Python what is computed, and none may be divided by unguarded. Lengths are whole numbers of
steps. float32 counts steps exactly up to 16,777,216.
"""

import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float

from jaxlab.core import hyper


def real(x: ArrayLike) -> Float[Array, "..."]:
    """A step, steps or a length as the arithmetic sees them."""
    return jnp.asarray(x, hyper.arithmetic_dtype())


def elapsed(step: ArrayLike, length: ArrayLike) -> Float[Array, "..."]:
    """The part of a period that is over: 0 at its first step, 1 from its end on. No length: over at once.

    >>> elapsed(jnp.array([0, 5, 10, 99]), 10).tolist(), elapsed(0, 0).item()
    ([0.0, 0.5, 1.0, 1.0], 1.0)
    """
    step, length = real(step), real(length)
    return jnp.where(length > 0, jnp.clip(step / jnp.maximum(length, 1), 0, 1), 1)


def remaining(step: ArrayLike, length: ArrayLike) -> Float[Array, "..."]:
    """The part of a period that is to come, ``1 - elapsed``, accurate near the end too, where it is small.

    >>> remaining(jnp.array([0, 5, 10, 99]), 10).tolist(), remaining(0, 0).item()
    ([1.0, 0.5, 0.0, 0.0], 0.0)
    """
    step, length = real(step), real(length)
    return jnp.clip((length - step) / jnp.maximum(length, 1), 0, 1)


def are_concrete(*lengths: hyper.Scalar) -> bool:
    """Whether all lengths are known on the host, so that they can be checked against each other."""
    return not any(isinstance(length, Tracer) for length in lengths)
