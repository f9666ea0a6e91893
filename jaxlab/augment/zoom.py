"""Zoom by random factors."""

import dataclasses
from typing import ClassVar

from jaxtyping import Array, Float

from jaxlab.augment.matrix import Matrix, about_centre, affine_map
from jaxlab.augment.operation import Geometric, registered
from jaxlab.core import hyper


@registered
@dataclasses.dataclass(frozen=True)
class Zoom(Geometric):
    """A zoom by random factors; see :func:`zoom`."""

    name: ClassVar[str] = "zoom"
    accepted: ClassVar[str] = "[0, 1)"
    draws: ClassVar[int] = 2

    def warp(self, uniform: Float[Array, "2"], height: int, width: int) -> Matrix:
        """The zoom by ``1 + strength * (2 u - 1)`` along each axis."""
        rows, columns = 1 + self.strength * (2 * uniform - 1)
        return about_centre(affine_map(rows, 0, 0, columns), height, width)


def zoom(strength: hyper.Scalar = 0.1) -> Zoom:
    r"""Shows more or less of each axis, about the middle, by factors that are uniform in [1 - strength, 1 + strength].

    .. math::
        A = \begin{pmatrix} z_{row} & 0 \\ 0 & z_{column} \end{pmatrix}

    A factor below 1 magnifies, one above 1 makes smaller. As in Keras both axes draw their own, so that the image's
    proportions change, too.

    Args:
      strength: in [0, 1); 0 does nothing. Keras's ``zoom_range``.

    Raises:
      ValueError: a strength outside its range.

    >>> import jax
    >>> factors = zoom(0.1).matrix(jax.random.key(0), 28, 28)[:, :2].diagonal()
    >>> bool((abs(factors - 1) <= 0.1).all())
    True
    """
    return Zoom(hyper.number("strength", strength, Zoom.accepted))
