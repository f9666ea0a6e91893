"""What the methods that find their own step size share."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from jaxlab.core import hyper, tree
from jaxlab.core.leafwise import Leaf
from jaxlab.core.moments import debias
from jaxlab.regularizers.additive import amounts_like, as_rules
from jaxlab.schedules.learning_rate import LearningRate


def point(leaf: Leaf) -> Float[Array, "..."]:
    """The parameter, of an optimizer that needs it."""
    assert leaf.p is not None  # the engine has seen to it
    return leaf.p


def rate_at(learning_rate: LearningRate) -> Callable[[Float[Array, ""]], Float[Array, ""]]:
    """The learning rate of step ``t``, which begins at 1, where an estimate weighs gradients by it.

    A loss-driven transform knows its rate only once the direction is known: for it every step weighs 1.

    Raises:
      ValueError, TypeError: what :func:`~jaxlab.schedules.learning_rate.scale_by_learning_rate` refuses, too.

    >>> float(rate_at(lambda step: 0.5**step)(jnp.array(3.0)))
    0.25
    """
    if isinstance(learning_rate, optax.GradientTransformation):
        return jnp.ones_like
    schedule = hyper.number_or_schedule("learning_rate", learning_rate, "[0, inf)")
    return lambda t: jnp.asarray(schedule(t.astype(jnp.int32) - 1), t.dtype)


def decay_of_leaves(weight_decay: hyper.Scalar, decay_mask: tree.Mask) -> Callable[..., PyTree]:
    """The weight decay of each leaf, as the engine's ``beside``: a number, or None where the mask leaves it out."""
    rules = as_rules(weight_decay, "weight_decay")
    tree.check_mask(decay_mask)

    def beside(grads: PyTree, params: Any, t: Array) -> PyTree:
        return amounts_like(params, rules, decay_mask)

    return beside


def growth_of(growth_rate: hyper.Scalar | None) -> hyper.Scalar:
    """The factor by which an estimate grows at most in a step; None is without limit."""
    return jnp.inf if growth_rate is None else hyper.number("growth_rate", growth_rate, "(0, inf)")


def correction_of(
    b1: hyper.Scalar, b2: hyper.Scalar, use_bias_correction: bool
) -> Callable[[Float[Array, ""]], Float[Array, ""]]:
    r"""Adam's bias correction of a whole step, :math:`\sqrt{1 - \beta_2^t} / (1 - \beta_1^t)`; 1 where there is none.

    >>> round(float(correction_of(0.5, 0.75, True)(jnp.ones(()))), 5)
    1.0
    """

    def correction(t: Float[Array, ""]) -> Float[Array, ""]:
        one = jnp.ones_like(t)
        return debias(one, jnp.asarray(b1), t) / jnp.sqrt(debias(one, jnp.asarray(b2), t))

    return correction if hyper.flag("use_bias_correction", use_bias_correction) else jnp.ones_like


def over(x: Float[Array, ""], y: Float[Array, ""]) -> Float[Array, ""]:
    """A quotient, 0 where nothing has come in yet."""
    return jnp.where(y == 0, 0, x / jnp.where(y == 0, 1, y))
