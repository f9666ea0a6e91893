"""A random part of the image, resized to the whole."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxlab.augment.matrix import Matrix, about_centre, affine_map
from jaxlab.augment.operation import Geometric, registered
from jaxlab.core import hyper


@registered
@dataclasses.dataclass(frozen=True)
class ResizedCrop(Geometric):
    """A window of random area, form and place, resized to the image; see :func:`resized_crop`.

    Attributes:
      ratio: the most that proportions change, at least 1. A leaf.
    """

    ratio: hyper.Scalar
    name: ClassVar[str] = "resized_crop"
    accepted: ClassVar[str] = "[0, 1)"
    draws: ClassVar[int] = 4

    def warp(self, uniform: Float[Array, "4"], height: int, width: int) -> Matrix:
        """The map from the image to its window."""
        area = 1 - self.strength * uniform[0]
        most = jnp.minimum(jnp.log(self.ratio), -jnp.log(area))
        root = jnp.exp(most * (uniform[1] - 0.5))  # Of the ratio.
        tall, wide = jnp.sqrt(area) / root, jnp.sqrt(area) * root
        # Pixels are squares: a window of the fraction f has as much as (1 - f) n pixels beside it, half on each side.
        down, right = (uniform[2] - 0.5) * (1 - tall) * height, (uniform[3] - 0.5) * (1 - wide) * width
        return about_centre(affine_map(tall, 0, 0, wide, rows=down, columns=right), height, width)


def resized_crop(strength: hyper.Scalar = 0.5, ratio: hyper.Scalar = 4 / 3) -> ResizedCrop:
    r"""Cuts a random window out of the image and resizes it to the image's size.

    The window has a fraction of the area that is uniform in [1 - strength, 1]. Its proportions are the image's times
    a ratio :math:`r`, whose logarithm is uniform between :math:`\pm\log` ``ratio``, or as much of that as a window of
    this area has room for: the whole image has its own proportions. Its place is uniform among those inside.

    torchvision's ``RandomResizedCrop`` draws area and ratio again until they fit, and so has large windows less often;
    its ``scale=(0.08, 1)`` is a strength of 0.92.

    Args:
      strength: 1 less the smallest area, in [0, 1); 0 does nothing.
      ratio: the largest change of proportions, at least 1, which keeps them.

    Raises:
      ValueError: a number outside its range.

    Reference: https://arxiv.org/abs/1409.4842 (Szegedy et al., 2014), section 6.

    >>> import jax
    >>> matrix = resized_crop(0.75).matrix(jax.random.key(0), 32, 32)
    >>> bool(0.25 <= matrix[0, 0] * matrix[1, 1] <= 1)
    True
    """
    return ResizedCrop(
        hyper.number("strength", strength, ResizedCrop.accepted), hyper.number("ratio", ratio, "[1, inf)")
    )
