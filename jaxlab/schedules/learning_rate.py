"""The one home of the learning rate."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int32, PyTree

from jaxlab.core import hyper, tree
from jaxlab.core.leafwise import require_real

LearningRate = hyper.Scalar | hyper.Schedule | optax.GradientTransformation
"""A number, a function of the step, or a transform that ends in a step down (:func:`loss_driven_rate`)."""


class LearningRateState(NamedTuple):
    """The state of whatever decides the learning rate.

    Attributes:
      count: steps taken.
      learning_rate: the rate that the last step used.
      memory: what a loss-driven rate remembers; empty for functions of the step.
    """

    count: Int32[Array, ""]
    learning_rate: Float[Array, ""]
    memory: PyTree[Array] = ()


def scale_by_learning_rate(learning_rate: LearningRate) -> optax.GradientTransformationExtraArgs:
    r"""Turns a direction into a step down: :math:`-\alpha_t d_t`.

    Args:
      learning_rate: a number of at least 0; a schedule of the step, which begins at 0; or a transform that
        steps down by itself, such as :func:`~jaxlab.schedules.reduce_on_plateau`, which is returned as it is.

    Returns:
      A transform whose state shows the rate in force (metrics log it; proximal steps use it).
      State: two scalars.

    Raises:
      ValueError: a negative or non-finite rate.
      TypeError: what is neither of these; from ``init``, a schedule that gives more than one number.

    >>> tx = scale_by_learning_rate(0.5)
    >>> updates, state = tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
    >>> updates.tolist(), float(state.learning_rate)
    ([-0.5, -0.5], 0.5)
    """
    if isinstance(learning_rate, optax.GradientTransformation):
        return optax.with_extra_args_support(learning_rate)
    schedule = hyper.number_or_schedule("learning_rate", learning_rate, "[0, inf)")

    def rate_at(count: Int32[Array, ""]) -> Float[Array, ""]:
        rate = jnp.array(schedule(count), hyper.arithmetic_dtype(), copy=True)
        _check_one_number("the learning rate's schedule gave an array that", rate)
        return rate

    def init(params: PyTree) -> LearningRateState:
        count = jnp.zeros((), jnp.int32)
        return LearningRateState(count, rate_at(count))

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, LearningRateState]:
        rate = rate_at(state.count)
        return _step_down(updates, rate), LearningRateState(state.count + 1, rate)

    return optax.GradientTransformationExtraArgs(init, update)


def loss_driven_rate(
    rate: Callable[..., tuple[Array, PyTree]], memory: PyTree = ()
) -> optax.GradientTransformationExtraArgs:
    r"""A step down whose rate follows the loss: :math:`-\alpha_t d_t` with :math:`\alpha_t = r(J_0, \dots, J_t)`.

    Args:
      rate: ``(memory, value, direction, extra) -> (rate, memory)``: what is remembered, this step's loss, the
        incoming direction in full precision, and the dict of all extra arguments of ``update``.
      memory: what is remembered before the first step: a pytree of scalars.

    Returns:
      A transform whose ``update`` needs ``value=``, the loss at the parameters (a training step of
      :func:`~jaxlab.train.make_train_step` passes it). Any optimizer takes it as its ``learning_rate``. Before
      the first step its state shows a rate of 0. State: two scalars and the memory.

    Raises:
      ValueError: from ``update``, without ``value``.
      TypeError: from ``update``, a ``value`` or a rate that is not one number.

    >>> tx = loss_driven_rate(lambda memory, value, direction, extra: (0.5 * value, memory))
    >>> updates, state = tx.update(jnp.ones(2), tx.init(jnp.ones(2)), value=3.0)
    >>> updates.tolist(), float(state.learning_rate)
    ([-1.5, -1.5], 1.5)
    """

    def init(params: PyTree) -> LearningRateState:
        full = hyper.arithmetic_dtype()
        remembered = jax.tree.map(lambda x: jnp.array(x, copy=True), tree.cast(memory, full))
        return LearningRateState(jnp.zeros((), jnp.int32), jnp.zeros((), full), remembered)

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, LearningRateState]:
        if extra.get("value") is None:
            raise ValueError(
                "value = None: a loss-driven learning rate needs the loss, call tx.update(updates, state, params, "
                "value=loss); flax's TrainState.apply_gradients does not pass it on, nnx.Optimizer.update does"
            )
        full = hyper.arithmetic_dtype()
        value = jnp.asarray(extra["value"], full)
        _check_one_number("value, the loss,", value)
        now, remembered = rate(state.memory, value, tree.cast(updates, full), extra)
        now = jnp.asarray(now, full)
        _check_one_number("the loss-driven learning rate", now)
        return _step_down(updates, now), LearningRateState(
            state.count + 1, now, tree.cast_like(remembered, state.memory)
        )

    return optax.GradientTransformationExtraArgs(init, update)


def _check_one_number(what: str, x: Array) -> None:
    # An array would be multiplied into the updates element by element, without a word.
    if x.ndim:
        raise TypeError(f"{what} has shape {x.shape}: accepted is one number")


def require_home(name: str, state: Any) -> None:
    """Refuses a transform of which nobody can tell the learning rate.

    Raises:
      TypeError: the transform's state is no :class:`LearningRateState`.
    """
    if not isinstance(state, LearningRateState):
        raise TypeError(
            f"{name} is a transform with the state {type(state).__name__}: accepted are loss-driven learning rates, "
            "such as jaxlab.schedules.reduce_on_plateau(1e-3), not whole optimizers"
        )


def _step_down(updates: PyTree, rate: Float[Array, ""]) -> PyTree:
    # A step of a tenth is none in whole numbers, and of a complex number it would lose a part.
    for name, u in zip(tree.names(updates), jax.tree.leaves(updates), strict=True):
        require_real(name, u)
    full = jax.tree.map(lambda u: -rate * jnp.asarray(u, rate.dtype), updates)
    return tree.cast_like(full, updates)


def effective_learning_rate(opt_state: PyTree) -> Float[Array, ""] | None:
    """The rate that the last step used, found anywhere in an optimizer's state; None if it keeps none.

    Of several (groups with rates of their own) the first.
    """
    is_home = lambda node: isinstance(node, LearningRateState)  # noqa: E731
    homes = [node for node in jax.tree.leaves(opt_state, is_leaf=is_home) if is_home(node)]
    return homes[0].learning_rate if homes else None
