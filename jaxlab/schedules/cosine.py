"""Cosine decay (Loshchilov and Hutter, 2017), without restarts."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from jaxlab.core import hyper
from jaxlab.schedules import clock


def cosine(peak: hyper.Scalar, total_steps: hyper.Scalar, final: hyper.Scalar = 0.0) -> hyper.Schedule:
    r"""Half a cosine wave down from the peak to the final value, which it keeps.

    .. math::
        \alpha_t = \alpha_T + (\alpha_0 - \alpha_T) \tfrac12 \bigl(1 + \cos(\pi t / T)\bigr),
        \quad t \le T

    Computed as :math:`\sin^2(\tfrac\pi2 (T - t) / T)`, which is the same and keeps its digits near the end,
    where :math:`1 + \cos` cancels. After :math:`T` it stays, where PyTorch's ``CosineAnnealingLR`` rises
    again.

    Args:
      peak: the value at step 0, at least 0.
      total_steps: :math:`T`, above 0. Traced, it may be 0: then the final value holds from the start.
      final: the value from step :math:`T` on, at least 0: a value, not a fraction of the peak.

    Raises:
      ValueError: a number outside its range.

    Reference: https://arxiv.org/abs/1608.03983, equation 5.

    >>> cosine(1.0, total_steps=10, final=0.5)(jnp.array([0, 5, 10, 99])).tolist()
    [1.0, 0.75, 0.5, 0.5]
    """
    peak = hyper.number("peak", peak, "[0, inf)")
    total_steps = hyper.number("total_steps", total_steps, "(0, inf)")
    final = hyper.number("final", final, "[0, inf)")

    def schedule(step: ArrayLike) -> Float[Array, "..."]:
        angle = jnp.pi / 2 * clock.remaining(step, total_steps)
        return final + (peak - final) * jnp.sin(angle) ** 2

    return schedule
