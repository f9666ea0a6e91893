"""The Huber loss: squared for small errors, absolute for large ones."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Real, Shaped

from jaxlab.core import hyper
from jaxlab.losses import reduction as common


def huber(
    predictions: Real[ArrayLike, "..."],
    targets: Real[ArrayLike, "..."],
    delta: hyper.Scalar = 1.0,
    *,
    weights: Shaped[ArrayLike, "..."] | None = None,
    reduction: str = "mean",
) -> Float[Array, "..."]:
    r"""Half the squared error up to :math:`\delta`, beyond it a straight line of slope :math:`\delta`.

    .. math::
        l = \begin{cases} \tfrac{1}{2} e^2 & |e| \le \delta \\
            \delta \left(|e| - \tfrac{1}{2} \delta\right) & |e| > \delta \end{cases},
        \quad e = \hat y - y

    This is PyTorch's ``HuberLoss`` and Huber's own. PyTorch's ``SmoothL1Loss`` with ``beta`` is this loss with
    ``delta=beta``, divided by ``beta``: its slope far out is 1 whatever ``beta`` is.

    Args:
      predictions: any shape and real dtype; computed in float32 (float64 under ``jax_enable_x64``).
      targets: of the same shape.
      delta: :math:`\delta` above 0, in the targets' unit: errors beyond it count as outliers.
      weights: one for each element or, shaped like the leading axes, for each example; booleans select.
        Where a weight is 0 nothing counts, not even NaN.
      reduction: ``"mean"``, :math:`\sum w l / \sum w` (0 where all weights are 0), ``"sum"`` or ``"none"``.

    Raises:
      ValueError: ``delta`` not above 0, shapes that differ, weights that do not fit, an unknown reduction.
      TypeError: complex numbers.

    Reference: Huber, Robust estimation of a location parameter, 1964, https://doi.org/10.1214/aoms/1177703732.

    >>> huber(jnp.array([0.5, 3.0]), jnp.zeros(2), reduction="none").tolist()
    [0.125, 2.5]
    """
    delta = hyper.number("delta", delta, "(0, inf)")
    common.check_same_shape("predictions", predictions, "targets", targets)
    weights = common.spread(weights, jnp.shape(targets))
    error = common.visible(common.real("predictions", predictions) - common.real("targets", targets), weights)
    size = jnp.abs(error)
    inner = jnp.minimum(size, delta)
    return common.reduce(inner * (size - 0.5 * inner), weights, reduction)
