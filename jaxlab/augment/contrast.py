"""Contrast: how far pixels are from the image's mean brightness."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Real

from jaxlab.augment import colour
from jaxlab.augment.operation import Pixelwise, registered
from jaxlab.core import hyper


def adjust_contrast(
    image: Real[Array, "height width channels"], factor: hyper.Scalar
) -> Float[Array, "height width channels"]:
    """An image blended with the mean of its brightness; Pillow's ``ImageEnhance.Contrast``.

    Args:
      image: grey or RGB, with or without alpha, which stays.
      factor: at least 0: 0 is a grey plane, at the mean brightness rounded to one of 256 levels; 1 the image itself;
        beyond 1 the differences grow, up to black and white.

    Raises:
      ValueError, TypeError: no such image, a factor below 0.

    >>> adjust_contrast(jnp.array([[[10], [20]]], jnp.uint8), 2.0).tolist()
    [[[5.0], [25.0]]]
    """
    by = hyper.number("factor", factor, "[0, inf)")

    def change(colours: colour.Planes, white: float) -> colour.Planes:
        level = 255 / white
        mean = jnp.floor(jnp.mean(colour.grey(colours, white)) * level + 0.5) / level
        return colour.blend(colours, mean, by)

    return colour.recoloured(image, change)


@registered
@dataclasses.dataclass(frozen=True)
class Contrast(Pixelwise):
    """:func:`adjust_contrast` by a random factor; see :func:`contrast`."""

    name: ClassVar[str] = "contrast"

    def __call__(
        self, key: Key[Array, ""], image: Real[Array, "height width channels"]
    ) -> Float[Array, "height width channels"]:
        """The image at the key's factor."""
        return adjust_contrast(image, colour.factor(key, self.strength))


def contrast(strength: hyper.Scalar = 0.2) -> Contrast:
    """Contrast by a factor that is uniform in [1 - strength, 1 + strength], and at least 0.

    Args:
      strength: at least 0, which does nothing.

    Raises:
      ValueError: a strength below 0.
    """
    return Contrast(hyper.number("strength", strength, Contrast.accepted))
