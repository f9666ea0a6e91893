"""Blur: a Gaussian over the pixels, rows first and columns next."""

import dataclasses
import functools
import operator
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Real

from jaxlab.augment import pixels
from jaxlab.augment.operation import Pixelwise, registered
from jaxlab.core import hyper

RADIUS = 4
"""Of the window, at least: it holds four standard deviations of a Gaussian of 1 pixel, as scipy's does by default."""

WIDEST = 128
"""Radius of a window: each pixel of it is an instruction of its own."""


def gaussian_blur(
    image: Real[Array, "height width channels"], sigma: hyper.Scalar, radius: int = RADIUS
) -> Float[Array, "height width channels"]:
    """An image blurred by a Gaussian: ``scipy.ndimage.gaussian_filter(image, sigma, mode="reflect", radius=radius)``.

    Beyond its edges the image goes on as its mirror image, the outermost pixel repeated. All channels are blurred.

    Args:
      image: of any number of channels.
      sigma: standard deviation in pixels, at least 0, which is the image itself, to the bit.
      radius: of the window, in pixels; static. What a Gaussian has beyond it is cut off: from about half of it on,
        more ``sigma`` makes it more of a box.

    Raises:
      ValueError, TypeError: no image, a ``sigma`` below 0, a ``radius`` that is none of 0 to 128.

    >>> dot = jnp.zeros((1, 5, 1)).at[0, 2].set(100)
    >>> jax.jit(gaussian_blur)(dot, 0.5).round().ravel().tolist()
    [0.0, 11.0, 79.0, 11.0, 0.0]
    """
    deviation = hyper.number("sigma", sigma, "[0, inf)")
    radius = hyper.integer("radius", radius, at_least=0, at_most=WIDEST)
    values = pixels.numbers(image)
    steps = jnp.arange(-radius, radius + 1) / jnp.maximum(deviation, 1e-6)
    weights = jnp.exp(-(steps**2) / 2)
    weights = (weights / jnp.sum(weights)).astype(values.dtype)
    for axis in (0, 1):
        beyond = [(radius, radius) if axis == other else (0, 0) for other in range(3)]
        wide, size = jnp.pad(values, beyond, mode="symmetric"), values.shape[axis]
        shifted = (jax.lax.slice_in_dim(wide, i, i + size, axis=axis) for i in range(2 * radius + 1))
        values = functools.reduce(operator.add, (weight * part for weight, part in zip(weights, shifted, strict=True)))
    return pixels.like(image, values)


@registered
@dataclasses.dataclass(frozen=True)
class Blur(Pixelwise):
    """:func:`gaussian_blur` by a random deviation; see :func:`blur`."""

    name: ClassVar[str] = "blur"
    radius: int = dataclasses.field(default=RADIUS, metadata={"static": True})

    def __call__(
        self, key: Key[Array, ""], image: Real[Array, "height width channels"]
    ) -> Float[Array, "height width channels"]:
        """The image at the key's deviation."""
        sigma = self.strength * jax.random.uniform(key, dtype=hyper.arithmetic_dtype())
        return gaussian_blur(image, sigma, self.radius)


def blur(strength: hyper.Scalar = 1.0, radius: int | None = None) -> Blur:
    """Blur by a Gaussian whose standard deviation is uniform between 0 and ``strength``.

    Args:
      strength: the largest deviation, in pixels, at least 0, which does nothing.
      radius: of the window, in pixels; static. By default four times the strength where that is a number, and at
        least 4. Say it where the strength is searched: it is what the largest needs.

    Raises:
      ValueError: a strength below 0, or above 32 without a radius; a radius that is none of 0 to 128.
    """
    largest = hyper.number("strength", strength, Blur.accepted)
    if radius is None:
        hyper.number("strength", strength, f"[0, {WIDEST // 4}]")
        radius = RADIUS if hyper.is_traced(strength) else max(RADIUS, int(4 * float(largest) + 0.5))
    return Blur(largest, hyper.integer("radius", radius, at_least=0, at_most=WIDEST))
