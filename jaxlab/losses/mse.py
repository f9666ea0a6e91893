"""Mean squared error."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Real, Shaped

from jaxlab.losses import reduction as common


def mse(
    predictions: Real[ArrayLike, "..."],
    targets: Real[ArrayLike, "..."],
    *,
    weights: Shaped[ArrayLike, "..."] | None = None,
    reduction: str = "mean",
) -> Float[Array, "..."]:
    r"""Squared error, :math:`(\hat y - y)^2`, by default its mean over all elements.

    Args:
      predictions: any shape and real dtype; computed in float32 (float64 under ``jax_enable_x64``).
      targets: of the same shape.
      weights: one for each element or, shaped like the leading axes, for each example; booleans select.
        Where a weight is 0 nothing counts, not even NaN.
      reduction: ``"mean"``, :math:`\sum w l / \sum w` (0 where all weights are 0), ``"sum"`` or ``"none"``.

    Raises:
      ValueError: shapes that differ, weights that do not fit, an unknown reduction.
      TypeError: complex numbers.

    >>> mse(jnp.array([1.0, 2.0]), jnp.array([0.0, 4.0])).item()
    2.5
    """
    common.check_same_shape("predictions", predictions, "targets", targets)
    weights = common.spread(weights, jnp.shape(targets))
    error = common.visible(common.real("predictions", predictions) - common.real("targets", targets), weights)
    return common.reduce(jnp.square(error), weights, reduction)
