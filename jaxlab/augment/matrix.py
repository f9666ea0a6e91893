"""Affine maps of pixel coordinates: ``[2, 3]``, from an output pixel (row, column, 1) to an input pixel.

Written as sums of products and not by ``@``, whose default precision on accelerators would displace pixels.
"""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from jaxlab.core import hyper

Matrix = Float[Array, "2 3"]


def affine_map(
    a: ArrayLike, b: ArrayLike, c: ArrayLike, d: ArrayLike, rows: ArrayLike = 0, columns: ArrayLike = 0
) -> Matrix:
    """The map ``row -> a row + b column + rows``, ``column -> c row + d column + columns``."""
    return jnp.asarray([[a, b, rows], [c, d, columns]], hyper.arithmetic_dtype())


def identity() -> Matrix:
    """Every pixel from where it is."""
    return affine_map(1, 0, 0, 1)


def about_centre(matrix: Matrix, height: int, width: int) -> Matrix:
    """A map whose origin is the middle of the image, as one of pixels counted from the corner.

    The middle lies between pixels where a side is even: at (height - 1) / 2 and (width - 1) / 2.

    >>> about_centre(affine_map(1, 0, 0, -1), 4, 5).tolist()  # columns from the other end
    [[1.0, 0.0, 0.0], [0.0, -1.0, 4.0]]
    """
    row, column = (height - 1) / 2, (width - 1) / 2
    (a, b, rows), (c, d, columns) = matrix
    return affine_map(a, b, c, d, rows + (row - (a * row + b * column)), columns + (column - (c * row + d * column)))


def product(first: Matrix, then: Matrix) -> Matrix:
    """The one map that does what two do in turn: an output pixel of ``then`` is an input pixel of ``first``.

    >>> down, flip = affine_map(1, 0, 0, 1, rows=-2), affine_map(-1, 0, 0, 1, rows=7)
    >>> product(down, flip).tolist()  # row r of the flipped image is row 7 - r of the shifted, 5 - r of the first
    [[-1.0, 0.0, 5.0], [0.0, 1.0, 0.0]]
    """
    moved = first[:, :1] * then[0] + first[:, 1:2] * then[1]
    return jnp.concatenate([moved[:, :2], moved[:, 2:] + first[:, 2:]], axis=1)
