"""Step decay: stairs, a factor down after every so many steps."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from jaxlab.core import hyper


def step_decay(peak: hyper.Scalar, every: hyper.Scalar, factor: hyper.Scalar = 0.1) -> hyper.Schedule:
    r"""Multiplies by a factor after every so many steps, :math:`\alpha_t = \alpha_0\, f^{\lfloor t / k \rfloor}`.

    Registered as ``"step"``. PyTorch's ``StepLR(step_size=k, gamma=f)``, optax's
    ``exponential_decay(staircase=True)``.

    Args:
      peak: the value of the first ``every`` steps, at least 0.
      every: the length :math:`k` of a stair, a whole number of at least 1. Below 1, which only a traced
        length can be, it counts as 1; a fraction is cut off.
      factor: :math:`f`, above 0.

    Raises:
      ValueError: a number outside its range.

    >>> step_decay(1.0, every=2, factor=0.5)(jnp.arange(5)).tolist()
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    peak = hyper.number("peak", peak, "[0, inf)")
    every = hyper.number("every", every, "[1, inf)")
    factor = hyper.number("factor", factor, "(0, inf)")

    def schedule(step: ArrayLike) -> Float[Array, "..."]:
        # In integers: a floating quotient just below a whole number would put a stair one step late
        # on hardware that divides by multiplying with a rounded reciprocal.
        stairs = jnp.asarray(step, jnp.int32) // jnp.maximum(jnp.asarray(every, jnp.int32), 1)
        return peak * factor ** stairs.astype(peak.dtype)

    return schedule
