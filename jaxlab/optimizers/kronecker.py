"""What optimizers that precondition the rows and the columns of a matrix have in common."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxlab.optimizers.layerwise import norm

LARGEST = 1e17
"""The largest norm of a gradient that is squared: sums of its squares, and products of those, stay finite."""


def shortened(g: Float[Array, "rows columns"]) -> Float[Array, "rows columns"]:
    """A gradient, shortened to the largest norm that can be squared; what is not finite stays so.

    >>> round(float(norm(shortened(jnp.full((2, 2), 1e30)))) / LARGEST, 5)
    1.0
    """
    length = norm(g)
    return jnp.where(length > LARGEST, g * (LARGEST / jnp.maximum(length, LARGEST)), g)


def scaled_to(d: Float[Array, "rows columns"], length: Float[Array, ""]) -> Float[Array, "rows columns"]:
    """A direction of a given length; zero stays zero.

    >>> scaled_to(jnp.array([[3.0, 4.0]]), jnp.asarray(10.0)).tolist()
    [[6.0, 8.0]]
    """
    own = norm(d)
    return d * jnp.where(own > 0, length / jnp.where(own > 0, own, 1), 0)
