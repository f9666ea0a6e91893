"""A learning rate that falls as the loss does."""

from typing import Any

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from jaxlab.core import hyper
from jaxlab.schedules.learning_rate import loss_driven_rate


def loss_ratio(
    learning_rate: hyper.Scalar, power: hyper.Scalar = 1.0, floor: hyper.Scalar = 0.0
) -> optax.GradientTransformationExtraArgs:
    r"""The rate falls with the loss, relative to the first, :math:`\alpha_t = \alpha\, (J_t / J_0)^p`.

    It needs no scale of the loss, as :func:`~jaxlab.schedules.loss_driven` does. A loss above the first counts
    as the first: a rate that grew with the loss would feed its own divergence.

    Args:
      learning_rate: :math:`\alpha`, the rate of the first step and the highest, at least 0.
      power: :math:`p`, above 0.
      floor: the lowest rate, at least 0; where it exceeds the learning rate it counts as that.

    Returns:
      A transform whose ``update`` needs ``value=``, the loss: the ``learning_rate`` of any optimizer.
      :math:`J_0` is the first loss that is finite and above 0; until one comes the ratio is 1. After it a
      loss below 0 counts as 0. A loss that is not finite has rate 0. State: three scalars.

    Raises:
      ValueError: a number outside its range; from ``update``, without ``value``.

    >>> tx = loss_ratio(0.5, power=2.0)
    >>> state, rates = tx.init(jnp.ones(2)), []
    >>> for loss in (4.0, 2.0, 8.0):
    ...     updates, state = tx.update(jnp.ones(2), state, value=loss)
    ...     rates.append(float(state.learning_rate))
    >>> rates
    [0.5, 0.125, 0.5]
    """
    learning_rate = hyper.number("learning_rate", learning_rate, "[0, inf)")
    power = hyper.number("power", power, "(0, inf)")
    floor = hyper.number("floor", floor, "[0, inf)")

    def rate(
        first: Float[Array, ""], value: Array, direction: PyTree, extra: dict[str, Any]
    ) -> tuple[Array, Float[Array, ""]]:
        finite = jnp.isfinite(value)
        first = jnp.where((first == 0) & finite & (value > 0), value, first)
        known = first > 0
        ratio = jnp.where(known, jnp.clip(value, 0, first) / jnp.where(known, first, 1), 1)
        falling = jnp.maximum(learning_rate * ratio**power, jnp.minimum(floor, learning_rate))
        return jnp.where(finite, falling, 0), first

    return loss_driven_rate(rate, memory=0.0)
