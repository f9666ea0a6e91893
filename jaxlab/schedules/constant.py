"""The same value at every step."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from jaxlab.core import hyper


def constant(value: hyper.Scalar) -> hyper.Schedule:
    r"""A schedule that never changes, :math:`\alpha_t = \alpha`.

    Args:
      value: a number of at least 0.

    Raises:
      ValueError: a negative or non-finite value.

    >>> constant(0.5)(jnp.arange(3)).tolist()
    [0.5, 0.5, 0.5]
    """
    value = hyper.number("value", value, "[0, inf)")

    def schedule(step: ArrayLike) -> Float[Array, "..."]:
        return jnp.broadcast_to(value, jnp.shape(step))

    return schedule
