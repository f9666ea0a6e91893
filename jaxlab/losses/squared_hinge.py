"""The squared hinge loss: a support vector machine's with a smooth start."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Real, Shaped

from jaxlab.losses import reduction as common


def squared_hinge(
    scores: Real[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    weights: Shaped[ArrayLike, "..."] | None = None,
    reduction: str = "mean",
) -> Float[Array, "..."]:
    r"""What the margin lacks of 1, squared: :math:`\max(0, 1 - y s)^2` with :math:`y \in \{-1, 1\}`.

    The loss of scikit-learn's ``LinearSVC``. Unlike :func:`jaxlab.losses.hinge` it has a slope everywhere, and it
    punishes large violations much harder.

    Args:
      scores: signed distances, any shape and real dtype; computed in float32 (float64 under
        ``jax_enable_x64``).
      labels: of the same shape; above 0 is the positive class, everything else the negative, so -1 and 1,
        0 and 1, and booleans all do.
      weights: one for each element or, shaped like the leading axes, for each example; booleans select.
        Where a weight is 0 nothing counts, not even NaN.
      reduction: ``"mean"``, :math:`\sum w l / \sum w` (0 where all weights are 0), ``"sum"`` or ``"none"``.

    Raises:
      ValueError: shapes that differ, weights that do not fit, an unknown reduction.
      TypeError: complex numbers.

    >>> squared_hinge(jnp.array([0.5, -0.5, 3.0]), jnp.array([1, 1, 1]), reduction="none").tolist()
    [0.25, 2.25, 0.0]
    """
    common.check_same_shape("scores", scores, "labels", labels)
    weights = common.spread(weights, jnp.shape(scores))
    s = common.visible(common.real("scores", scores), weights)
    y = jnp.where(common.real("labels", labels) > 0, 1, -1)
    return common.reduce(jnp.square(jax.nn.relu(1 - y * s)), weights, reduction)
