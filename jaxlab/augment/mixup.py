"""Mixup (Zhang et al., 2018): each example is a mean of two, its label too."""

import dataclasses
from typing import ClassVar

from jaxtyping import Array, Float, Key, Real

from jaxlab.augment import beta, pixels
from jaxlab.augment.operation import Mixing, registered
from jaxlab.core import hyper


@registered
@dataclasses.dataclass(frozen=True)
class Mixup(Mixing):
    """A mean of two examples at a random weight; see :func:`mixup`."""

    name: ClassVar[str] = "mixup"

    def __call__(
        self,
        key: Key[Array, ""],
        image: Real[Array, "height width channels"],
        label: Float[Array, " classes"],
        other_image: Real[Array, "height width channels"],
        other_label: Float[Array, " classes"],
    ) -> tuple[Float[Array, "height width channels"], Float[Array, " classes"]]:
        """Image and label at the key's weight."""
        weight = beta.kept(key, self.strength)
        mixed = weight * pixels.numbers(image) + (1 - weight) * pixels.numbers(other_image)
        return pixels.like(image, mixed), weight * label + (1 - weight) * other_label


def mixup(strength: hyper.Scalar = 0.2) -> Mixup:
    r"""Each example becomes :math:`\lambda` of itself and :math:`1 - \lambda` of another, pixels and label alike.

    Args:
      strength: :math:`\alpha` of :math:`\lambda \sim` Beta(:math:`\alpha`, :math:`\alpha`), at least 0, which does
        nothing; 1 makes every :math:`\lambda` alike, more makes halves likely.

    Raises:
      ValueError: a strength below 0.

    Reference: https://arxiv.org/abs/1710.09412, equation 1.
    """
    return Mixup(hyper.number("strength", strength, Mixup.accepted))
