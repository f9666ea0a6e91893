"""Pixels as they come, as the arithmetic sees them, and as they are given back.

============  ========  ======================================
an image of   white is  comes back as
============  ========  ======================================
uint8         255       float32 from 0 to 255, **not** rounded
floating      1         its own dtype
============  ========  ======================================

Any other integer dtype is taken for bytes, too. The arithmetic is float32 (float64 under ``jax_enable_x64``).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Real

from jaxlab.core import hyper


def numbers(
    image: Real[ArrayLike, "..."], name: str = "image", axes: str = "height width channels"
) -> Float[Array, "..."]:
    """The pixels of an image, or of a batch, in the arithmetic's dtype, on the scale that they came in.

    Args:
      image: of bytes or floating numbers.
      name: what the user calls it.
      axes: what its axes are called.

    Raises:
      ValueError: another number of axes, or an axis of length 0.
      TypeError: pixels that are neither integers nor real floating numbers.

    >>> numbers(np.zeros((28, 28)))
    Traceback (most recent call last):
      ...
    ValueError: image has shape (28, 28): accepted is [height width channels], none of them 0
    """
    shape, dtype = jnp.shape(image), _dtype(image)
    if not (jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.floating)):
        raise TypeError(f"{name} has dtype {dtype}: accepted are bytes from 0 to 255 and floating numbers from 0 to 1")
    if len(shape) != len(axes.split()) or 0 in shape:
        raise ValueError(f"{name} has shape {shape}: accepted is [{axes}], none of them 0")
    return jnp.asarray(image, hyper.arithmetic_dtype())


def white(image: Real[ArrayLike, "..."]) -> float:
    """The brightest that a pixel of an image of this dtype is.

    >>> white(np.zeros(1, np.uint8)), white(np.zeros(1, np.float16))
    (255.0, 1.0)
    """
    return 255.0 if jnp.issubdtype(_dtype(image), jnp.integer) else 1.0


def like(image: Real[ArrayLike, "..."], values: Float[Array, "..."]) -> Float[Array, "..."]:
    """Values as they are given back for an image: in its dtype where that is floating, else as they are."""
    dtype = jax.dtypes.canonicalize_dtype(_dtype(image))
    return values if jnp.issubdtype(dtype, jnp.integer) else values.astype(dtype)


def _dtype(image: Any) -> np.dtype:
    return getattr(image, "dtype", None) or np.asarray(image).dtype
