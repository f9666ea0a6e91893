"""What MoMo and MoMo-Adam share: the model of the loss, and the step that it allows."""

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxlab.core import hyper, storage, tree
from jaxlab.core.leafwise import Leaf, leafwise
from jaxlab.core.moments import average, bounded
from jaxlab.optimizers.parameter_free import decay_of_leaves, point, rate_at
from jaxlab.schedules.learning_rate import LearningRate, LearningRateState

T = TypeVar("T")


class Model(NamedTuple, Generic[T]):
    """The model of the loss, a mean of linear ones.

    Attributes:
      value: the average of the losses.
      product: the average of the products of gradient and parameters.
      lb: the lower bound of the loss that was found; None where it is given.
      rate: the step size that was taken, the method's learning rate.
    """

    value: T
    product: T
    lb: T | None
    rate: LearningRateState


class Parts(NamedTuple):
    """What is summed over the leaves; the last two shrunk by the decay."""

    product: Array
    along: Array
    norm: Array
    shrunk_along: Array
    shrunk_norm: Array


def follow_model(
    learning_rate: LearningRate,
    b1: Float[Array, ""],
    lb: hyper.Scalar,
    weight_decay: hyper.Scalar,
    decay_mask: tree.Mask,
    use_fstar: bool,
    state_dtype: storage.StateDtype,
    *,
    from_zero: bool,
    slots: Callable[[Array], Any],
    moved: Callable[[Any, Array, Array], Any],
    metric: Callable[[Any, Array], Array],
) -> optax.GradientTransformationExtraArgs:
    """The step of both methods, up to its sign, from what is theirs.

    Args:
      learning_rate, b1, lb, weight_decay, decay_mask, use_fstar, state_dtype: the user's.
      from_zero: whether the averages begin at zero, and are corrected for it.
      slots: the state of a leaf, with a mean ``m``.
      moved: ``(slots, g, t) -> slots``, the gradient taken in.
      metric: ``(slots, t) -> array``, the diagonal of the norm.
    """
    if isinstance(learning_rate, optax.GradientTransformation):
        raise ValueError(
            "learning_rate is a transform: accepted are a number and a function of the step, the longest steps; "
            "momo follows the loss by itself"
        )
    rate = rate_at(learning_rate)
    bound = hyper.number("lb", lb)
    hyper.flag("use_fstar", use_fstar)

    def shrink(leaf: Leaf, t: Array) -> Array:
        decay = 0.0 if leaf.beside is None else leaf.beside
        return 1 / (1 + rate(t) * decay)

    def gather(leaf: Leaf, slots: Any, shared: Model[Array], t: Array) -> tuple[Any, Parts]:
        g = bounded(leaf.g)
        after = moved(slots, g, t)
        along, norm = jnp.sum(after.m * point(leaf)), jnp.sum(after.m**2 / metric(after, t))
        own = shrink(leaf, t)
        return after, Parts(jnp.sum(g * point(leaf)), along, norm, own * along, own * norm)

    def combine(shared: Model[Array], sums: Parts | None, t: Array, value: Any = None) -> Model[Array]:
        if value is None:
            raise ValueError("value = None: momo needs the loss, call tx.update(grads, state, params, value=loss)")
        if sums is None:  # a tree without leaves
            return shared
        weight = -jnp.expm1(t * jnp.log1p(b1 - 1)) if from_zero else jnp.ones_like(t)
        mean = running_average(shared.value, hyper.one_number("value", value), b1, t, from_zero=from_zero)
        product = running_average(shared.product, sums.product, b1, t, from_zero=from_zero)
        height = mean - product + sums.shrunk_along
        lower = bound
        if shared.lb is not None:
            lower = jnp.where(height < weight * shared.lb, jnp.maximum(height / (2 * weight), bound), shared.lb)
        above = jnp.maximum(height - weight * lower, 0)
        flat = sums.shrunk_norm == 0
        length = jnp.where(flat, jnp.inf, above / jnp.where(flat, 1, sums.shrunk_norm))
        step = jnp.minimum(rate(t) / weight, length)
        found = None
        if shared.lb is not None:
            reached = mean - product + sums.along - step * sums.norm / 2
            found = jnp.where(jnp.isfinite(reached), jnp.maximum(reached / weight, bound), lower)
        return Model(mean, product, found, LearningRateState(shared.rate.count + 1, step))

    def update(leaf: Leaf, slots: Any, shared: Model[Array], t: Array) -> tuple[Array, Any]:
        direction = shared.rate.learning_rate * slots.m / metric(slots, t)
        if leaf.beside is not None:
            direction += rate(t) * leaf.beside * point(leaf)
        return shrink(leaf, t) * direction, slots

    zero = 0 * bound
    return leafwise(
        update,
        slots=slots,
        gather=gather,
        combine=combine,
        beside=decay_of_leaves(weight_decay, decay_mask),
        shared=Model(zero, zero, bound if use_fstar else None, LearningRateState(jnp.zeros((), jnp.int32), zero)),
        store=state_dtype,
        needs_params=True,
    )


def running_average(previous: Array, new: Array, b: Array, t: Array, *, from_zero: bool) -> Array:
    """A running average, from zero or from its first value."""
    return average(previous if from_zero else jnp.where(t == 1, new, previous), new, b)
