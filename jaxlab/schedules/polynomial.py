"""Polynomial decay: a power of the part of training that is to come."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from jaxlab.core import hyper
from jaxlab.schedules import clock


def polynomial(
    peak: hyper.Scalar, total_steps: hyper.Scalar, power: hyper.Scalar = 1.0, final: hyper.Scalar = 0.0
) -> hyper.Schedule:
    r"""Falls to the final value along a power, and keeps it.

    .. math::
        \alpha_t = \alpha_T + (\alpha_0 - \alpha_T) (1 - t / T)^p, \quad t \le T

    A power of 1 is linear decay; above 1 most of the fall comes early, below 1 late. PyTorch's
    ``PolynomialLR`` has final value 0.

    Args:
      peak: the value at step 0, at least 0.
      total_steps: :math:`T`, above 0. Traced, it may be 0: then the final value holds from the start.
      power: :math:`p`, above 0.
      final: the value from step :math:`T` on, at least 0: a value, not a fraction of the peak.

    Raises:
      ValueError: a number outside its range.

    >>> polynomial(1.0, total_steps=10, power=2.0, final=0.5)(jnp.array([0, 5, 10, 99])).tolist()
    [1.0, 0.625, 0.5, 0.5]
    """
    peak = hyper.number("peak", peak, "[0, inf)")
    total_steps = hyper.number("total_steps", total_steps, "(0, inf)")
    power = hyper.number("power", power, "(0, inf)")
    final = hyper.number("final", final, "[0, inf)")

    def schedule(step: ArrayLike) -> Float[Array, "..."]:
        left = clock.remaining(step, total_steps)
        # Below a power of 1 the slope at zero is infinite: no gradient may come by there.
        shape = jnp.where(left > 0, jnp.where(left > 0, left, 1) ** power, 0)
        return final + (peak - final) * shape

    return schedule
