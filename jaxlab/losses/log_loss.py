"""Binary cross entropy on logits, the loss of logistic regression."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Real, Shaped

from jaxlab.losses import reduction as common


def log_loss(
    logits: Real[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    weights: Shaped[ArrayLike, "..."] | None = None,
    reduction: str = "mean",
) -> Float[Array, "..."]:
    r"""Minus the log-likelihood of a yes or no with probability :math:`\sigma(z)`.

    .. math::
        -y \log \sigma(z) - (1 - y) \log(1 - \sigma(z)) = y\, s(-z) + (1 - y)\, s(z),
        \quad s(z) = \log(1 + e^z)

    Both terms keep their digits where the usual :math:`s(z) - y z` cancels.

    Args:
      logits: log-odds, any shape and real dtype; computed in float32 (float64 under ``jax_enable_x64``).
      labels: 0 and 1, booleans, or probabilities, of the same shape. Others, -1 as well, are taken as they are, and
        the loss has no lowest value.
      weights: one for each element or, shaped like the leading axes, for each example; booleans select.
        Where a weight is 0 nothing counts, not even NaN.
      reduction: ``"mean"``, :math:`\sum w l / \sum w` (0 where all weights are 0), ``"sum"`` or ``"none"``.

    Raises:
      ValueError: shapes that differ, weights that do not fit, an unknown reduction.
      TypeError: complex numbers.

    >>> round(log_loss(jnp.array([0.0, 100.0]), jnp.array([1, 1])).item(), 5)
    0.34657
    """
    common.check_same_shape("logits", logits, "labels", labels)
    weights = common.spread(weights, jnp.shape(logits))
    z = common.visible(common.real("logits", logits), weights)
    y = common.visible(common.real("labels", labels), weights)
    return common.reduce(y * jax.nn.softplus(-z) + (1 - y) * jax.nn.softplus(z), weights, reduction)
