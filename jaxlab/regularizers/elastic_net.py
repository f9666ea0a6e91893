"""Elastic net: L1 and L2 in one penalty (Zou and Hastie, 2005)."""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from jaxlab.core import hyper, tree
from jaxlab.regularizers.additive import Strength, add_term, penalty


def elastic_net(
    strength: Strength, l1_ratio: hyper.Scalar = 0.5, mask: tree.Mask = None
) -> optax.GradientTransformationExtraArgs:
    r"""Adds the gradient of the elastic net's penalty.

    .. math::
        \lambda \left( r \lVert\theta\rVert_1 + \frac{1 - r}{2} \lVert\theta\rVert_2^2 \right)
        \quad\Rightarrow\quad
        g + \lambda \left( r \operatorname{sign}(\theta) + (1 - r)\, \theta \right)

    scikit-learn's parametrisation: ``strength`` is its ``alpha`` beside a loss of half the mean squared
    error. r = 1 is :func:`~jaxlab.regularizers.l1`, r = 0 is :func:`~jaxlab.regularizers.l2`. Like these it
    goes before the optimizer, and gives no true zeros: :func:`~jaxlab.regularizers.proximal_elastic_net` does.

    Args:
      strength: :math:`\lambda`, at least 0, or ordered ``(regular expression, number)`` rules.
      l1_ratio: :math:`r`, L1's share, in [0, 1].
      mask: which leaves: None (all), ``"matrices"``, rules, a tree of bools, or a function of the parameters.

    Raises:
      ValueError, TypeError: see :func:`~jaxlab.regularizers.additive.add_term`; a ratio outside [0, 1].

    State: none.

    Reference: https://doi.org/10.1111/j.1467-9868.2005.00503.x (Zou and Hastie, 2005).

    >>> tx, params = elastic_net(0.5, l1_ratio=0.5), jnp.array([-3.0, 0.0, 2.0])
    >>> tx.update(jnp.ones(3), tx.init(params), params)[0].tolist()
    [0.0, 1.0, 1.75]
    """
    ratio = hyper.number("l1_ratio", l1_ratio, "[0, 1]")
    return add_term(lambda p: ratio * jnp.sign(p) + (1 - ratio) * p, strength, mask)


def elastic_net_penalty(
    params: PyTree, strength: Strength, l1_ratio: hyper.Scalar = 0.5, mask: tree.Mask = None
) -> Float[Array, ""]:
    r"""What :func:`elastic_net` adds to the loss, for reports. Its gradient at 0 is 0.

    >>> elastic_net_penalty({"w": jnp.array([-3.0, 2.0])}, 0.5).item()
    2.875
    """
    ratio = hyper.number("l1_ratio", l1_ratio, "[0, 1]")

    # As in l1_penalty, the derivative of p * sign(p) at 0 is 0, that of abs is 1.
    def term(p: Float[Array, "..."]) -> Float[Array, ""]:
        return jnp.sum(ratio * p * jnp.sign(p) + (1 - ratio) / 2 * jnp.square(p))

    return penalty(term, strength, mask, params)
