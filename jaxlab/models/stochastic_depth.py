"""Stochastic depth (Huang et al., 2016): residual branches that are left out at random, as a function of a key."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxlab.core import hyper


def stochastic_depth(
    residual: Float[Array, "batch ..."], rate: hyper.Scalar, key: Key[Array, ""] | None
) -> Float[Array, "batch ..."]:
    r"""Sets a block's residual branch to zero with probability :math:`r`, else divides it by :math:`1 - r`.

    .. math::
        x_{l+1} = x_l + \frac{b}{1 - r} f_l(x_l), \qquad b \sim \operatorname{Bernoulli}(1 - r)

    The caller adds the result to the block's input. The paper draws one :math:`b` for a whole batch and corrects
    the expectation in evaluation; here, as in torchvision and timm, every example draws its own (less noise in
    the gradient) and the correction is made in training, so evaluation needs none. The paper lets the rate rise
    linearly with the depth, :math:`r_l = r_L\, l / L`: see :func:`linear_rates`.

    Args:
      residual: the branch's output, examples on the leading axis, of any floating dtype, which the result keeps.
      rate: :math:`r` in [0, 1).
      key: which examples; None is evaluation: ``residual`` as it is.

    Raises:
      ValueError: a rate outside its range, or a residual without an axis.

    Reference: https://arxiv.org/abs/1603.09382, equations 2 and 5.

    >>> stochastic_depth(jnp.ones((4, 2)), 0.5, jax.random.key(1)).tolist()
    [[2.0, 2.0], [0.0, 0.0], [2.0, 2.0], [2.0, 2.0]]
    """
    rate = hyper.number("stochastic_depth", rate, "[0, 1)")
    if jnp.ndim(residual) == 0:
        raise ValueError("residual has shape (): accepted is at least one axis, of examples")
    # A rate that is known to be zero must not cost random bits.
    if key is None or (not hyper.is_traced(rate) and rate == 0):
        return residual
    kept = jax.random.bernoulli(key, 1 - rate, (residual.shape[0],) + (1,) * (residual.ndim - 1))
    return jnp.where(kept, residual / (1 - rate).astype(residual.dtype), 0)


def linear_rates(rate: float, blocks: int) -> tuple[float, ...]:
    r"""The rates of blocks one after another, rising in equal steps to ``rate`` at the last.

    Early blocks, whose features all others use, are dropped least.

    >>> linear_rates(0.5, 4)
    (0.125, 0.25, 0.375, 0.5)
    """
    hyper.number("stochastic_depth", rate, "[0, 1)")
    return tuple(rate * (block + 1) / blocks for block in range(blocks))
