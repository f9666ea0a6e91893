"""Inverse time decay: the rate of Robbins and Monro."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from jaxlab.core import hyper
from jaxlab.schedules import clock


def inverse_time(peak: hyper.Scalar, decay_rate: hyper.Scalar, transition_steps: hyper.Scalar = 1.0) -> hyper.Schedule:
    r"""Falls like one over the time, :math:`\alpha_t = \alpha_0 / (1 + r\, t / k)`.

    It has no horizon. With a rate above 0 its steps sum to infinity and their squares do not, so that stochastic
    gradient descent converges to a minimum and not to a region around it, however far it starts. Keras calls it
    ``InverseTimeDecay``.

    Args:
      peak: the value at step 0, at least 0.
      decay_rate: :math:`r`, at least 0; at 1 the value has halved after ``transition_steps``.
      transition_steps: the length :math:`k`, at least 1. Below 1, which only a traced length can be, it
        counts as 1.

    Raises:
      ValueError: a number outside its range.

    Reference: Robbins and Monro 1951, https://doi.org/10.1214/aoms/1177729586.

    >>> inverse_time(1.0, decay_rate=1.0, transition_steps=10)(jnp.array([0, 10, 30])).tolist()
    [1.0, 0.5, 0.25]
    """
    peak = hyper.number("peak", peak, "[0, inf)")
    decay_rate = hyper.number("decay_rate", decay_rate, "[0, inf)")
    transition_steps = hyper.number("transition_steps", transition_steps, "[1, inf)")

    def schedule(step: ArrayLike) -> Float[Array, "..."]:
        return peak / (1 + decay_rate * (clock.real(step) / jnp.maximum(transition_steps, 1)))

    return schedule
