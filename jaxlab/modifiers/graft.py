"""Grafting: one optimizer's direction, another's length (Agarwal et al., 2020)."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree

from jaxlab.core.leafwise import LayerAxes, Leaf, leafwise
from jaxlab.modifiers.info import ModifierInfo
from jaxlab.modifiers.wrapping import after, full_precision, raw_gradient
from jaxlab.regularizers import groups


class GraftState(NamedTuple):
    """Attributes: ``magnitude``, the state of the optimizer that gives the length; ``change``, the counter."""

    magnitude: optax.OptState
    change: optax.OptState


def graft(
    inner: optax.GradientTransformation, magnitude: optax.GradientTransformation, layer_axes: LayerAxes = 0
) -> optax.GradientTransformationExtraArgs:
    r"""Steps where ``inner`` points, as far as ``magnitude`` goes, leaf by leaf.

    .. math::
        u_t = \frac{\lVert u^M_t \rVert}{\lVert u^D_t \rVert}\, u^D_t

    Both see the same gradients and keep their own states. The learning rate of ``inner`` cancels out; ``magnitude``
    decides, with its schedule. Where ``inner`` does not move a leaf, it stays.

    Args:
      inner: any optax optimizer, for the direction :math:`u^D_t`.
      magnitude: any optax optimizer, for the length :math:`\lVert u^M_t \rVert`.
      layer_axes: how many leading axes of a leaf stack independent layers, each with lengths of its own: a number,
        or ordered ``(regular expression, number)`` rules.

    Raises:
      TypeError: what is no optimizer.

    State: that of both, and one int32.

    Reference: https://arxiv.org/abs/2002.11803, algorithm 1, per layer.

    >>> tx = graft(optax.sgd(1.0), optax.sign_sgd(0.5))
    >>> tx.update(jnp.array([0.0, 8.0]), tx.init(jnp.zeros(2)))[0].round(4).tolist()
    [-0.0, -0.5]
    """
    if not isinstance(magnitude, optax.GradientTransformation):
        raise TypeError(f"magnitude = {magnitude!r}: accepted is an optimizer, such as jaxlab.optimizers.sgd(1e-2)")
    other = full_precision(magnitude)

    def update(leaf: Leaf, slots: tuple[()], shared: None, t: Array) -> tuple[Array, tuple[()]]:
        own, wanted = groups.norms(leaf.g, None), groups.norms(leaf.beside, None)
        moves = own > 0
        # Divided first: the product of two lengths may be beyond float32.
        return jnp.where(moves, leaf.g / jnp.where(moves, own, 1), 0) * wanted, slots

    lengthen = leafwise(update, beside=raw_gradient, layer_axes=layer_axes)

    def init(params: PyTree) -> GraftState:
        return GraftState(other.init(params), lengthen.init(params))

    def change(updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any) -> tuple[PyTree, GraftState]:
        lengths, magnitude_state = other.update(extra["raw"], state.magnitude, params, **extra)
        grafted, change_state = lengthen.update(updates, state.change, params, raw=lengths)
        return grafted, GraftState(magnitude_state, change_state)

    return after(inner, optax.GradientTransformationExtraArgs(init, change))


GRAFT = ModifierInfo("graft", graft, "Agarwal et al. 2020, arXiv:2002.11803")
