"""One cycle: a rise and a long fall (Smith and Topin, 2018)."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from jaxlab.core import hyper
from jaxlab.schedules import clock


def one_cycle(
    peak: hyper.Scalar,
    total_steps: hyper.Scalar,
    pct_start: hyper.Scalar = 0.3,
    div_factor: hyper.Scalar = 25.0,
    final_div_factor: hyper.Scalar = 1e4,
) -> hyper.Schedule:
    r"""Half a cosine wave up to the peak and half a one down, far below where it began.

    .. math::
        \alpha_t = \begin{cases}
            \alpha_0 + (\alpha - \alpha_0) \sin^2(\tfrac\pi2\, t / w) & t \le w \\
            \alpha_T + (\alpha - \alpha_T) \sin^2(\tfrac\pi2\, (T - 1 - t) / (T - 1 - w)) & w < t < T \\
            \alpha_T & t \ge T
        \end{cases}
        \quad w = p\, T - 1, \quad \alpha_0 = \alpha / d, \quad \alpha_T = \alpha_0 / d_T

    The two phases of PyTorch's ``OneCycleLR``, which are fastai's; the paper has three, straight ones, and
    moves the momentum against the rate. As in PyTorch the cycle's last step, :math:`T - 1`, has the final
    value (the peak, if all of the cycle rises).

    Args:
      peak: the highest value :math:`\alpha`, at least 0.
      total_steps: :math:`T`, the steps of the whole cycle, above 0.
      pct_start: :math:`p`, the part of them that rises, in [0, 1].
      div_factor: :math:`d`, the peak over the value at step 0, above 0.
      final_div_factor: :math:`d_T`, the value at step 0 over the last, above 0.

    Raises:
      ValueError: a number outside its range.

    Reference: https://arxiv.org/abs/1708.07120.

    >>> rate = one_cycle(1.0, total_steps=10, pct_start=0.5, div_factor=4.0, final_div_factor=2.0)
    >>> rate(jnp.array([0, 2, 4, 9, 99])).round(6).tolist()
    [0.25, 0.625, 1.0, 0.125, 0.125]
    """
    peak = hyper.number("peak", peak, "[0, inf)")
    total_steps = hyper.number("total_steps", total_steps, "(0, inf)")
    pct_start = hyper.number("pct_start", pct_start, "[0, 1]")
    div_factor = hyper.number("div_factor", div_factor, "(0, inf)")
    final_div_factor = hyper.number("final_div_factor", final_div_factor, "(0, inf)")

    def schedule(step: ArrayLike) -> Float[Array, "..."]:
        step = clock.real(step)
        top = pct_start * total_steps - 1
        first = peak / div_factor
        last = first / final_div_factor
        up = first + (peak - first) * jnp.sin(jnp.pi / 2 * clock.elapsed(step, top)) ** 2
        down = last + (peak - last) * jnp.sin(jnp.pi / 2 * clock.remaining(step - top, total_steps - 1 - top)) ** 2
        return jnp.where(step <= top, up, down)

    return schedule
