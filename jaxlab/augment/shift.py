"""Shift along both axes by random distances."""

import dataclasses
from typing import ClassVar

from jaxtyping import Array, Float

from jaxlab.augment.matrix import Matrix, affine_map
from jaxlab.augment.operation import Geometric, registered
from jaxlab.core import hyper


@registered
@dataclasses.dataclass(frozen=True)
class Shift(Geometric):
    """A shift by random fractions of the sides; see :func:`shift`."""

    name: ClassVar[str] = "shift"
    accepted: ClassVar[str] = "[0, 1]"
    draws: ClassVar[int] = 2

    def warp(self, uniform: Float[Array, "2"], height: int, width: int) -> Matrix:
        """The shift by ``strength * (2 u - 1)`` of each side."""
        down, right = self.strength * (2 * uniform - 1)
        return affine_map(1, 0, 0, 1, rows=down * height, columns=right * width)


def shift(strength: hyper.Scalar = 0.1) -> Shift:
    """Shifts the image along both axes, each by a fraction of its side that is uniform in [-strength, strength].

    Not by whole pixels: what comes to lie between them is interpolated. :func:`~jaxlab.augment.crop.crop` is exact.

    Args:
      strength: fraction of the side, in [0, 1]; 0 does nothing. Keras's ``height_shift_range`` and
        ``width_shift_range``, both below 1.

    Raises:
      ValueError: a strength outside its range.

    >>> import jax
    >>> rows, columns = shift(0.1).matrix(jax.random.key(0), 10, 20)[:, 2]
    >>> bool(abs(rows) <= 1), bool(abs(columns) <= 2)
    (True, True)
    """
    return Shift(hyper.number("strength", strength, Shift.accepted))
