"""Random crop after padding: a shift by whole pixels."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxlab.augment.matrix import Matrix, affine_map
from jaxlab.augment.operation import Geometric, registered
from jaxlab.core import hyper


@registered
@dataclasses.dataclass(frozen=True)
class Crop(Geometric):
    """A shift by random numbers of pixels; see :func:`crop`."""

    name: ClassVar[str] = "crop"
    draws: ClassVar[int] = 2

    def warp(self, uniform: Float[Array, "2"], height: int, width: int) -> Matrix:
        """The shift by one of the ``2 padding + 1`` whole numbers, for each axis."""
        padding = jnp.floor(jnp.asarray(self.strength))
        # A number next to 1, times many, may be rounded up to as many.
        down, right = jnp.minimum(jnp.floor(uniform * (2 * padding + 1)) - padding, padding)
        return affine_map(1, 0, 0, 1, rows=down, columns=right)


def crop(strength: hyper.Scalar = 4.0) -> Crop:
    """Pads the image on all sides, and cuts one of its own size out of that at a random place.

    Which is a shift by whole pixels, each number from -strength to strength as likely, and exact. What the padding
    holds is the ``fill`` of the flow: the usual zeros are ``"constant"``.

    Args:
      strength: pixels of padding, at least 0, which does nothing; what it has after the point is cut off.

    Raises:
      ValueError: a strength below 0.

    Reference: https://arxiv.org/abs/1512.03385 (He et al., 2015), section 4.2: 4 pixels of zeros for CIFAR-10.

    >>> import jax
    >>> rows, columns = crop(4.0).matrix(jax.random.key(0), 32, 32)[:, 2]
    >>> bool(abs(rows) <= 4), bool(rows == round(rows.item()))
    (True, True)
    """
    return Crop(hyper.number("strength", strength, Crop.accepted))
