"""Brightness: all pixels times one factor."""

import dataclasses
from typing import ClassVar

from jaxtyping import Array, Float, Key, Real

from jaxlab.augment import colour
from jaxlab.augment.operation import Pixelwise, registered
from jaxlab.core import hyper


def adjust_brightness(
    image: Real[Array, "height width channels"], factor: hyper.Scalar
) -> Float[Array, "height width channels"]:
    """An image as bright as ``factor`` says: 0 is black, 1 the image itself; Pillow's ``ImageEnhance.Brightness``.

    Args:
      image: grey or RGB, with or without alpha, which stays.
      factor: at least 0. What is brighter than white is white.

    Raises:
      ValueError, TypeError: no such image, a factor below 0.

    >>> import jax.numpy as jnp
    >>> adjust_brightness(jnp.array([[[10, 100, 200]]], jnp.uint8), 1.5).tolist()
    [[[15.0, 150.0, 255.0]]]
    """
    by = hyper.number("factor", factor, "[0, inf)")
    return colour.recoloured(image, lambda colours, white: [by * plane for plane in colours])


@registered
@dataclasses.dataclass(frozen=True)
class Brightness(Pixelwise):
    """:func:`adjust_brightness` by a random factor; see :func:`brightness`."""

    name: ClassVar[str] = "brightness"

    def __call__(
        self, key: Key[Array, ""], image: Real[Array, "height width channels"]
    ) -> Float[Array, "height width channels"]:
        """The image at the key's factor."""
        return adjust_brightness(image, colour.factor(key, self.strength))


def brightness(strength: hyper.Scalar = 0.2) -> Brightness:
    """Brightness by a factor that is uniform in [1 - strength, 1 + strength], and at least 0.

    Args:
      strength: at least 0, which does nothing.

    Raises:
      ValueError: a strength below 0.
    """
    return Brightness(hyper.number("strength", strength, Brightness.accepted))
