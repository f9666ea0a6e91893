"""Mean absolute error."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Real, Shaped

from jaxlab.losses import reduction as common


def mae(
    predictions: Real[ArrayLike, "..."],
    targets: Real[ArrayLike, "..."],
    *,
    weights: Shaped[ArrayLike, "..."] | None = None,
    reduction: str = "mean",
) -> Float[Array, "..."]:
    r"""Absolute error, :math:`|\hat y - y|`, whose best constant prediction is the median.

    An outlier pulls no harder than any other example; in return the slope does not shrink near the target.

    Args:
      predictions: any shape and real dtype; computed in float32 (float64 under ``jax_enable_x64``).
      targets: of the same shape.
      weights: one for each element or, shaped like the leading axes, for each example; booleans select.
        Where a weight is 0 nothing counts, not even NaN.
      reduction: ``"mean"``, :math:`\sum w l / \sum w` (0 where all weights are 0), ``"sum"`` or ``"none"``.

    Returns:
      The loss; its gradient where prediction and target agree is 0.

    Raises:
      ValueError: shapes that differ, weights that do not fit, an unknown reduction.
      TypeError: complex numbers.

    >>> mae(jnp.array([1.0, 2.0]), jnp.array([0.0, 4.0])).item()
    1.5
    """
    common.check_same_shape("predictions", predictions, "targets", targets)
    weights = common.spread(weights, jnp.shape(targets))
    error = common.visible(common.real("predictions", predictions) - common.real("targets", targets), weights)
    # jnp.abs has the slope 1 at 0, which would push on what is already right.
    return common.reduce(error * jnp.sign(error), weights, reduction)
