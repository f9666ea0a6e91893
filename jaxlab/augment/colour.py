"""Colours and what is not one: the grey of a colour, and operations that leave alpha alone.

Colours are planes, one array for each of red, green and blue. XLA then computes each plane once: an axis of colours
that is cut and put together again in every operation makes it compute what went before three times in each.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Key, Real

from jaxlab.augment import pixels
from jaxlab.core import hyper

Plane = Float[Array, "height width"]
Planes = list[Plane]
"""One of greys, or red, green and blue."""


def recoloured(
    image: Real[ArrayLike, "height width channels"], change: Callable[[Planes, float], Planes]
) -> Float[Array, "height width channels"]:
    """An image whose colours are changed and clipped to black and white, and whose alpha stays.

    Args:
      image: of 1 (grey), 2 (grey and alpha), 3 (red, green, blue) or 4 channels (and alpha).
      change: ``(planes, white) -> planes``, one or three.

    Raises:
      ValueError: more channels.
    """
    values, white = pixels.numbers(image), pixels.white(image)
    channels = values.shape[-1]
    if channels > 4:
        raise ValueError(f"image has {channels} channels: accepted are 1 (grey) or 3 (RGB), and alpha after them")
    planes = [values[..., channel] for channel in range(channels)]
    colours = 1 if channels < 3 else 3
    changed = [jnp.clip(plane, 0, white) for plane in change(planes[:colours], white)]
    return pixels.like(image, jnp.stack([*changed, *planes[colours:]], axis=-1))


def grey(colours: Planes, white: float) -> Plane:
    """The brightness of colours, L = 0.299 R + 0.587 G + 0.114 B, rounded to one of 256 levels as in Pillow.

    Its weights are whole numbers over 65536, and float32 holds their sums exactly. Greys stay as they are.

    >>> red, none = jnp.full((1, 1), 255.0), jnp.zeros((1, 1))
    >>> grey([red, none, none], 255.0).item()
    76.0
    """
    if len(colours) == 1:
        return colours[0]
    red, green, blue = (jnp.round(plane * (255 / white)) for plane in colours)
    return jnp.floor((19595 * red + 38470 * green + 7471 * blue + 32768) / 65536) * (white / 255)


def blend(colours: Planes, base: Float[Array, "..."], factor: Float[Array, ""]) -> Planes:
    """``base`` where the factor is 0, the colours to the bit where it is 1, in between and beyond on a line."""
    return [factor * plane + (1 - factor) * base for plane in colours]


def factor(key: Key[Array, ""], strength: hyper.Scalar) -> Float[Array, ""]:
    """Uniform between 1 - strength, at least 0, and 1 + strength."""
    high = 1 + jnp.asarray(strength, hyper.arithmetic_dtype())
    low = jnp.maximum(2 - high, 0)
    return low + jax.random.uniform(key, dtype=high.dtype) * (high - low)
