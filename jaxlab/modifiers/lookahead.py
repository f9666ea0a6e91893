"""Lookahead optimizer: k steps forward, 1 step back (Zhang et al., 2019)."""

from typing import Any, Generic, NamedTuple, TypeVar

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxlab.core import hyper, storage
from jaxlab.core.leafwise import Leaf, leafwise
from jaxlab.modifiers.every import due
from jaxlab.modifiers.info import ModifierInfo
from jaxlab.modifiers.wrapping import after

T = TypeVar("T")


class Slow(NamedTuple, Generic[T]):
    """The weights that move once in a while."""

    slow: T

    def evaluated(self, p: Float[Array, "..."], shared: Any) -> Any:
        """The slow weights, as in the paper's experiments."""
        return self.slow


def lookahead(
    inner: optax.GradientTransformation, every: hyper.Scalar = 5.0, alpha: hyper.Scalar = 0.5
) -> optax.GradientTransformationExtraArgs:
    r"""Lets an optimizer run ahead, and every k steps goes a part of the way that it went.

    .. math::
        \phi_t = \phi_{t-1} + \alpha\, (\theta_{t-1} + u_t - \phi_{t-1}), \quad \theta_t = \phi_t
        \qquad\text{if } k \text{ divides } t, \text{ else } \theta_t = \theta_{t-1} + u_t

    The inner optimizer's momentum runs on through the synchronisation (the official code's ``pullback="none"``).
    The slow weights :math:`\phi` are what :func:`~jaxlab.modifiers.evaluation_params` finds.

    Args:
      inner: any optax optimizer; all that changes its steps belongs inside.
      every: :math:`k`, at least 1; a number like any other: all periods share one compiled program.
      alpha: how much of the way, in (0, 1].

    Raises:
      ValueError: a number outside its range; from ``update``, parameters that are missing.

    State: the inner one's, one value for each parameter, and one int32.

    Reference: https://arxiv.org/abs/1907.08610, algorithm 1.

    >>> tx, params = lookahead(optax.sgd(1.0), every=2), jnp.array([4.0])
    >>> state = tx.init(params)
    >>> for _ in range(2):
    ...     updates, state = tx.update(jnp.array([1.0]), state, params)
    ...     params = params + updates
    >>> params.tolist()
    [3.0]
    """
    every = hyper.number("every", every, "[1, inf)")
    alpha = hyper.number("alpha", alpha, "(0, 1]")

    def slots(p: Array) -> Slow[storage.Slot]:
        return Slow(storage.Slot(p, low_bit=False))

    def update(leaf: Leaf, slots: Slow[Array], shared: None, t: Array) -> tuple[Array, Slow[Array]]:
        assert leaf.p is not None  # The engine has seen to it.
        meets = due(t, every)
        met = slots.slow + alpha * (leaf.p + leaf.g - slots.slow)
        return jnp.where(meets, met - leaf.p, leaf.g), Slow(jnp.where(meets, met, slots.slow))

    return after(inner, leafwise(update, slots=slots, needs_params=True))


LOOKAHEAD = ModifierInfo("lookahead", lookahead, "Zhang et al. 2019, arXiv:1907.08610", needs_params=True)
