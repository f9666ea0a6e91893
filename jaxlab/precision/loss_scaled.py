"""A loss scale for training loops of one's own, as a transform around an optimizer."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int32, PyTree

from jaxlab.core import hyper, tree
from jaxlab.modifiers.skip_nonfinite import all_finite
from jaxlab.modifiers.wrapping import choose, full_precision, trained
from jaxlab.precision.loss_scale import LossScale, LossScaleState


class LossScaledState(NamedTuple):
    """What :func:`loss_scaled` remembers.

    Attributes:
      loss_scale: what the next loss is multiplied with (:func:`current_loss_scale` finds it).
      skipped: how many steps were left out.
      inner: the optimizer's state.
    """

    loss_scale: LossScaleState
    skipped: Int32[Array, ""]
    inner: optax.OptState


def loss_scaled(
    inner: optax.GradientTransformation, loss_scale: LossScale | None = None
) -> optax.GradientTransformationExtraArgs:
    r"""An optimizer that takes gradients of the scaled loss, :math:`\nabla(s J)`, and sees :math:`\nabla J`.

    They are divided by :math:`s` in float32. Where one is not finite, or a step is not, the update is zero, the inner
    state stays what it was, :math:`s` backs off, and ``skipped`` counts it. The loop multiplies its loss with
    :func:`current_loss_scale` of the optimizer's state, and does nothing else.

    It goes around all else, clipping and accumulation included (these need unscaled gradients). Extra arguments are
    passed on, and are those of the loss itself: ``value`` unscaled, ``grad_fn`` a function with unscaled results.
    :func:`~jaxlab.train.make_train_step` scales by itself, as its policy says, and hands unscaled gradients to its
    optimizer: there this would scale a second time. That is why it stands here and not among the modifiers, which
    recipes name and which take the gradient as it is.

    Args:
      inner: any optax optimizer.
      loss_scale: how the scale changes; by default ``LossScale()``.

    Returns:
      A transform. The dtypes of its updates are those of the gradients. State: the inner one's, and three scalars.

    Raises:
      TypeError: an ``inner`` that is no optimizer, a ``loss_scale`` that is no :class:`LossScale`.

    Reference: Micikevicius et al., Mixed precision training, https://arxiv.org/abs/1710.03740, section 3.2.

    >>> tx = loss_scaled(optax.sgd(0.5), LossScale(1024.0))
    >>> params = jnp.array([1.0, 2.0])
    >>> state = tx.init(params)
    >>> scaled = lambda x: jnp.sum(x**2) * current_loss_scale(state)
    >>> updates, state = tx.update(jax.grad(scaled)(params), state, params)
    >>> updates.tolist(), float(current_loss_scale(state))
    ([-1.0, -2.0], 1024.0)
    >>> updates, state = tx.update(jnp.array([jnp.inf, 1.0]), state, params)
    >>> updates.tolist(), float(current_loss_scale(state)), int(state.skipped)
    ([0.0, 0.0], 512.0, 1)
    """
    inner = full_precision(inner)
    rule = LossScale() if loss_scale is None else loss_scale
    if not isinstance(rule, LossScale):
        raise TypeError(f"loss_scale = {loss_scale!r}: accepted is a jaxlab.precision.LossScale, or None")

    def init(params: PyTree) -> LossScaledState:
        return LossScaledState(rule.init(), jnp.zeros((), jnp.int32), inner.init(params))

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, LossScaledState]:
        full = tree.cast(updates, hyper.arithmetic_dtype())
        grads = jax.tree.map(lambda g: g / state.loss_scale.scale, full)
        steps, after = inner.update(grads, state.inner, params, **extra)
        # As the caller gets them: what is finite in float32 may be none in float16.
        steps = tree.cast_like(steps, updates)
        good = all_finite((trained(grads, state.inner), steps))
        steps = jax.tree.map(lambda step: jnp.where(good, step, 0), steps)
        return steps, LossScaledState(
            loss_scale=rule.adjust(state.loss_scale, good),
            skipped=state.skipped + jnp.where(good, 0, 1).astype(jnp.int32),
            inner=choose(good, after, state.inner),
        )

    return optax.GradientTransformationExtraArgs(init, update)


def current_loss_scale(state: PyTree) -> Float[Array, ""]:
    """What the loss of the next step is to be multiplied with, found anywhere in an optimizer's state.

    Raises:
      ValueError: it keeps none, or several: gradients are of one loss, so there is one scale for all parameters.

    >>> state = optax.chain(optax.identity(), loss_scaled(optax.sgd(1.0))).init(jnp.ones(2))
    >>> float(current_loss_scale(state))
    32768.0
    """
    found = loss_scales(state)
    if len(found) != 1:
        raise ValueError(
            f"state keeps {len(found)} loss scales: accepted is that of one optimizer in jaxlab.precision.loss_scaled"
        )
    return jnp.asarray(found[0].scale)  # Flax's nnx.Optimizer keeps it in a box.


def loss_scales(state: PyTree) -> list[LossScaleState]:
    """Every loss scale that a state keeps."""
    nodes = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, LossScaleState))
    return [node for node in nodes if isinstance(node, LossScaleState)]
