"""A learning rate that is a function of the loss."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from jaxlab.core import hyper
from jaxlab.schedules.learning_rate import loss_driven_rate


def loss_driven(
    learning_rate: hyper.Scalar, *, f: Callable[[Array], Array] = jnp.tanh
) -> optax.GradientTransformationExtraArgs:
    r"""Dynamic gradient descent, :math:`\alpha_t = \alpha\, f(J(\theta_t))`, for any function of the loss.

    The loss is that of the step itself, at the parameters before it. The default, :math:`\tanh`, shortens the
    steps as the loss comes down to 0 and never exceeds :math:`\alpha`; a loss whose optimum is not 0 wants another.

    Args:
      learning_rate: :math:`\alpha`, at least 0.
      f: a traceable function of a scalar. Where it is negative or not finite, the rate is 0.

    Returns:
      A transform whose ``update`` needs ``value=``, the loss: the ``learning_rate`` of any optimizer.
      State: two scalars.

    Raises:
      TypeError: an ``f`` that cannot be called.
      ValueError: a number outside its range; from ``update``, without ``value``.

    >>> tx = loss_driven(0.5, f=lambda loss: loss / (1 + loss))
    >>> tx.update(jnp.ones(2), tx.init(jnp.ones(2)), value=1.0)[0].tolist()
    [-0.25, -0.25]
    """
    learning_rate = hyper.number("learning_rate", learning_rate, "[0, inf)")
    if not callable(f):
        raise TypeError(f"f = {f!r}: accepted is a traceable function of the loss")

    def rate(memory: PyTree, value: Array, direction: PyTree, extra: dict[str, Any]) -> tuple[Array, PyTree]:
        return learning_rate * sound(f(value)), memory

    return loss_driven_rate(rate)


def sound(rate: Float[Array, ""]) -> Float[Array, ""]:
    """A rate that may be stepped with: what is negative or not finite counts as 0.

    >>> [float(sound(jnp.asarray(x))) for x in (0.5, -1.0, float("inf"), float("nan"))]
    [0.5, 0.0, 0.0, 0.0]
    """
    return jnp.where(jnp.isfinite(rate) & (rate > 0), rate, 0)
