"""Adaptive gradient clipping (Brock et al., 2021)."""

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import hyper
from jaxlab.core.leafwise import LayerAxes, Leaf, leafwise
from jaxlab.modifiers.info import ModifierInfo
from jaxlab.modifiers.wrapping import before
from jaxlab.regularizers import groups


def clip_adaptive(
    inner: optax.GradientTransformation,
    clipping: hyper.Scalar = 1e-2,
    eps: hyper.Scalar = 1e-3,
    layer_axes: LayerAxes = 0,
) -> optax.GradientTransformationExtraArgs:
    r"""Shortens each unit's gradient to a part of the length of the unit's weights: AGC.

    .. math::
        g'_i = g_i \min\left(1, \lambda \frac{\max(\lVert w_i \rVert, \epsilon)}{\lVert g_i \rVert}\right)

    for the weights :math:`w_i` that lead into one unit: those that share an index of the last axis. A leaf of which
    at most one axis is longer than 1 (a bias) is one unit. So does the official code, except that it takes a kernel
    with three axes for heads, one unit for each index of the last two, and here it is a convolution. The paper
    spares the last layer: give it another group. A unit with inf or NaN
    passes as it is.

    Args:
      inner: any optax optimizer.
      clipping: :math:`\lambda`, above 0. The paper tries 0.01 to 0.16: the larger the batch, the smaller.
      eps: :math:`\epsilon`, above 0: what is the least length, so that weights which begin at zero can leave it.
      layer_axes: how many leading axes of a leaf stack independent layers: a number, or ordered
        ``(regular expression, number)`` rules.

    Raises:
      ValueError: a number outside its range; from ``update``, missing parameters.

    State: the inner one's, and one int32.

    Reference: https://arxiv.org/abs/2102.06171, equation 3.

    >>> tx, kernel = clip_adaptive(optax.sgd(1.0), 0.5), jnp.array([[3.0, 1.0], [4.0, 0.0]])
    >>> tx.update(jnp.array([[0.0, 0.0], [10.0, 0.25]]), tx.init(kernel), kernel)[0].tolist()
    [[-0.0, -0.0], [-2.5, -0.25]]
    """
    clipping = hyper.number("clipping", clipping, "(0, inf)")
    eps = hyper.number("eps", eps, "(0, inf)")

    def update(leaf: Leaf, slots: tuple[()], shared: None, t: Array) -> tuple[Array, tuple[()]]:
        assert leaf.p is not None
        axis = None if sum(size > 1 for size in leaf.g.shape) <= 1 else -1
        norm, limit = groups.norms(leaf.g, axis), clipping * jnp.maximum(groups.norms(leaf.p, axis), eps)
        too_long = norm > limit
        return leaf.g * jnp.where(
            too_long, limit / jnp.where(too_long, norm, 1), jnp.where(jnp.isnan(norm), norm, 1)
        ), slots

    return before(leafwise(update, needs_params=True, layer_axes=layer_axes), inner)


CLIP_ADAPTIVE = ModifierInfo("clip_adaptive", clip_adaptive, "Brock et al. 2021, arXiv:2102.06171", needs_params=True)
