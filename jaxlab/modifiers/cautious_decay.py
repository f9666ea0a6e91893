"""Cautious weight decay (Chen et al., 2025)."""

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import tree
from jaxlab.core.leafwise import Leaf, leafwise
from jaxlab.modifiers.info import ModifierInfo
from jaxlab.modifiers.wrapping import after, decay_beside
from jaxlab.regularizers.additive import Strength


def cautious_decay(
    inner: optax.GradientTransformation, weight_decay: Strength = 1e-2, decay_mask: tree.Mask = None
) -> optax.GradientTransformationExtraArgs:
    r"""Decays a parameter only where the optimizer moves it towards zero already.

    .. math::
        \theta_t = \theta_{t-1} - \alpha_t \left( d_t + \lambda\, [d_t \theta_{t-1} \ge 0]\, \theta_{t-1} \right)

    for the inner optimizer's step :math:`-\alpha_t d_t`. Plain decoupled decay moves the minimum that is found;
    this one does not. It replaces the optimizer's own decay: wrap adam rather than adamw. Around
    :func:`~jaxlab.modifiers.cautious` it decides by the masked step.

    Args:
      inner: an optimizer that keeps its learning rate in its state, as all of jaxlab's do. With groups
        inside, a leaf's is that of its group.
      weight_decay: :math:`\lambda`, at least 0, multiplied by the learning rate; a number, or ordered
        ``(regular expression, number)`` rules.
      decay_mask: which leaves decay: None (all), ``"matrices"``, rules, a tree of bools, a function of the
        parameters.

    Raises:
      ValueError: a negative decay, a bad mask; from ``init``, an ``inner`` that keeps no learning rate; from
        ``update``, missing parameters.

    State: the inner one's, and one int32.

    Reference: https://arxiv.org/abs/2510.12402, equation 1.

    >>> from jaxlab.optimizers import sgd
    >>> tx, params = cautious_decay(sgd(0.5), 0.25), jnp.array([4.0, -4.0])
    >>> tx.update(jnp.ones(2), tx.init(params), params)[0].tolist()
    [-1.0, -0.5]
    """

    def update(leaf: Leaf, slots: tuple[()], shared: None, t: Array) -> tuple[Array, tuple[()]]:
        if leaf.p is None or leaf.beside is None:
            return leaf.g, slots
        towards_zero = jnp.sign(leaf.g) * jnp.sign(leaf.p) <= 0
        return leaf.g - jnp.where(towards_zero, leaf.beside * leaf.p, 0), slots

    change = leafwise(update, beside=decay_beside(weight_decay, decay_mask), needs_params=True)
    return after(inner, change, needs_rate="decay is multiplied by it")


CAUTIOUS_DECAY = ModifierInfo("cautious_decay", cautious_decay, "Chen et al. 2025, arXiv:2510.12402", needs_params=True)
