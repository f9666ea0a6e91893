"""A linear warm-up before any schedule."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from jaxlab.core import hyper
from jaxlab.schedules import clock
from jaxlab.schedules.constant import constant


def warmup(schedule: hyper.Scalar | hyper.Schedule, warmup_steps: hyper.Scalar) -> hyper.Schedule:
    r"""Rises linearly from 0 to a schedule's first value, then runs the schedule from its beginning.

    .. math::
        \alpha_t = \min(t / w, 1)\; s\bigl(\max(t - w, 0)\bigr)

    The inner clock starts when the warm-up ends, as in optax's ``join_schedules`` and PyTorch's
    ``SequentialLR``: to end both after ``total`` steps give the inner schedule ``total - warmup_steps``.
    (:meth:`ScheduleInfo.build <jaxlab.schedules.registry.ScheduleInfo.build>` does that by itself.) Step 0
    has rate 0, as in optax and Hugging Face.

    Args:
      schedule: what follows; a number stands for a constant.
      warmup_steps: :math:`w`, at least 0; 0 is no warm-up.

    Raises:
      ValueError: a number outside its range.

    >>> from jaxlab.schedules import cosine
    >>> warmup(cosine(1.0, total_steps=90), 10)(jnp.array([0, 5, 10, 55, 100])).round(6).tolist()
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    after = schedule if callable(schedule) else constant(schedule)
    warmup_steps = hyper.number("warmup_steps", warmup_steps, "[0, inf)")

    def warmed(step: ArrayLike) -> Float[Array, "..."]:
        return clock.elapsed(step, warmup_steps) * after(jnp.maximum(clock.real(step) - warmup_steps, 0))

    return warmed
