"""Steps on batches whose loss or gradient stands far out are not taken."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int32, PyTree

from jaxlab.core import hyper, tree
from jaxlab.modifiers.info import ModifierInfo
from jaxlab.modifiers.wrapping import choose, full_precision, trained


class Usual(NamedTuple):
    """What a reading usually is. Attributes: ``mean`` and ``deviation`` (standard)."""

    mean: Float[Array, ""]
    deviation: Float[Array, ""]


class SkipSpikesState(NamedTuple):
    """The state of :func:`skip_spikes`.

    Attributes:
      count: readings so far.
      skipped: how many steps were not taken.
      loss: the usual loss.
      grad_norm: the usual norm of the gradient.
      inner: the optimizer's state.
    """

    count: Int32[Array, ""]
    skipped: Int32[Array, ""]
    loss: Usual
    grad_norm: Usual
    inner: optax.OptState


def skip_spikes(
    inner: optax.GradientTransformation,
    sigmas: hyper.Scalar = 6.0,
    decay: hyper.Scalar = 0.99,
    warmup_steps: hyper.Scalar = 64.0,
) -> optax.GradientTransformationExtraArgs:
    r"""Leaves out a step whose loss or gradient norm lies far above the usual.

    .. math::
        \text{skip if}\quad x_t > \mu_{t-1} + k\,\sigma_{t-1}

    for the loss, and likewise for the norm of the gradient (of all groups, without frozen leaves), with their running
    mean and standard deviation. A skipped step changes no parameter and nothing in the inner state; its reading enters
    the averages, cut to the bound, so that a level which has changed for good is the usual one after a while. What is
    not finite is always skipped, and enters nothing.

    OLMo's optimizers keep the last 128 readings, uncut, and skip after 64 at six deviations. Here two averages with
    a decay stand for the window: in the first :math:`1 / (1 - \beta)` steps they are plain means.

    Args:
      inner: any optax optimizer.
      sigmas: :math:`k`, at least 0.
      decay: :math:`\beta` of the running mean and deviation, in [0, 1).
      warmup_steps: how many readings are only taken in, at least 0.

    Raises:
      ValueError: a number outside its range; from ``update``, without ``value=``, the loss.
      TypeError: an ``inner`` that is no optimizer; from ``update``, a loss that is not one number.

    State: the inner one's, and six scalars.

    Reference: https://arxiv.org/abs/2501.00656 (OLMo 2), and the SkipStep optimizers of OLMo-core.

    >>> tx = skip_spikes(optax.sgd(1.0), warmup_steps=3)
    >>> state = tx.init(jnp.zeros(1))
    >>> for loss in (1.0, 1.1, 1.2, 9.0):
    ...     updates, state = tx.update(jnp.ones(1), state, value=loss)
    >>> updates.tolist(), int(state.skipped), round(float(state.loss.mean), 3)
    ([0.0], 1, 1.222)
    """
    sigmas = hyper.number("sigmas", sigmas, "[0, inf)")
    decay = hyper.number("decay", decay, "[0, 1)")
    warmup_steps = hyper.number("warmup_steps", warmup_steps, "[0, inf)")
    inner = full_precision(inner)

    def init(params: PyTree) -> SkipSpikesState:
        def usual() -> Usual:
            mean, deviation = (jnp.zeros((), hyper.arithmetic_dtype()) for _ in range(2))
            return Usual(mean, deviation)

        count, skipped = (jnp.zeros((), jnp.int32) for _ in range(2))
        return SkipSpikesState(count, skipped, usual(), usual(), inner.init(params))

    def read(usual: Usual, x: Array, count: Array) -> tuple[Bool[Array, ""], Usual]:
        bound = jnp.where(count < warmup_steps, jnp.inf, usual.mean + sigmas * usual.deviation)
        finite = jnp.isfinite(x)
        weight = jnp.maximum(1 - decay, 1 / (count + 1).astype(x.dtype))
        off = jnp.minimum(x, bound) - usual.mean
        # The recursion of the variance, under the root: losses beyond 1.8e19 have no squares.
        spread = jnp.hypot(usual.deviation, jnp.sqrt(weight) * off) * jnp.sqrt(1 - weight)
        return finite & (x <= bound), choose(finite, Usual(usual.mean + weight * off, spread), usual)

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, SkipSpikesState]:
        full = tree.cast(updates, hyper.arithmetic_dtype())
        usual_loss, loss = read(state.loss, _loss(extra), state.count)
        usual_norm, norm = read(state.grad_norm, tree.global_norm(trained(full, state.inner)), state.count)
        good = usual_loss & usual_norm
        steps, after = inner.update(full, state.inner, params, **extra)
        steps = jax.tree.map(lambda step: jnp.where(good, step, 0), steps)
        skipped = state.skipped + jnp.where(good, 0, 1).astype(jnp.int32)
        after = choose(good, after, state.inner)
        return tree.cast_like(steps, updates), SkipSpikesState(state.count + 1, skipped, loss, norm, after)

    return optax.GradientTransformationExtraArgs(init, update)


def _loss(extra: dict[str, Any]) -> Float[Array, ""]:
    if extra.get("value") is None:
        raise ValueError("value = None: skip_spikes needs the loss, call tx.update(grads, state, params, value=loss)")
    loss = jnp.asarray(extra["value"], hyper.arithmetic_dtype())
    if loss.ndim:
        raise TypeError(f"value, the loss, has shape {loss.shape}: accepted is one number")
    return loss


SKIP_SPIKES = ModifierInfo("skip_spikes", skip_spikes, "OLMo et al. 2025, arXiv:2501.00656", needs=("value",))
