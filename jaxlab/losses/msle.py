"""Mean squared logarithmic error: regression on quantities that span orders of magnitude."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Real, Shaped

from jaxlab.losses import reduction as common


def msle(
    predictions: Real[ArrayLike, "..."],
    targets: Real[ArrayLike, "..."],
    *,
    weights: Shaped[ArrayLike, "..."] | None = None,
    reduction: str = "mean",
) -> Float[Array, "..."]:
    r"""Squared difference of logarithms, :math:`(\log(1 + \hat y) - \log(1 + y))^2`.

    It punishes ratios, not differences: 20 for 10 costs about what 2,000 for 1,000 costs. Some texts call it
    the log loss for regression; :func:`jaxlab.losses.log_loss` is the one of classification.

    Args:
      predictions: above -1, any shape and real dtype; computed in float32 (float64 under ``jax_enable_x64``).
        What lies below -1 has no logarithm: loss and gradient are NaN, at -1 itself infinite. A model that can
        get there should predict :math:`\log(1 + y)` and train on :func:`jaxlab.losses.mse`.
      targets: above -1, of the same shape; else likewise.
      weights: one for each element or, shaped like the leading axes, for each example; booleans select.
        Where a weight is 0 nothing counts, not even NaN.
      reduction: ``"mean"``, :math:`\sum w l / \sum w` (0 where all weights are 0), ``"sum"`` or ``"none"``.

    Raises:
      ValueError: shapes that differ, weights that do not fit, an unknown reduction.
      TypeError: complex numbers.

    >>> round(msle(jnp.array([1.0, 999.0]), jnp.array([0.0, 499.0])).item(), 5)  # log(2)^2
    0.48045
    """
    common.check_same_shape("predictions", predictions, "targets", targets)
    weights = common.spread(weights, jnp.shape(targets))
    predicted = common.visible(common.real("predictions", predictions), weights)
    wanted = common.visible(common.real("targets", targets), weights)
    return common.reduce(jnp.square(jnp.log1p(predicted) - jnp.log1p(wanted)), weights, reduction)
