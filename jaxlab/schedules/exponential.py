"""Exponential decay: the same factor in every equal stretch of steps, smoothly or in stairs."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from jaxlab.core import hyper
from jaxlab.schedules import clock
from jaxlab.schedules.step import step_decay


def exponential(
    peak: hyper.Scalar, decay_rate: hyper.Scalar, transition_steps: hyper.Scalar = 1.0, *, staircase: bool = False
) -> hyper.Schedule:
    r"""Exponential decay, :math:`\alpha_t = \alpha_0\, r^{\,t / k}`.

    It has no horizon: it falls towards 0 (or, with a rate above 1, grows) for ever. PyTorch's
    ``ExponentialLR(gamma=r)`` is ``transition_steps=1``; optax and Keras have the same three numbers.

    Args:
      peak: the value at step 0, at least 0.
      decay_rate: the factor :math:`r` for each ``transition_steps``, above 0.
      transition_steps: the length :math:`k`, at least 1. Below 1, which only a traced length can be, it
        counts as 1.
      staircase: fall at once after every ``transition_steps``, :math:`\alpha_0\, r^{\lfloor t / k \rfloor}`,
        instead of a little at every step, :math:`k` cut to a whole number. The same as
        :func:`~jaxlab.schedules.step_decay`.

    Raises:
      ValueError: a number outside its range.

    >>> exponential(1.0, decay_rate=0.25, transition_steps=10)(jnp.array([0, 5, 10])).tolist()
    [1.0, 0.5, 0.25]
    >>> exponential(1.0, decay_rate=0.25, transition_steps=10, staircase=True)(jnp.array([0, 5, 10])).tolist()
    [1.0, 1.0, 0.25]
    """
    peak = hyper.number("peak", peak, "[0, inf)")
    decay_rate = hyper.number("decay_rate", decay_rate, "(0, inf)")
    transition_steps = hyper.number("transition_steps", transition_steps, "[1, inf)")
    if staircase:
        return step_decay(peak, every=transition_steps, factor=decay_rate)

    def schedule(step: ArrayLike) -> Float[Array, "..."]:
        return peak * decay_rate ** (clock.real(step) / jnp.maximum(transition_steps, 1))

    return schedule


def staircase(peak: hyper.Scalar, decay_rate: hyper.Scalar, transition_steps: hyper.Scalar = 1.0) -> hyper.Schedule:
    """:func:`exponential` in stairs, for recipes that choose schedules by name.

    Args:
      peak, decay_rate, transition_steps: as in :func:`exponential`.

    >>> staircase(1.0, decay_rate=0.5, transition_steps=2)(jnp.arange(5)).tolist()
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    return exponential(peak, decay_rate, transition_steps, staircase=True)
