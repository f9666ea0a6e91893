"""A linear warm-up before any schedule."""

from typing import Any, overload

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, Float, PyTree

from jaxlab.core import hyper, tree
from jaxlab.schedules import clock
from jaxlab.schedules.constant import constant
from jaxlab.schedules.learning_rate import LearningRate, LearningRateState, require_home


@overload
def warmup(schedule: hyper.Scalar | hyper.Schedule, warmup_steps: hyper.Scalar) -> hyper.Schedule: ...
@overload
def warmup(
    schedule: optax.GradientTransformation, warmup_steps: hyper.Scalar
) -> optax.GradientTransformationExtraArgs: ...
def warmup(
    schedule: LearningRate, warmup_steps: hyper.Scalar
) -> hyper.Schedule | optax.GradientTransformationExtraArgs:
    r"""Rises linearly from 0 to a schedule's first value, then runs the schedule from its beginning.

    .. math::
        \alpha_t = \min(t / w, 1)\; s\bigl(\max(t - w, 0)\bigr)

    The inner clock starts when the warm-up ends, as in optax's ``join_schedules`` and PyTorch's
    ``SequentialLR``: to end both after ``total`` steps give the inner schedule ``total - warmup_steps``.
    (:meth:`ScheduleInfo.build <jaxlab.schedules.registry.ScheduleInfo.build>` does that by itself.) Step 0
    has rate 0, as in optax and Hugging Face.

    A loss-driven rate has no beginning to wait for: it reads the losses from step 0 on, and the warm-up
    multiplies it.

    Args:
      schedule: what follows; a number stands for a constant; a loss-driven transform gives a transform.
      warmup_steps: :math:`w`, at least 0; 0 is no warm-up.

    Raises:
      ValueError: a number outside its range.
      TypeError: from ``init``, a transform that is no learning rate.

    >>> from jaxlab.schedules import cosine
    >>> warmup(cosine(1.0, total_steps=90), 10)(jnp.array([0, 5, 10, 55, 100])).round(6).tolist()
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    warmup_steps = hyper.number("warmup_steps", warmup_steps, "[0, inf)")
    if isinstance(schedule, optax.GradientTransformation):
        return _warm_transform(optax.with_extra_args_support(schedule), warmup_steps)
    after = schedule if callable(schedule) else constant(schedule)

    def warmed(step: ArrayLike) -> Float[Array, "..."]:
        return clock.elapsed(step, warmup_steps) * after(jnp.maximum(clock.real(step) - warmup_steps, 0))

    return warmed


def _warm_transform(
    inner: optax.GradientTransformationExtraArgs, warmup_steps: hyper.Scalar
) -> optax.GradientTransformationExtraArgs:
    def update(
        updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, LearningRateState]:
        part = clock.elapsed(state.count, warmup_steps)
        after: Any
        full, after = inner.update(tree.cast(updates, part.dtype), state, params, **extra)
        full = jax.tree.map(lambda u: part * u, full)
        return tree.cast_like(full, updates), after._replace(learning_rate=part * after.learning_rate)

    def init(params: PyTree) -> optax.OptState:
        state = inner.init(params)
        require_home("schedule", state)
        return state

    return optax.GradientTransformationExtraArgs(init, update)
