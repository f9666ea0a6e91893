"""Inverse square root decay after a warm-up (Vaswani et al., 2017)."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from jaxlab.core import hyper
from jaxlab.schedules import clock


def inverse_sqrt(peak: hyper.Scalar, warmup_steps: hyper.Scalar) -> hyper.Schedule:
    r"""A linear rise from 0 to the peak, then a fall like one over the root of the time.

    .. math::
        \alpha_t = \alpha \min\bigl(t / w, \sqrt{w / t}\bigr)

    It has no horizon. The Transformer's rate is the one with :math:`\alpha = (d_{model}\, w)^{-1/2}`; T5's
    falls alike from the same step on, with :math:`\alpha = w^{-1/2}` held where this rises.

    Args:
      peak: the value at step :math:`w`, the highest, at least 0.
      warmup_steps: :math:`w`, which is also the scale of the fall, at least 1. Below 1, which only a traced
        length can be, it counts as 1.

    Raises:
      ValueError: a number outside its range.

    Reference: https://arxiv.org/abs/1706.03762, equation 3; T5: https://arxiv.org/abs/1910.10683, section 3.1.2.

    >>> inverse_sqrt(1.0, warmup_steps=4)(jnp.array([0, 2, 4, 16, 64])).tolist()
    [0.0, 0.5, 1.0, 0.5, 0.25]
    """
    peak = hyper.number("peak", peak, "[0, inf)")
    warmup_steps = hyper.number("warmup_steps", warmup_steps, "[1, inf)")

    def schedule(step: ArrayLike) -> Float[Array, "..."]:
        length = jnp.maximum(warmup_steps, 1)
        rise = clock.elapsed(step, length)
        return peak * rise * jnp.sqrt(length / jnp.maximum(clock.real(step), length))

    return schedule
