"""Saturation: how far colours are from their grey."""

import dataclasses
from typing import ClassVar

from jaxtyping import Array, Float, Key, Real

from jaxlab.augment import colour
from jaxlab.augment.operation import Pixelwise, registered
from jaxlab.core import hyper


def adjust_saturation(
    image: Real[Array, "height width channels"], factor: hyper.Scalar
) -> Float[Array, "height width channels"]:
    """An image blended with its grey self; Pillow's ``ImageEnhance.Color``.

    Args:
      image: grey, which stays as it is, or RGB, with or without alpha, which stays.
      factor: at least 0: 0 is grey, 1 the image itself, beyond 1 colours are more vivid.

    Raises:
      ValueError, TypeError: no such image, a factor below 0.

    >>> import jax.numpy as jnp
    >>> adjust_saturation(jnp.array([[[100, 0, 0]]], jnp.uint8), 0.5).tolist()
    [[[65.0, 15.0, 15.0]]]
    """
    by = hyper.number("factor", factor, "[0, inf)")

    def change(colours: colour.Planes, white: float) -> colour.Planes:
        return colours if len(colours) == 1 else colour.blend(colours, colour.grey(colours, white), by)

    return colour.recoloured(image, change)


@registered
@dataclasses.dataclass(frozen=True)
class Saturation(Pixelwise):
    """:func:`adjust_saturation` by a random factor; see :func:`saturation`."""

    name: ClassVar[str] = "saturation"

    def __call__(
        self, key: Key[Array, ""], image: Real[Array, "height width channels"]
    ) -> Float[Array, "height width channels"]:
        """The image at the key's factor."""
        return adjust_saturation(image, colour.factor(key, self.strength))


def saturation(strength: hyper.Scalar = 0.2) -> Saturation:
    """Saturation by a factor that is uniform in [1 - strength, 1 + strength], and at least 0.

    Args:
      strength: at least 0, which does nothing.

    Raises:
      ValueError: a strength below 0.
    """
    return Saturation(hyper.number("strength", strength, Saturation.accepted))
