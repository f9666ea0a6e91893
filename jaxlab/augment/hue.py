"""Hue: all colours turned around the wheel by one angle."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Real

from jaxlab.augment import colour
from jaxlab.augment.operation import Pixelwise, registered
from jaxlab.core import hyper


def adjust_hue(
    image: Real[Array, "height width channels"], turns: hyper.Scalar
) -> Float[Array, "height width channels"]:
    """An image whose hues are turned, value and saturation kept: ``colorsys``' HSV, to the rounding of a float.

    Args:
      image: grey, which stays as it is, or RGB, with or without alpha, which stays.
      turns: by how much of a whole turn: 1/3 makes red green. A whole turn is the image itself, to the bit.

    Raises:
      ValueError, TypeError: no such image, turns that are not finite.

    >>> adjust_hue(jnp.array([[[200, 100, 100]]], jnp.uint8), 1 / 3).round().tolist()
    [[[100.0, 200.0, 100.0]]]
    """
    by = hyper.number("turns", turns, "(-inf, inf)")

    def change(colours: colour.Planes, white: float) -> colour.Planes:
        if len(colours) == 1:
            return colours
        turned = _turned(colours, by)
        return [jnp.where(by % 1 == 0, old, new) for old, new in zip(colours, turned, strict=True)]

    return colour.recoloured(image, change)


def _turned(colours: colour.Planes, turns: Float[Array, ""]) -> colour.Planes:
    """Each plane is the value less the chroma times a trapezoid of the hue, a third of a turn apart."""
    red, green, blue = colours
    value = jnp.maximum(jnp.maximum(red, green), blue)
    chroma = value - jnp.minimum(jnp.minimum(red, green), blue)
    unit = jnp.where(chroma > 0, chroma, 1)
    sixths = jnp.where(
        red == value,
        (green - blue) / unit,
        jnp.where(green == value, 2 + (blue - red) / unit, 4 + (red - green) / unit),
    )

    def plane(corner: int) -> colour.Plane:
        place = (corner + sixths) / 6 + turns
        place = 6 * (place - jnp.floor(place))
        return value - chroma * jnp.clip(jnp.minimum(place, 4 - place), 0, 1)

    return [plane(5), plane(3), plane(1)]


@registered
@dataclasses.dataclass(frozen=True)
class Hue(Pixelwise):
    """:func:`adjust_hue` by a random angle; see :func:`hue`."""

    name: ClassVar[str] = "hue"
    accepted: ClassVar[str] = "[0, 0.5]"

    def __call__(
        self, key: Key[Array, ""], image: Real[Array, "height width channels"]
    ) -> Float[Array, "height width channels"]:
        """The image at the key's angle."""
        side = jax.random.uniform(key, dtype=hyper.arithmetic_dtype(), minval=-1, maxval=1)
        return adjust_hue(image, side * self.strength)


def hue(strength: hyper.Scalar = 0.05) -> Hue:
    """Hues turned by an angle that is uniform in [-strength, strength] of a whole turn.

    Args:
      strength: in [0, 0.5]; 0 does nothing.

    Raises:
      ValueError: a strength outside its range.
    """
    return Hue(hyper.number("strength", strength, Hue.accepted))
