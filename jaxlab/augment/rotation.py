"""Rotation by a random angle."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxlab.augment.matrix import Matrix, about_centre, affine_map
from jaxlab.augment.operation import Geometric, registered
from jaxlab.core import hyper


@registered
@dataclasses.dataclass(frozen=True)
class Rotation(Geometric):
    """A turn by a random angle; see :func:`rotation`."""

    name: ClassVar[str] = "rotation"
    accepted: ClassVar[str] = "[0, 180]"
    draws: ClassVar[int] = 1

    def warp(self, uniform: Float[Array, "1"], height: int, width: int) -> Matrix:
        """The turn by ``strength * (2 u - 1)`` degrees."""
        angle = jnp.radians(self.strength * (2 * uniform[0] - 1))
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        return about_centre(affine_map(cos, -sin, sin, cos), height, width)


def rotation(strength: hyper.Scalar = 15.0) -> Rotation:
    r"""Turns the image about its middle by an angle that is uniform in [-strength, strength].

    .. math::
        A = \begin{pmatrix} \cos \theta & -\sin \theta \\ \sin \theta & \cos \theta \end{pmatrix}

    Args:
      strength: degrees, in [0, 180]; 0 does nothing. Keras's ``rotation_range``.

    Raises:
      ValueError: a strength outside its range.

    >>> import jax
    >>> matrix = rotation(15.0).matrix(jax.random.key(0), 28, 28)
    >>> bool(abs(matrix[0, 1]) <= jnp.sin(jnp.radians(15)))
    True
    """
    return Rotation(hyper.number("strength", strength, Rotation.accepted))
