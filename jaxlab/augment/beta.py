"""The symmetric beta distribution in closed form."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxlab.core import hyper


def symmetric_beta(key: Key[Array, ""], alpha: hyper.Scalar) -> Float[Array, ""]:
    r"""One draw from Beta(:math:`\alpha`, :math:`\alpha`), :math:`\alpha` traced.

    Bailey's polar form of Student's t, as a beta: with :math:`u, v` uniform, :math:`q = u^{1/\alpha}` and
    :math:`c = \cos 2 \pi v`

    .. math::
        x = \frac{1}{2} \left( 1 + c \sqrt{\frac{1 - q}{q + (1 - q) c^2}} \right)

    It is exact for every :math:`\alpha > 0`, takes two uniform numbers and no loop. ``jax.random.beta`` rejects draws
    of two gammas in a loop, which takes six times as long to compile.

    Args:
      alpha: at least 0; the smaller, the nearer to 0 and 1. At 0 it is one of the two.

    Reference: Bailey 1994, Mathematics of Computation 62, 779-781.

    >>> draws = jax.vmap(lambda key: symmetric_beta(key, 2.0))(jax.random.split(jax.random.key(0), 10_000))
    >>> round(draws.mean().item(), 1), round(draws.var().item(), 2)  # 1/2 and 1/20
    (0.5, 0.05)
    """
    u, v = 1 - jax.random.uniform(key, (2,), hyper.arithmetic_dtype())  # Never 0.
    q, c = u ** (1 / jnp.asarray(alpha, u.dtype)), jnp.cos(2 * jnp.pi * v)
    x = (1 + c * jnp.sqrt((1 - q) / (q + (1 - q) * c**2))) / 2
    return jnp.clip(x, 0, 1)  # Rounding may step over.


def kept(key: Key[Array, ""], alpha: hyper.Scalar) -> Float[Array, ""]:
    """How much of an example a mixture keeps: a draw from Beta(alpha, alpha), and all of it where alpha is 0."""
    return jnp.where(jnp.asarray(alpha) > 0, symmetric_beta(key, alpha), 1)
