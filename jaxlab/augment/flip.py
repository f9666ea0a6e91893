"""Mirror images, with a probability."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxlab.augment.matrix import Matrix, about_centre, affine_map, identity
from jaxlab.augment.operation import Geometric, registered
from jaxlab.core import hyper


@registered
@dataclasses.dataclass(frozen=True)
class HorizontalFlip(Geometric):
    """Left and right exchanged, or not; see :func:`horizontal_flip`."""

    name: ClassVar[str] = "horizontal_flip"
    accepted: ClassVar[str] = "[0, 1]"
    draws: ClassVar[int] = 1

    def warp(self, uniform: Float[Array, "1"], height: int, width: int) -> Matrix:
        """The mirror where the number drawn is below the probability."""
        return jnp.where(uniform[0] < self.strength, about_centre(affine_map(1, 0, 0, -1), height, width), identity())


@registered
@dataclasses.dataclass(frozen=True)
class VerticalFlip(Geometric):
    """Top and bottom exchanged, or not; see :func:`vertical_flip`."""

    name: ClassVar[str] = "vertical_flip"
    accepted: ClassVar[str] = "[0, 1]"
    draws: ClassVar[int] = 1

    def warp(self, uniform: Float[Array, "1"], height: int, width: int) -> Matrix:
        """The mirror where the number drawn is below the probability."""
        return jnp.where(uniform[0] < self.strength, about_centre(affine_map(-1, 0, 0, 1), height, width), identity())


def horizontal_flip(strength: hyper.Scalar = 0.5) -> HorizontalFlip:
    """Exchanges left and right, exactly, with a probability.

    Args:
      strength: the probability, in [0, 1]; 0 does nothing.

    Raises:
      ValueError: a strength outside its range.

    >>> import jax
    >>> horizontal_flip(1.0)(jax.random.key(0), jnp.float32([[1, 2, 3]])[..., None])[0, :, 0].tolist()
    [3.0, 2.0, 1.0]
    """
    return HorizontalFlip(hyper.number("strength", strength, HorizontalFlip.accepted))


def vertical_flip(strength: hyper.Scalar = 0.5) -> VerticalFlip:
    """Exchanges top and bottom, exactly, with a probability.

    Args:
      strength: the probability, in [0, 1]; 0 does nothing.

    Raises:
      ValueError: a strength outside its range.

    >>> import jax
    >>> vertical_flip(1.0)(jax.random.key(0), jnp.float32([[1], [2], [3]])[..., None])[:, 0, 0].tolist()
    [3.0, 2.0, 1.0]
    """
    return VerticalFlip(hyper.number("strength", strength, VerticalFlip.accepted))
