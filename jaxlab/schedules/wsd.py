"""Warm-up, stable, decay (Hu et al., 2024)."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from jaxlab.core import hyper
from jaxlab.schedules import clock

COOLDOWNS = ("linear", "cosine", "1-sqrt")


def wsd(
    peak: hyper.Scalar,
    total_steps: hyper.Scalar,
    warmup_steps: hyper.Scalar,
    decay_steps: hyper.Scalar,
    final: hyper.Scalar = 0.0,
    *,
    cooldown: str = "linear",
) -> hyper.Schedule:
    r"""A linear rise from 0, the peak held, a cool-down to the final value, which it keeps.

    .. math::
        \alpha_t = \begin{cases}
            \alpha\, t / w & t < w \\
            \alpha & w \le t \le T - d \\
            \alpha_T + (\alpha - \alpha_T)\, s(u), \; u = (t - T + d) / d & T - d < t < T \\
            \alpha_T & t \ge T
        \end{cases}

    The cool-down's shape :math:`s` is linear, :math:`1 - u`; cosine, :math:`\tfrac12 (1 + \cos \pi u)`; or
    :math:`1 - \sqrt u`, which falls fastest at its beginning and was best in Hägele et al.'s comparison.

    Until the cool-down begins nothing depends on the horizon, so a run can be prolonged, or cooled down
    from several of its checkpoints.

    Args:
      peak: :math:`\alpha`, at least 0.
      total_steps: :math:`T`, warm-up and cool-down included, above 0.
      warmup_steps: :math:`w`, at least 0; 0 is no warm-up.
      decay_steps: :math:`d`, at least 0; 0 drops to the final value at step :math:`T`.
      final: the value from step :math:`T` on, at least 0: a value, not a fraction of the peak.
      cooldown: ``"linear"``, ``"cosine"`` or ``"1-sqrt"``. The registry has them as ``wsd``, ``wsd_cosine`` and
        ``wsd_1_sqrt``.

    Raises:
      ValueError: an unknown ``cooldown``, a number outside its range, or a warm-up and cool-down longer than
        ``total_steps``. (Where traced lengths overlap, rise and fall multiply.)

    Reference: https://arxiv.org/abs/2404.06395, section 4.1; cool-downs: https://arxiv.org/abs/2405.18392.

    >>> rate = wsd(1.0, total_steps=10, warmup_steps=2, decay_steps=4)
    >>> rate(jnp.arange(12)).tolist()
    [0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """
    hyper.one_of("cooldown", cooldown, COOLDOWNS)
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
        cooling = clock.real(step) - (total_steps - decay_steps)
        shape = _shape(cooldown, cooling, decay_steps)
        return clock.elapsed(step, warmup_steps) * (final + (peak - final) * shape)

    return schedule


def wsd_cosine(
    peak: hyper.Scalar,
    total_steps: hyper.Scalar,
    warmup_steps: hyper.Scalar,
    decay_steps: hyper.Scalar,
    final: hyper.Scalar = 0.0,
) -> hyper.Schedule:
    """:func:`wsd` with a cosine cool-down, for recipes that choose schedules by name.

    Args:
      peak, total_steps, warmup_steps, decay_steps, final: as in :func:`wsd`.

    >>> wsd_cosine(1.0, total_steps=10, warmup_steps=2, decay_steps=4)(jnp.array([1, 6, 8, 10])).round(6).tolist()
    [0.5, 1.0, 0.5, 0.0]
    """
    return wsd(peak, total_steps, warmup_steps, decay_steps, final, cooldown="cosine")


def wsd_1_sqrt(
    peak: hyper.Scalar,
    total_steps: hyper.Scalar,
    warmup_steps: hyper.Scalar,
    decay_steps: hyper.Scalar,
    final: hyper.Scalar = 0.0,
) -> hyper.Schedule:
    """:func:`wsd` with a 1-sqrt cool-down, for recipes that choose schedules by name.

    Args:
      peak, total_steps, warmup_steps, decay_steps, final: as in :func:`wsd`.

    >>> wsd_1_sqrt(1.0, total_steps=10, warmup_steps=2, decay_steps=4)(jnp.array([1, 6, 7, 10])).tolist()
    [0.5, 1.0, 0.5, 0.0]
    """
    return wsd(peak, total_steps, warmup_steps, decay_steps, final, cooldown="1-sqrt")


def _shape(cooldown: str, step: Array, length: hyper.Scalar) -> Float[Array, "..."]:
    """From 1 down to 0 in a period that begins at step 0."""
    left = clock.remaining(step, length)
    if cooldown == "cosine":
        return jnp.sin(jnp.pi / 2 * left) ** 2
    if cooldown == "1-sqrt":
        # 1 - sqrt(u) cancels near the end; and at zero the root's slope is infinite: no gradient may come by there.
        over = jnp.where(left < 1, clock.elapsed(step, length), 0)
        root = jnp.where(over > 0, jnp.sqrt(jnp.where(over > 0, over, 1)), 0)
        return left / (1 + root)
    return left
