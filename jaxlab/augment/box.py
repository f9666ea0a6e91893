"""Which pixels lie in a box."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxlab.core import hyper


def inside(
    shape: tuple[int, int], centre: tuple[Float[Array, ""], Float[Array, ""]], size: tuple[Array, Array]
) -> Bool[Array, "height width"]:
    """Whether the middle of each pixel lies in a box, of which a part may lie outside the image.

    A box of a whole number of pixels holds as many rows and columns, wherever it lies; of others the number of
    rows is the next below or above, right on average.

    Args:
      shape: height and width of the image; static.
      centre: row and column, where the image is [0, height] and [0, width].
      size: rows and columns of the box; 0 holds nothing.

    >>> inside((1, 5), (0.5, 2.1), (1.0, 3.0)).astype(int).tolist()
    [[0, 1, 1, 1, 0]]
    """

    def along(length: int, middle: Array, extent: Array) -> Bool[Array, " length"]:
        places = jnp.arange(length, dtype=hyper.arithmetic_dtype()) + 0.5
        return jnp.abs(places - middle) < extent / 2

    rows, columns = (along(*axis) for axis in zip(shape, centre, size, strict=True))
    return rows[:, None] & columns
