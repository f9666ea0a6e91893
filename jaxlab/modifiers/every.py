"""What happens at every k-th step."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxlab.core import hyper


def due(t: Float[Array, ""], every: hyper.Scalar) -> Bool[Array, ""]:
    """Whether step ``t`` is one of every so many.

    The period may be traced, like every number. One between whole numbers is kept on average. Times are read half
    a step late, so that no division that is off by its last bit moves a step.

    >>> [t for t in range(1, 10) if due(jnp.float32(t), 3)]
    [3, 6, 9]
    """
    return jnp.floor((t + 0.5) / every) > jnp.floor((t - 0.5) / every)
