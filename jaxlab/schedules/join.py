"""One schedule after another."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from jaxlab.core import hyper
from jaxlab.schedules import clock


def join(first: hyper.Scalar | hyper.Schedule, then: hyper.Scalar | hyper.Schedule, at: hyper.Scalar) -> hyper.Schedule:
    r"""Runs one schedule until a step, and from that step on another from its own beginning.

    .. math::
        \alpha_t = \begin{cases} a(t) & t < k \\ b(t - k) & t \ge k \end{cases}

    For more pieces nest: ``join(a, join(b, c, at=50), at=100)`` changes at steps 100 and 150, because the inner
    one counts from its beginning. optax's ``join_schedules`` and PyTorch's ``SequentialLR`` count alike.

    Args:
      first: a schedule; a number of at least 0 stands for a constant.
      then: what follows, likewise.
      at: :math:`k`, the first step of ``then``, at least 0; at 0 there is no ``first``.

    Raises:
      ValueError: a number outside its range.

    >>> join(1.0, join(0.5, 0.25, at=2), at=3)(jnp.arange(7)).tolist()
    [1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """
    first = hyper.number_or_schedule("first", first, "[0, inf)")
    then = hyper.number_or_schedule("then", then, "[0, inf)")
    at = hyper.number("at", at, "[0, inf)")

    def schedule(step: ArrayLike) -> Float[Array, "..."]:
        step = clock.real(step)
        # Each sees steps of its own only: what it would be elsewhere, inf perhaps, must not reach a gradient.
        before, after = first(jnp.minimum(step, at)), then(jnp.maximum(step - at, 0))
        return jnp.where(step < at, before, after)

    return schedule
