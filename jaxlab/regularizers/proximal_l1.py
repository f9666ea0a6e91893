"""Proximal L1: soft thresholding, which gives true zeros (ISTA, the lasso)."""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxlab.core import tree
from jaxlab.regularizers.additive import Strength
from jaxlab.regularizers.proximal import proximal


def proximal_l1(
    inner: optax.GradientTransformation, strength: Strength, mask: tree.Mask = None
) -> optax.GradientTransformationExtraArgs:
    r"""Wraps an optimizer: after each of its steps every parameter moves towards zero, and stops there.

    .. math::
        \theta_t = \operatorname{sign}(x_t) \max(|x_t| - \alpha_t \lambda, 0), \qquad x_t = \theta_{t-1} + u_t

    with the inner update :math:`u_t` and its learning rate :math:`\alpha_t`. It minimises what
    :func:`~jaxlab.regularizers.l1` does, with zeros that are zeros. The metric of the proximal step is the
    identity, not a preconditioner's, and it has no momentum: what the strength means under such optimizers is
    told at :func:`~jaxlab.regularizers.proximal.proximal`, and what holds in low precision.

    Args:
      inner: a whole optimizer, which keeps its learning rate in its state.
      strength: :math:`\lambda`, at least 0, or ordered ``(regular expression, number)`` rules.
      mask: which leaves: None (all), ``"matrices"``, rules, a tree of bools, or a function of the parameters.

    Raises:
      ValueError, TypeError: see :func:`~jaxlab.regularizers.proximal.proximal`.

    State: that of ``inner``.

    Reference: https://doi.org/10.1002/cpa.20042 (Daubechies, Defrise and De Mol, 2004);
    https://doi.org/10.1137/080716542 (Beck and Teboulle, 2009), ISTA.

    >>> from jaxlab.optimizers import sgd
    >>> tx, params = proximal_l1(sgd(0.5), 1.0), jnp.array([2.0, -0.25, 0.0])
    >>> updates, _ = tx.update(jnp.zeros(3), tx.init(params), params)
    >>> (params + updates).tolist()
    [1.5, 0.0, 0.0]
    """
    return proximal(inner, soft_threshold, strength, mask)


def soft_threshold(x: Float[Array, "..."], threshold: Float[Array, ""]) -> Float[Array, "..."]:
    """Every element nearer to zero by the threshold, at zero if it was within.

    >>> soft_threshold(jnp.array([-3.0, 0.5]), 1.0).tolist()
    [-2.0, 0.0]
    """
    return jnp.sign(x) * jnp.maximum(jnp.abs(x) - threshold, 0)
