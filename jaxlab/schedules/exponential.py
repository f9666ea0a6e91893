"""Exponential decay: the same factor in every equal stretch of steps."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from jaxlab.core import hyper
from jaxlab.schedules import clock


def exponential(peak: hyper.Scalar, decay_rate: hyper.Scalar, transition_steps: hyper.Scalar = 1.0) -> hyper.Schedule:
    r"""Smooth exponential decay, :math:`\alpha_t = \alpha_0\, r^{\,t / k}`.

    It has no horizon: it falls towards 0 (or, with a rate above 1, grows) for ever. PyTorch's
    ``ExponentialLR(gamma=r)`` is ``transition_steps=1``. For the same fall in stairs see
    :func:`~jaxlab.schedules.step_decay`.

    Args:
      peak: the value at step 0, at least 0.
      decay_rate: the factor :math:`r` for each ``transition_steps``, above 0.
      transition_steps: the length :math:`k`, at least 1. Below 1, which only a traced length can be, it
        counts as 1.

    Raises:
      ValueError: a number outside its range.

    >>> exponential(1.0, decay_rate=0.5, transition_steps=10)(10).item()
    0.5
    """
    peak = hyper.number("peak", peak, "[0, inf)")
    decay_rate = hyper.number("decay_rate", decay_rate, "(0, inf)")
    transition_steps = hyper.number("transition_steps", transition_steps, "[1, inf)")

    def schedule(step: ArrayLike) -> Float[Array, "..."]:
        return peak * decay_rate ** (clock.real(step) / jnp.maximum(transition_steps, 1))

    return schedule
