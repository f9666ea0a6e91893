"""Running averages as the papers write them, with a bias correction that survives float32."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def average(previous: Float[Array, "..."], new: Float[Array, "..."], b: Float[Array, ""]) -> Float[Array, "..."]:
    r"""One step of an exponential moving average, :math:`b\,m + (1 - b)\,x`."""
    return b * previous + (1 - b) * new


def debias(mean: Float[Array, "..."], b: Float[Array, ""], t: Float[Array, ""]) -> Float[Array, "..."]:
    r"""An average that began at zero, divided by the weight it holds, :math:`m / (1 - b^t)`.

    The weight is computed as :math:`-\mathrm{expm1}(t\,\mathrm{log1p}(b - 1))`: at b = 0.999 and t = 2 the
    plain form loses four of float32's seven digits.
    """
    return mean / -jnp.expm1(t * jnp.log1p(b - 1))
