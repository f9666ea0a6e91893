"""Cosine decay with warm restarts (Loshchilov and Hutter, 2017)."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from jaxlab.core import hyper
from jaxlab.schedules import clock

_BITS = 24  # float32 counts so many waves
_HUGE = 1e30


def cosine_restarts(
    peak: hyper.Scalar,
    period: hyper.Scalar,
    period_factor: hyper.Scalar = 1.0,
    peak_factor: hyper.Scalar = 1.0,
    final: hyper.Scalar = 0.0,
) -> hyper.Schedule:
    r"""Half a cosine wave down, again and again, each :math:`m` times as long as the one before (SGDR).

    .. math::
        \alpha_t = \alpha_T + (q^n \alpha_0 - \alpha_T) \tfrac12 \bigl(1 + \cos(\pi (t - s_n) / T_n)\bigr),
        \quad s_n \le t < s_n + T_n, \quad T_n = m^n T_0, \quad s_n = T_0 + \dots + T_{n-1}

    PyTorch's ``CosineAnnealingWarmRestarts(T_0, T_mult=m)``, for any :math:`m \ge 1`. The final value itself
    is never reached: the step that would have it is the first of the next wave. With whole numbers every
    restart comes exactly at its step, as far as float32 counts (16,777,216); where a factor makes a period
    end between two steps, the next wave has begun when the later one comes.

    Args:
      peak: the value at step 0, at least 0.
      period: :math:`T_0`, the steps of the first wave, at least 1. Below 1, which only a traced length can
        be, it counts as 1.
      period_factor: :math:`m`, at least 1.
      peak_factor: :math:`q`, what a restart multiplies the peak by, above 0.
      final: the value that each wave falls towards, at least 0: a value, not a fraction of the peak.

    Raises:
      ValueError: a number outside its range.

    Reference: https://arxiv.org/abs/1608.03983, equation 5.

    >>> rate = cosine_restarts(1.0, period=2, period_factor=2.0, peak_factor=0.5)
    >>> rate(jnp.array([0, 1, 2, 4, 6, 10, 14])).round(6).tolist()
    [1.0, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]
    """
    peak = hyper.number("peak", peak, "[0, inf)")
    period = hyper.number("period", period, "[1, inf)")
    period_factor = hyper.number("period_factor", period_factor, "[1, inf)")
    peak_factor = hyper.number("peak_factor", peak_factor, "(0, inf)")
    final = hyper.number("final", final, "[0, inf)")

    def schedule(step: ArrayLike) -> Float[Array, "..."]:
        step = clock.real(step)
        start, length, restarts = _wave(step, jnp.maximum(period, 1), period_factor)
        angle = jnp.pi / 2 * clock.remaining(step - start, length)
        return final + (peak * peak_factor**restarts - final) * jnp.sin(angle) ** 2

    return schedule


def _wave(step: Array, period: Array, factor: Array) -> tuple[Array, Array, Array]:
    """Where the wave that a step lies in starts, how long it is, and its number.

    No logarithm finds it, which rounding could put on either side of a boundary: the number is built from its
    bits, the highest first, by sums and products that are exact for whole numbers and divide by nothing
    where the factor is 1.
    """
    # The first 1, 2, 4, 8, ... waves together: how long they are, and by what they scale what follows.
    spans, growths = [period], [factor]
    for _ in range(1, _BITS):
        spans.append(jnp.minimum(spans[-1] * (1 + growths[-1]), _HUGE))
        growths.append(jnp.minimum(growths[-1] ** 2, _HUGE))
    start, scale, number = (jnp.full_like(step, x) for x in (0, 1, 0))
    for bit in reversed(range(_BITS)):
        end = start + scale * spans[bit]
        over = end <= step
        start = jnp.where(over, end, start)
        scale = jnp.where(over, scale * growths[bit], scale)
        number += jnp.where(over, 2.0**bit, 0.0)
    return start, scale * period, number
