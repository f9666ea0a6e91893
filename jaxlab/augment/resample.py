"""Images resampled once, through an affine map."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Real

from jaxlab.augment import pixels
from jaxlab.core import hyper

FILLS = ("nearest", "constant", "reflect", "wrap")
"""What lies outside of an image. SciPy calls them nearest, grid-constant, reflect and grid-wrap."""


def affine(
    image: Real[ArrayLike, "height width channels"],
    matrix: Float[ArrayLike, "2 3"],
    fill: str = "nearest",
    value: hyper.Scalar = 0.0,
) -> Float[Array, "height width channels"]:
    r"""Resamples an image linearly (order 1): output pixel :math:`o` is what lies at :math:`A (o, 1)` in the input.

    Between pixels the four around are weighed by their nearness; ``fill`` says what lies outside:

    ============  ==========================  ======================================
    ``fill``      ``abcd`` goes on as         in ``scipy.ndimage.affine_transform``
    ============  ==========================  ======================================
    ``nearest``   ``aaaa|abcd|dddd``          ``mode="nearest"``
    ``constant``  ``kkkk|abcd|kkkk``          ``mode="grid-constant"``, ``cval=k``
    ``reflect``   ``dcba|abcd|dcba``          ``mode="reflect"``
    ``wrap``      ``abcd|abcd|abcd``          ``mode="grid-wrap"``
    ============  ==========================  ======================================

    A map to whole pixels (shifts by whole pixels, flips) is exact. Images that shrink are not smoothed first.

    Args:
      image: bytes or floating pixels, see :mod:`jaxlab.augment.pixels`.
      matrix: from an output pixel (row, column, 1) to an input pixel; its numbers may be traced.
      fill: as above (static).
      value: of pixels outside under ``fill="constant"``, on the image's own scale.

    Returns:
      An image of the same size.

    Raises:
      ValueError: shapes that are no image and no map, an unknown fill, a value that is not finite.
      TypeError: pixels that are no numbers.

    >>> image = jnp.float32([[1, 2, 3]])[..., None]
    >>> left = jnp.float32([[1, 0, 0], [0, 1, 1]])  # output column c is input column c + 1
    >>> affine(image, left)[0, :, 0].tolist(), affine(image, left, fill="wrap")[0, :, 0].tolist()
    ([2.0, 3.0, 3.0], [2.0, 3.0, 1.0])
    """
    values = pixels.numbers(image)
    if jnp.shape(matrix) != (2, 3):
        raise ValueError(f"matrix has shape {jnp.shape(matrix)}: accepted is [2 3], from output to input pixels")
    hyper.one_of("fill", fill, FILLS)
    outside = hyper.number("value", value)
    return pixels.like(image, resample(values, jnp.asarray(matrix, values.dtype), fill, outside))


def resample(
    image: Float[Array, "height width channels"], matrix: Float[Array, "2 3"], fill: str, value: Float[ArrayLike, ""]
) -> Float[Array, "height width channels"]:
    """:func:`affine` without its checks, of pixels in the arithmetic's dtype."""
    height, width, channels = image.shape
    rows, columns = jnp.mgrid[:height, :width].astype(image.dtype)
    # A product of matrices, for that is computed once. Sums of products are computed wherever they are needed, and may
    # be rounded differently for the pixel to look up and for its weight: next to a whole number that is the wrong one.
    places = jnp.stack([rows, columns, jnp.ones_like(rows)])
    row, column = jnp.tensordot(matrix, places, axes=1, precision="highest")
    top, left = jnp.floor(row), jnp.floor(column)
    down, right = (row - top)[..., None], (column - left)[..., None]
    flat = image.reshape(-1, channels)

    def pixel(row: Int[Array, "height width"], column: Int[Array, "height width"]) -> Array:
        inside = _inside(row, height, fill) * width + _inside(column, width, fill)
        # One plain look-up for each of the four: XLA makes one loop of it all, which no other form was faster than.
        found = flat.at[inside].get(mode="promise_in_bounds")
        if fill != "constant":
            return found
        there = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        return jnp.where(there[..., None], found, value)

    top, left = top.astype(np.int32), left.astype(np.int32)
    above = pixel(top, left) * (1 - right) + pixel(top, left + 1) * right
    below = pixel(top + 1, left) * (1 - right) + pixel(top + 1, left + 1) * right
    return above * (1 - down) + below * down


def _inside(index: Int[Array, "..."], length: int, fill: str) -> Int[Array, "..."]:
    # In bounds for every whole number, as the look-up is promised: also where a coordinate was not finite.
    if fill == "wrap":
        return index % length
    if fill == "reflect":
        index = index % (2 * length)
        return jnp.minimum(index, 2 * length - 1 - index)
    return jnp.clip(index, 0, length - 1)
