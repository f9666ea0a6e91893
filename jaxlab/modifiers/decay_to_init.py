"""L2-SP: decay towards the point that training began at (Li et al., 2018)."""

from typing import Generic, NamedTuple, TypeVar

import optax
from jaxtyping import Array

from jaxlab.core import storage, tree
from jaxlab.core.leafwise import Leaf, leafwise
from jaxlab.modifiers.info import ModifierInfo
from jaxlab.modifiers.wrapping import after, decay_beside
from jaxlab.regularizers.additive import Strength

T = TypeVar("T")


class Start(NamedTuple, Generic[T]):
    """The parameters as they were at ``init``."""

    start: T


def decay_to_init(
    inner: optax.GradientTransformation, weight_decay: Strength = 1e-2, decay_mask: tree.Mask = None
) -> optax.GradientTransformationExtraArgs:
    r"""Pulls the parameters back to their initial values, for fine-tuning that forgets less.

    .. math::
        \theta_t = \theta_{t-1} + u_t - \alpha_t \lambda (\theta_{t-1} - \theta_0)

    for the inner optimizer's step :math:`u_t`. The paper adds :math:`\tfrac{\lambda}{2} \lVert \theta - \theta_0
    \rVert^2` to the loss; here, as with AdamW, the pull is decoupled, so that no preconditioner rescales it. With
    gradient descent inside, the two are the same. New parts, such as a head, are spared by the mask.

    Args:
      inner: an optimizer that keeps its learning rate in its state, as all of jaxlab's do. With groups
        inside, a leaf's is that of its group.
      weight_decay: :math:`\lambda`, at least 0, multiplied by the learning rate; a number, or ordered
        ``(regular expression, number)`` rules.
      decay_mask: which leaves are pulled: None (all), ``"matrices"``, rules, a tree of bools, a function of the
        parameters.

    Raises:
      ValueError: a negative decay, a bad mask; from ``init``, an ``inner`` that keeps no learning rate; from
        ``update``, missing parameters.

    State: the inner one's, the initial parameters in float32 (a copy: the caller's may be donated), and one int32.

    Reference: https://arxiv.org/abs/1802.01483, section 3.

    >>> import jax.numpy as jnp
    >>> from jaxlab.optimizers import sgd
    >>> tx = decay_to_init(sgd(0.5), 0.5)
    >>> state = tx.init(jnp.array([1.0]))
    >>> tx.update(jnp.array([0.0]), state, jnp.array([3.0]))[0].tolist()
    [-0.5]
    """

    def slots(p: Array) -> Start[storage.Slot]:
        return Start(storage.Slot(p, low_bit=False))

    def update(leaf: Leaf, slots: Start[Array], shared: None, t: Array) -> tuple[Array, Start[Array]]:
        if leaf.p is None or leaf.beside is None:
            return leaf.g, slots
        return leaf.g - leaf.beside * (leaf.p - slots.start), slots

    change = leafwise(update, slots=slots, beside=decay_beside(weight_decay, decay_mask), needs_params=True)
    return after(inner, change, needs_rate="the pull is multiplied by it")


DECAY_TO_INIT = ModifierInfo("decay_to_init", decay_to_init, "Li et al. 2018, arXiv:1802.01483", needs_params=True)
