"""Decoupled weight decay (Loshchilov and Hutter, 2019)."""

import optax

from jaxlab.core import tree
from jaxlab.regularizers.additive import Strength, add_term


def decoupled_decay(strength: Strength, mask: tree.Mask = None) -> optax.GradientTransformationExtraArgs:
    r"""Adds :math:`\lambda \theta` to the optimizer's direction: AdamW's decay.

    It goes after the direction and before the learning rate, so that no preconditioner rescales it:

    .. math::
        \theta_t = \theta_{t-1} - \alpha_t (d_t + \lambda \theta_{t-1})
                 = (1 - \alpha_t \lambda)\, \theta_{t-1} - \alpha_t d_t

    The decay is multiplied by the learning rate, as in PyTorch's and optax's AdamW; the paper multiplies it
    by the schedule's shape alone. The sum is that of :func:`~jaxlab.regularizers.l2`, the place is another.

    Args:
      strength: :math:`\lambda`, at least 0, or ordered ``(regular expression, number)`` rules.
      mask: which leaves: None (all), ``"matrices"``, rules, a tree of bools, or a function of the parameters.

    Raises:
      ValueError, TypeError: see :func:`~jaxlab.regularizers.additive.add_term`.

    State: none.

    Reference: https://arxiv.org/abs/1711.05101, algorithm 2.

    >>> import jax.numpy as jnp
    >>> import optax
    >>> from jaxlab.schedules import scale_by_learning_rate
    >>> tx = optax.chain(optax.scale_by_adam(), decoupled_decay(0.5), scale_by_learning_rate(0.125))
    >>> params = jnp.array([4.0])
    >>> updates, _ = tx.update(jnp.zeros(1), tx.init(params), params)
    >>> optax.apply_updates(params, updates).tolist()
    [3.75]
    """
    return add_term(lambda p: p, strength, mask)
