"""Shear by a random angle."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxlab.augment.matrix import Matrix, about_centre, affine_map
from jaxlab.augment.operation import Geometric, registered
from jaxlab.core import hyper


@registered
@dataclasses.dataclass(frozen=True)
class Shear(Geometric):
    """A shear by a random angle; see :func:`shear`."""

    name: ClassVar[str] = "shear"
    accepted: ClassVar[str] = "[0, 90)"
    draws: ClassVar[int] = 1

    def warp(self, uniform: Float[Array, "1"], height: int, width: int) -> Matrix:
        """The shear by ``strength * (2 u - 1)`` degrees."""
        angle = jnp.radians(self.strength * (2 * uniform[0] - 1))
        return about_centre(affine_map(1, -jnp.sin(angle), 0, jnp.cos(angle)), height, width)


def shear(strength: hyper.Scalar = 0.1) -> Shear:
    r"""Slants the image about its middle by an angle that is uniform in [-strength, strength] degrees.

    .. math::
        A = \begin{pmatrix} 1 & -\sin \theta \\ 0 & \cos \theta \end{pmatrix}

    This is Keras's shear: the columns' direction stays, and that of the rows turns by :math:`\theta`, so that lengths
    along rows and along columns stay, too.

    Degrees, as in Keras, which is why its widespread ``shear_range=0.1`` hardly does anything: at 0.1 degrees the last
    column of an image of 28 x 28 pixels moves by 0.02 of a pixel. To slant by 0.1 pixels a column takes 5.7 degrees.

    Args:
      strength: degrees, in [0, 90); 0 does nothing. Keras's ``shear_range``.

    Raises:
      ValueError: a strength outside its range.

    >>> import jax
    >>> matrix = shear(30.0).matrix(jax.random.key(0), 28, 28)
    >>> bool(abs(matrix[0, 1]) <= 0.5), matrix[:, 0].tolist()
    (True, [1.0, 0.0])
    """
    return Shear(hyper.number("strength", strength, Shear.accepted))
