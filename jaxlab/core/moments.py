"""Running averages as the papers write them, a bias correction that survives float32, gradients that can be squared."""

import jax.numpy as jnp
from jaxtyping import Array, Float

LARGEST = 1e15
"""A gradient beyond counts as this: float32 holds its square, 1e30, and sums of many."""


def average(previous: Float[Array, "..."], new: Float[Array, "..."], b: Float[Array, ""]) -> Float[Array, "..."]:
    r"""One step of an exponential moving average, :math:`b\,m + (1 - b)\,x`."""
    return b * previous + (1 - b) * new


def debias(mean: Float[Array, "..."], b: Float[Array, ""], t: Float[Array, ""]) -> Float[Array, "..."]:
    r"""An average that began at zero, divided by the weight it holds, :math:`m / (1 - b^t)`.

    The weight is computed as :math:`-\mathrm{expm1}(t\,\mathrm{log1p}(b - 1))`: at b = 0.999 and t = 2 the
    plain form loses four of float32's seven digits.
    """
    return mean / -jnp.expm1(t * jnp.log1p(b - 1))


def bounded(g: Float[Array, "..."]) -> Float[Array, "..."]:
    """A gradient whose square can be summed; what is not finite must show: it passes.

    >>> bounded(jnp.array([3.0, -1e30, jnp.inf])).tolist()
    [3.0, -999999986991104.0, inf]
    """
    return jnp.where(jnp.isfinite(g), jnp.clip(g, -LARGEST, LARGEST), g)


def bounded_square(g: Float[Array, "..."]) -> Float[Array, "..."]:
    """The square of :func:`bounded`, but that of an infinite gradient is finite: its sum is one reading of memory.

    >>> bounded_square(jnp.array([3.0, -1e30])).tolist() == [9.0, jnp.float32(1e30)]
    True
    """
    return jnp.minimum(g**2, LARGEST**2)
