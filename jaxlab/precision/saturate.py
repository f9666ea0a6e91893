"""Casts that end at the largest number instead of infinity: precision clipping."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float


def saturating_cast(x: Float[ArrayLike, "..."], dtype: Any) -> Float[Array, "..."]:
    r"""Numbers in another floating dtype; those beyond its range become its largest finite ones.

    .. math::
        y = \operatorname{round}(\max(-M, \min(M, x))), \qquad
        \frac{\partial y}{\partial x} = 1 \text{ for } |x| \le M, \text{ else } 0

    with :math:`M` the largest finite number of the dtype. Infinities and NaN stay what they are: they are no large
    numbers but signs that something went wrong, and the step that meets them is to be skipped.

    Args:
      x: real numbers.
      dtype: a floating dtype.

    Raises:
      TypeError: another dtype.

    >>> saturating_cast(jnp.array([1e6, -1e6, 2.0, jnp.inf]), jnp.float16).tolist()
    [65504.0, -65504.0, 2.0, inf]
    """
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"dtype = {dtype!r}: accepted is a floating dtype")
    x = jnp.asarray(x)
    wide = jnp.promote_types(x.dtype, dtype)  # bfloat16 knows no 65504.
    largest = jnp.asarray(jnp.finfo(dtype).max, dtype)
    # By a choice, not by a clip, which at the very end of the range passes half of a gradient.
    beyond = jnp.isfinite(x) & (jnp.abs(x).astype(wide) > largest.astype(wide))
    return jnp.where(beyond, jnp.where(x > 0, largest, -largest), x.astype(dtype))
