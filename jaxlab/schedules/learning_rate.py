"""The one home of the learning rate."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int32, PyTree

from jaxlab.core import hyper, tree


class LearningRateState(NamedTuple):
    """Attributes: ``count``, steps taken; ``learning_rate``, the rate that the last step used."""

    count: Int32[Array, ""]
    learning_rate: Float[Array, ""]


def scale_by_learning_rate(learning_rate: hyper.Scalar | hyper.Schedule) -> optax.GradientTransformationExtraArgs:
    r"""Turns a direction into a step down: :math:`-\alpha_t d_t`.

    Args:
      learning_rate: a number of at least 0, or a schedule of the step, which begins at 0.

    Returns:
      A transform whose state shows the rate in force (metrics log it; proximal steps use it).
      State: two scalars.

    Raises:
      ValueError: a negative or non-finite rate.

    >>> tx = scale_by_learning_rate(0.5)
    >>> updates, state = tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
    >>> updates.tolist(), float(state.learning_rate)
    ([-0.5, -0.5], 0.5)
    """
    schedule = hyper.number_or_schedule("learning_rate", learning_rate, "[0, inf)")

    def rate_at(count: Int32[Array, ""]) -> Float[Array, ""]:
        return jnp.array(schedule(count), hyper.arithmetic_dtype(), copy=True)

    def init(params: PyTree) -> LearningRateState:
        count = jnp.zeros((), jnp.int32)
        return LearningRateState(count, rate_at(count))

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, LearningRateState]:
        rate = rate_at(state.count)
        full = jax.tree.map(lambda u: -rate * jnp.asarray(u, rate.dtype), updates)
        return tree.cast_like(full, updates), LearningRateState(state.count + 1, rate)

    return optax.GradientTransformationExtraArgs(init, update)


def effective_learning_rate(opt_state: PyTree) -> Float[Array, ""] | None:
    """The rate that the last step used, found anywhere in an optimizer's state; None if it keeps none.

    Of several (groups with rates of their own) the first.
    """
    is_home = lambda node: isinstance(node, LearningRateState)  # noqa: E731
    homes = [node for node in jax.tree.leaves(opt_state, is_leaf=is_home) if is_home(node)]
    return homes[0].learning_rate if homes else None
