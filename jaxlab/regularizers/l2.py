"""L2 regularization: half the sum of squares (ridge, Tikhonov)."""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from jaxlab.core import tree
from jaxlab.regularizers.additive import Strength, add_term, penalty


def l2(strength: Strength, mask: tree.Mask = None) -> optax.GradientTransformationExtraArgs:
    r"""Adds the gradient of :math:`\tfrac\lambda2 \lVert\theta\rVert_2^2`: :math:`g + \lambda \theta`.

    Coupled: it goes before the optimizer, as if the penalty stood in the loss. With the half, ``strength``
    is what PyTorch's SGD and Adam call ``weight_decay``. An adaptive optimizer then rescales the penalty
    with the gradient; :func:`~jaxlab.regularizers.decoupled_decay` does not let it.

    Args:
      strength: :math:`\lambda`, at least 0, or ordered ``(regular expression, number)`` rules.
      mask: which leaves: None (all), ``"matrices"``, rules, a tree of bools, or a function of the parameters.

    Raises:
      ValueError, TypeError: see :func:`~jaxlab.regularizers.additive.add_term`.

    State: none.

    Reference: https://doi.org/10.1080/00401706.1970.10488634 (Hoerl and Kennard, 1970).

    >>> params = {"kernel": jnp.array([[-3.0, 2.0]]), "bias": jnp.array([4.0])}
    >>> tx, gradients = l2(0.5, mask="matrices"), {"kernel": jnp.ones((1, 2)), "bias": jnp.ones(1)}
    >>> updates, _ = tx.update(gradients, tx.init(params), params)
    >>> updates["kernel"].tolist(), updates["bias"].tolist()
    ([[-0.5, 2.0]], [1.0])
    """
    return add_term(lambda p: p, strength, mask)


def l2_penalty(params: PyTree, strength: Strength, mask: tree.Mask = None) -> Float[Array, ""]:
    r"""What :func:`l2` adds to the loss, :math:`\tfrac\lambda2 \lVert\theta\rVert_2^2`, for reports.

    >>> l2_penalty({"w": jnp.array([-3.0, 2.0])}, 0.5).item()
    3.25
    """
    return penalty(lambda p: jnp.sum(jnp.square(p)) / 2, strength, mask, params)
