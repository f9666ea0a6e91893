"""The logarithm of the hyperbolic cosine of the error: a smooth compromise of squared and absolute."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Real, Shaped

from jaxlab.losses import reduction as common


def log_cosh(
    predictions: Real[ArrayLike, "..."],
    targets: Real[ArrayLike, "..."],
    *,
    weights: Shaped[ArrayLike, "..."] | None = None,
    reduction: str = "mean",
) -> Float[Array, "..."]:
    r"""Close to half the squared error near 0, to :math:`|e| - \log 2` far out, smooth in between.

    .. math::
        l = \log \cosh e, \quad \frac{\partial l}{\partial e} = \tanh e, \quad e = \hat y - y

    Neither end loses digits: :math:`\cosh e` itself overflows float32 at 90, and rounds to 1 below 0.0002.

    Args:
      predictions: any shape and real dtype; computed in float32 (float64 under ``jax_enable_x64``). The unit
        matters: errors of about 1 are where it bends.
      targets: of the same shape.
      weights: one for each element or, shaped like the leading axes, for each example; booleans select.
        Where a weight is 0 nothing counts, not even NaN.
      reduction: ``"mean"``, :math:`\sum w l / \sum w` (0 where all weights are 0), ``"sum"`` or ``"none"``.

    Raises:
      ValueError: shapes that differ, weights that do not fit, an unknown reduction.
      TypeError: complex numbers.

    >>> log_cosh(jnp.array([1e-4, 1e4]), jnp.zeros(2), reduction="none").round(12).tolist()
    [4.999999969612645e-09, 9999.306640625]
    """
    common.check_same_shape("predictions", predictions, "targets", targets)
    weights = common.spread(weights, jnp.shape(targets))
    error = common.visible(common.real("predictions", predictions) - common.real("targets", targets), weights)
    size = jnp.abs(error)
    # Far out, log cosh e = |e| + log(1 + exp(-2 |e|)) - log 2; near 0 that cancels, cosh e - 1 = 2 sinh(e/2)^2 does
    # not. Each branch sees only its own errors: the near one would overflow far out and make the gradient NaN.
    is_near = size < 1
    near = jnp.log1p(2 * jnp.square(jnp.sinh(0.5 * jnp.where(is_near, error, 0))))
    far = size + jax.nn.softplus(-2 * size) - jnp.log(2)
    return common.reduce(jnp.where(is_near, near, far), weights, reduction)
