"""Cutout (DeVries and Taylor, 2017): a square of the image is not seen."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Real

from jaxlab.augment import box, pixels
from jaxlab.augment.operation import Pixelwise, registered
from jaxlab.core import hyper


@registered
@dataclasses.dataclass(frozen=True)
class Cutout(Pixelwise):
    """A square of one value at a random place; see :func:`cutout`."""

    name: ClassVar[str] = "cutout"
    accepted: ClassVar[str] = "[0, 1]"
    value: hyper.Scalar

    def __call__(
        self, key: Key[Array, ""], image: Real[Array, "height width channels"]
    ) -> Float[Array, "height width channels"]:
        """The image without the key's square."""
        values = pixels.numbers(image)
        height, width, _ = values.shape
        row, column = jax.random.uniform(key, (2,), hyper.arithmetic_dtype())
        side = jnp.asarray(self.strength) * min(height, width)
        cut = box.inside((height, width), (row * height, column * width), (side, side))
        return pixels.like(image, jnp.where(cut[..., None], self.value * pixels.white(image), values))


def cutout(strength: hyper.Scalar = 0.5, value: hyper.Scalar = 0.0) -> Cutout:
    """A square whose middle is anywhere in the image, so that a part of it may lie outside, takes one value.

    Args:
      strength: side of the square as a fraction of the image's shorter side, in [0, 1]; 0 does nothing.
      value: what all its channels become, alpha too: 0 is black (and clear), 1 white.

    Raises:
      ValueError: a number outside its range.

    Reference: https://arxiv.org/abs/1708.04552, section 3.2.
    """
    return Cutout(hyper.number("strength", strength, Cutout.accepted), hyper.number("value", value, "[0, 1]"))
