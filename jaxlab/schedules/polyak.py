"""Polyak's step size (Polyak, 1987; Loizou et al., 2021)."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from jaxlab.core import hyper, tree
from jaxlab.schedules.learning_rate import loss_driven_rate
from jaxlab.schedules.loss_driven import sound


def polyak(
    learning_rate: hyper.Scalar, optimum: hyper.Scalar = 0.0, eps: hyper.Scalar = 0.0
) -> optax.GradientTransformationExtraArgs:
    r"""The step that would reach the optimum if the loss were a straight line down the direction, capped.

    .. math::
        \alpha_t = \min\Bigl(\alpha,\; \frac{J(\theta_t) - J^*}{\langle g_t, d_t \rangle + \epsilon}\Bigr)

    :math:`g_t` is the gradient and :math:`d_t` the optimizer's direction. For plain gradient descent the
    product is :math:`\|g_t\|^2`, and this is :math:`\mathrm{SPS}_{max}` with :math:`c = 1`; after Adam or
    another preconditioner it is Polyak's step in the preconditioner's norm.

    Args:
      learning_rate: :math:`\alpha`, the highest rate, at least 0.
      optimum: :math:`J^*`, the lowest value of the loss. For a model that can fit its data, 0.
      eps: added to the denominator, at least 0.

    Returns:
      A transform whose ``update`` needs ``value=``, the loss, and takes ``grad=``, its gradient; without it the
      incoming direction stands for the gradient. The ``learning_rate`` of any optimizer. The rate is 0 where
      the loss is at or below the optimum, where the direction does not lead down, and where loss or denominator are not
      finite. State: two scalars.

    Raises:
      ValueError: a number outside its range; from ``update``, without ``value``, or where ``grad`` lacks a
        leaf of the direction or has it in another shape.

    Reference: https://arxiv.org/abs/2002.10542, equation 3.

    >>> tx = polyak(10.0)  # on the loss |x|^2, whose gradient is 2 x: half the way
    >>> x = jnp.array([3.0, -4.0])
    >>> tx.update(2 * x, tx.init(x), value=25.0)[0].tolist()
    [-1.5, 2.0]
    """
    learning_rate = hyper.number("learning_rate", learning_rate, "[0, inf)")
    optimum = hyper.number("optimum", optimum)
    eps = hyper.number("eps", eps, "[0, inf)")

    def rate(memory: PyTree, value: Array, direction: PyTree, extra: dict[str, Any]) -> tuple[Array, PyTree]:
        gradient = extra.get("grad")
        slope = _inner_product(direction if gradient is None else gradient, direction) + eps
        descends = jnp.isfinite(slope) & (slope > 0)
        step = (value - optimum) / jnp.where(descends, slope, 1)
        # A quotient beyond all numbers is a step beyond the cap, one of a loss that is not finite is none.
        far = jnp.isfinite(value) & (step > learning_rate)
        return jnp.where(descends, jnp.where(far, learning_rate, sound(step)), 0), memory

    return loss_driven_rate(rate)


def _inner_product(gradient: PyTree, direction: PyTree) -> Float[Array, ""]:
    """Over the direction's leaves, found by name: of a part of a model it has that part alone."""
    slopes = tree.named(gradient)
    full, products = hyper.arithmetic_dtype(), []
    for name, d in zip(tree.names(direction), jax.tree.leaves(direction), strict=True):
        if name not in slopes:
            raise ValueError(f"grad has no leaf {name!r}, which the direction has; it has {sorted(slopes)}")
        if jnp.shape(slopes[name]) != jnp.shape(d):
            raise ValueError(
                f"grad has shape {jnp.shape(slopes[name])} at leaf {name!r}, the direction {jnp.shape(d)}: "
                "accepted are equal shapes"
            )
        products.append(jnp.sum(jnp.asarray(slopes[name], full) * d))
    return tree.over_leaves(products)
