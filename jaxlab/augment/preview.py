"""A picture of what operations do: some draws of each, one below the other."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Key, Real

from jaxlab.augment import pixels, registry
from jaxlab.augment.operation import Geometric, Mixing, Operation, Pixelwise
from jaxlab.core import hyper


class Preview(NamedTuple):
    """What :func:`preview` makes.

    Attributes:
      grid: ``[rows * height, columns * width, channels]``: a row for each operation, a column for each draw; bytes
        where the image is bytes, else its floating dtype.
      labels: name and strength of each row.
    """

    grid: Real[np.ndarray, "rows columns channels"]
    labels: list[str]


def preview(
    image: Real[ArrayLike, "height width channels"],
    key: Key[Array, ""],
    draws: int = 8,
    operations: Sequence[Operation] | None = None,
    other: Real[ArrayLike, "height width channels"] | None = None,
) -> Preview:
    """Draws of each operation on one image, as one array that any library shows.

    Args:
      image: bytes, or floating numbers from 0 to 1.
      key: of all draws.
      draws: of each operation: columns.
      operations: rows; by default every one that is registered, at its default strength.
      other: what operations that mix mix it with, of the image's shape; by default the image upside down.

    Raises:
      ValueError: no image, no draws, no operations, an ``other`` of another shape.

    >>> from jaxlab import augment
    >>> shown = preview(np.zeros((4, 5, 3), np.uint8), jax.random.key(0), draws=2, operations=[augment.rotation(30.0)])
    >>> shown.grid.shape, shown.grid.dtype, shown.labels
    ((4, 10, 3), dtype('uint8'), ['rotation 30'])
    """
    height, width, channels = pixels.numbers(image).shape
    hyper.integer("draws", draws, at_least=1)
    if operations is None:
        operations = [registry.get(name).factory() for name in registry.names()]
    if not operations:
        raise ValueError("operations = []: accepted is at least one")
    image = np.asarray(image)
    beside = image[::-1] if other is None else np.asarray(other)
    if beside.shape != image.shape:
        raise ValueError(f"other has shape {beside.shape}: accepted is the image's, {image.shape}")
    rows = np.asarray(_rows(tuple(operations), key, image, beside, draws))
    grid = rows.swapaxes(1, 2).reshape(len(operations) * height, draws * width, channels)
    if np.issubdtype(image.dtype, np.integer):
        grid = np.clip(np.rint(grid), 0, 255).astype(np.uint8)
    return Preview(grid, [f"{one.name} {float(jnp.asarray(one.strength)):g}" for one in operations])


@functools.partial(jax.jit, static_argnames="draws")
def _rows(
    operations: tuple[Operation, ...], key: Array, image: np.ndarray, other: np.ndarray, draws: int
) -> Real[Array, "operations draws height width channels"]:
    def row(number: int, operation: Operation) -> Array:
        keys = jax.random.split(jax.random.fold_in(key, number), draws)
        return jax.vmap(lambda key: _drawn(operation, key, jnp.asarray(image), jnp.asarray(other)))(keys)

    return jnp.stack([row(number, operation) for number, operation in enumerate(operations)])


def _drawn(operation: Operation, key: Array, image: Array, other: Array) -> Array:
    if isinstance(operation, Mixing):
        nobody = jnp.zeros(1)
        return operation(key, image, nobody, other, nobody)[0]
    assert isinstance(operation, Geometric | Pixelwise), operation
    return operation(key, image)
