"""Warm-up, stable, decay (Hu et al., 2024)."""

from jaxtyping import Array, ArrayLike, Float

from jaxlab.core import hyper
from jaxlab.schedules import clock


def wsd(
    peak: hyper.Scalar,
    total_steps: hyper.Scalar,
    warmup_steps: hyper.Scalar,
    decay_steps: hyper.Scalar,
    final: hyper.Scalar = 0.0,
) -> hyper.Schedule:
    r"""A trapezoid: a linear rise from 0, the peak held, a linear cool-down to the final value, which it keeps.

    .. math::
        \alpha_t = \begin{cases}
            \alpha\, t / w & t < w \\
            \alpha & w \le t \le T - d \\
            \alpha_T + (\alpha - \alpha_T) (T - t) / d & T - d < t < T \\
            \alpha_T & t \ge T
        \end{cases}

    Until the cool-down begins nothing depends on the horizon, so a run can be prolonged, or cooled down
    from several of its checkpoints.

    Args:
      peak: :math:`\alpha`, at least 0.
      total_steps: :math:`T`, warm-up and cool-down included, above 0.
      warmup_steps: :math:`w`, at least 0; 0 is no warm-up.
      decay_steps: :math:`d`, at least 0; 0 drops to the final value at step :math:`T`.
      final: the value from step :math:`T` on, at least 0: a value, not a fraction of the peak.

    Raises:
      ValueError: a number outside its range, or a warm-up and cool-down longer than ``total_steps``.
        (Where traced lengths overlap, rise and fall multiply.)

    Reference: https://arxiv.org/abs/2404.06395, section 4.1; linear cool-down: https://arxiv.org/abs/2405.18392.

    >>> import jax.numpy as jnp
    >>> rate = wsd(1.0, total_steps=10, warmup_steps=2, decay_steps=4)
    >>> rate(jnp.arange(12)).tolist()
    [0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """
    peak = hyper.number("peak", peak, "[0, inf)")
    total_steps = hyper.number("total_steps", total_steps, "(0, inf)")
    warmup_steps = hyper.number("warmup_steps", warmup_steps, "[0, inf)")
    decay_steps = hyper.number("decay_steps", decay_steps, "[0, inf)")
    final = hyper.number("final", final, "[0, inf)")
    if clock.are_concrete(total_steps, warmup_steps, decay_steps) and warmup_steps + decay_steps > total_steps:
        raise ValueError(
            f"warmup_steps = {warmup_steps:g} + decay_steps = {decay_steps:g}: "
            f"accepted is a sum of at most total_steps = {total_steps:g}"
        )

    def schedule(step: ArrayLike) -> Float[Array, "..."]:
        left = clock.remaining(clock.real(step) - (total_steps - decay_steps), decay_steps)
        return clock.elapsed(step, warmup_steps) * (final + (peak - final) * left)

    return schedule
