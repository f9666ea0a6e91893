"""Proximal group lasso: whole groups of weights become zero together (Yuan and Lin, 2006)."""

import math

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from jaxlab.core import tree
from jaxlab.regularizers import groups
from jaxlab.regularizers.additive import Strength, penalty
from jaxlab.regularizers.proximal import proximal


def proximal_group_lasso(
    inner: optax.GradientTransformation, strength: Strength, axis: int | None = 0, mask: tree.Mask = None
) -> optax.GradientTransformationExtraArgs:
    r"""Wraps an optimizer: after each of its steps every group shrinks, or becomes zero as a whole.

    The penalty is :math:`\lambda \sum_g \sqrt{n_g} \lVert\theta_g\rVert_2` over groups of :math:`n_g` weights,
    as Yuan and Lin weigh them, so that large groups are not favoured:

    .. math::
        \theta_{g,t} = \max\left(1 - \frac{\alpha_t \lambda \sqrt{n_g}}{\lVert x_{g,t} \rVert_2}, 0\right)
        x_{g,t}, \qquad x_t = \theta_{t-1} + u_t

    with the inner update :math:`u_t` and its learning rate :math:`\alpha_t`. A group is what shares an index of
    one axis: by default the first, so that in a kernel ``[inputs, outputs]`` all weights of one input feature
    leave together. Leaves with fewer than two axes are groups of one weight each, whatever the axis (the
    lasso); ``mask="matrices"`` spares them. The metric of the proximal step is the identity, not a
    preconditioner's, and it has no momentum: what the strength means under such optimizers is told at
    :func:`~jaxlab.regularizers.proximal.proximal`, and what holds in low precision.

    Args:
      inner: a whole optimizer, which keeps its learning rate in its state.
      strength: :math:`\lambda`, at least 0, or ordered ``(regular expression, number)`` rules.
      axis: the axis that numbers the groups, static: 0 for input features of a dense kernel, -2 for input
        channels of a convolution, -1 for output units; None takes each leaf as one group.
      mask: which leaves: None (all), ``"matrices"``, rules, a tree of bools, or a function of the parameters.

    Raises:
      ValueError, TypeError: see :func:`~jaxlab.regularizers.proximal.proximal`; an axis that is no integer
        or, from ``init``, that a leaf does not have.

    State: that of ``inner``.

    Reference: https://doi.org/10.1111/j.1467-9868.2005.00532.x (Yuan and Lin, 2006).

    >>> from jaxlab.optimizers import sgd
    >>> tx, params = proximal_group_lasso(sgd(0.5), 1.0), jnp.array([[1.0] * 4, [0.25] * 4])
    >>> updates, _ = tx.update(jnp.zeros((2, 4)), tx.init(params), params)
    >>> (params + updates).tolist()
    [[0.5, 0.5, 0.5, 0.5], [0.0, 0.0, 0.0, 0.0]]
    """
    groups.check_axis(axis)

    def prox(x: Float[Array, "..."], amount: Float[Array, ""]) -> Float[Array, "..."]:
        norm, threshold = groups.norms(x, axis), amount * math.sqrt(groups.size(x, axis))
        stays = norm > threshold
        return x * jnp.where(stays, 1 - threshold / jnp.where(stays, norm, 1), 0)

    tx = proximal(inner, prox, strength, mask)

    def init(params: PyTree) -> optax.OptState:
        groups.check_axis_fits(axis, params, tree.resolve_mask(mask, params))
        return tx.init(params)

    return optax.GradientTransformationExtraArgs(init, tx.update)


def group_lasso_penalty(
    params: PyTree, strength: Strength, axis: int | None = 0, mask: tree.Mask = None
) -> Float[Array, ""]:
    r"""What :func:`proximal_group_lasso` minimises beside the loss, for reports. Its gradient at a zero group is 0.

    >>> group_lasso_penalty({"w": jnp.array([[3.0, 0.0, 4.0, 0.0], [0.0, 0.0, 0.0, 0.0]])}, 0.5).item()
    5.0
    """
    groups.check_axis(axis)
    groups.check_axis_fits(axis, params, tree.resolve_mask(mask, params))

    def term(p: Float[Array, "..."]) -> Float[Array, ""]:
        return math.sqrt(groups.size(p, axis)) * jnp.sum(groups.norms(p, axis))

    return penalty(term, strength, mask, params)
