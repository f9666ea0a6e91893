"""CutMix (Yun et al., 2019): a box of the image is another's, and so much of the label."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Real

from jaxlab.augment import beta, box, pixels
from jaxlab.augment.operation import Mixing, registered
from jaxlab.core import hyper


@registered
@dataclasses.dataclass(frozen=True)
class CutMix(Mixing):
    """A box of another image at a random place; see :func:`cutmix`."""

    name: ClassVar[str] = "cutmix"

    def __call__(
        self,
        key: Key[Array, ""],
        image: Real[Array, "height width channels"],
        label: Float[Array, " classes"],
        other_image: Real[Array, "height width channels"],
        other_label: Float[Array, " classes"],
    ) -> tuple[Float[Array, "height width channels"], Float[Array, " classes"]]:
        """Image and label with the key's box."""
        kept, others = pixels.numbers(image), pixels.numbers(other_image)
        height, width, _ = kept.shape
        share_key, place_key = jax.random.split(key)
        side = jnp.sqrt(1 - beta.kept(share_key, self.strength))
        row, column = jax.random.uniform(place_key, (2,), hyper.arithmetic_dtype())
        cut = box.inside((height, width), (row * height, column * width), (side * height, side * width))
        weight = 1 - jnp.mean(cut, dtype=kept.dtype)
        return (
            pixels.like(image, jnp.where(cut[..., None], others, kept)),
            weight * label + (1 - weight) * other_label,
        )


def cutmix(strength: hyper.Scalar = 1.0) -> CutMix:
    r"""A box of each image is taken from another, and the label is mixed by the area that each has.

    The box has the image's form and the area :math:`1 - \lambda`; its middle is anywhere in the image. What lies
    outside is lost, so the label's weight is the area that is really kept, not :math:`\lambda`.

    Args:
      strength: :math:`\alpha` of :math:`\lambda \sim` Beta(:math:`\alpha`, :math:`\alpha`), at least 0, which does
        nothing; 1 makes every area alike.

    Raises:
      ValueError: a strength below 0.

    Reference: https://arxiv.org/abs/1905.04899, section 3.1.
    """
    return CutMix(hyper.number("strength", strength, CutMix.accepted))
