"""L1 regularization: the sum of absolute values (the lasso's penalty)."""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from jaxlab.core import tree
from jaxlab.regularizers.additive import Strength, add_term, penalty


def l1(strength: Strength, mask: tree.Mask = None) -> optax.GradientTransformationExtraArgs:
    r"""Adds the gradient of :math:`\lambda \lVert\theta\rVert_1`: :math:`g + \lambda \operatorname{sign}(\theta)`.

    Coupled: it goes before the optimizer, as if the penalty stood in the loss. The sign of 0 is 0. Under
    a step of finite length parameters hover around zero; true zeros need a proximal step.

    Args:
      strength: :math:`\lambda`, at least 0, or ordered ``(regular expression, number)`` rules.
      mask: which leaves: None (all), ``"matrices"``, rules, a tree of bools, or a function of the parameters.

    Raises:
      ValueError, TypeError: see :func:`~jaxlab.regularizers.additive.add_term`.

    State: none.

    Reference: https://doi.org/10.1111/j.2517-6161.1996.tb02080.x (Tibshirani, 1996).

    >>> tx, params = l1(0.5), jnp.array([-3.0, 0.0, 2.0])
    >>> tx.update(jnp.ones(3), tx.init(params), params)[0].tolist()
    [0.5, 1.0, 1.5]
    """
    return add_term(jnp.sign, strength, mask)


def l1_penalty(params: PyTree, strength: Strength, mask: tree.Mask = None) -> Float[Array, ""]:
    r"""What :func:`l1` adds to the loss, :math:`\lambda \lVert\theta\rVert_1`, for reports. Its gradient at 0 is 0.

    >>> l1_penalty({"w": jnp.array([-3.0, 2.0])}, 0.5).item()
    2.5
    """
    # Not jnp.abs, whose derivative at 0 is 1: zeros would drift if a loss used this penalty.
    return penalty(lambda p: jnp.sum(p * jnp.sign(p)), strength, mask, params)
