"""Proximal elastic net: soft thresholding, then shrinkage."""

import optax
from jaxtyping import Array, Float

from jaxlab.core import hyper, tree
from jaxlab.regularizers.additive import Strength
from jaxlab.regularizers.proximal import proximal
from jaxlab.regularizers.proximal_l1 import soft_threshold


def proximal_elastic_net(
    inner: optax.GradientTransformation,
    strength: Strength,
    l1_ratio: hyper.Scalar = 0.5,
    mask: tree.Mask = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Wraps an optimizer: :func:`~jaxlab.regularizers.elastic_net` with true zeros.

    .. math::
        \theta_t = \frac{\operatorname{sign}(x_t) \max(|x_t| - s r, 0)}{1 + s (1 - r)}, \qquad
        x_t = \theta_{t-1} + u_t, \quad s = \alpha_t \lambda

    with the inner update :math:`u_t` and its learning rate :math:`\alpha_t`. Both parts of the penalty are in
    the proximal step, so a large L2 part cannot make it diverge. The parameters are scikit-learn's ``alpha``
    and ``l1_ratio``. The metric of the proximal step is the identity, not a preconditioner's, and it has no
    momentum: what the strength means under such optimizers is told at
    :func:`~jaxlab.regularizers.proximal.proximal`, and what holds in low precision.

    Args:
      inner: a whole optimizer, which keeps its learning rate in its state.
      strength: :math:`\lambda`, at least 0, or ordered ``(regular expression, number)`` rules.
      l1_ratio: :math:`r`, L1's share, in [0, 1].
      mask: which leaves: None (all), ``"matrices"``, rules, a tree of bools, or a function of the parameters.

    Raises:
      ValueError, TypeError: see :func:`~jaxlab.regularizers.proximal.proximal`; a ratio outside [0, 1].

    State: that of ``inner``.

    Reference: https://doi.org/10.1561/2400000003 (Parikh and Boyd, 2014), section 6.5.

    >>> import jax.numpy as jnp
    >>> from jaxlab.optimizers import sgd
    >>> tx, params = proximal_elastic_net(sgd(0.5), 4.0), jnp.array([5.0, -0.5])
    >>> updates, _ = tx.update(jnp.zeros(2), tx.init(params), params)
    >>> (params + updates).tolist()
    [2.0, 0.0]
    """
    ratio = hyper.number("l1_ratio", l1_ratio, "[0, 1]")

    def prox(x: Float[Array, "..."], amount: Float[Array, ""]) -> Float[Array, "..."]:
        return soft_threshold(x, amount * ratio) / (1 + amount * (1 - ratio))

    return proximal(inner, prox, strength, mask)
