"""Update clipping (Shazeer and Stern, 2018)."""

import math

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import hyper
from jaxlab.core.leafwise import LayerAxes, Leaf, leafwise
from jaxlab.modifiers.info import ModifierInfo
from jaxlab.modifiers.wrapping import after, rate_everywhere
from jaxlab.regularizers import groups


def clip_update_rms(
    inner: optax.GradientTransformation, max_rms: hyper.Scalar = 1.0, layer_axes: LayerAxes = 0
) -> optax.GradientTransformationExtraArgs:
    r"""Bounds the root mean square of each leaf's direction, as Adafactor does.

    .. math::
        u'_t = \frac{u_t}{\max(1, \mathrm{RMS}(d_t) / c)}, \qquad u_t = -\alpha_t d_t

    for the inner optimizer's finished step :math:`u_t`, its decay included. Where second moments lag behind the
    gradient, Adam's direction grows beyond 1, and this holds it. StableAdamW divides by the root mean square of
    :math:`g_t / \sqrt{v_t}` instead, which is the same where the first moment is the gradient.

    Args:
      inner: an optimizer that keeps its learning rate in its state, as all of jaxlab's do. With groups
        inside, a leaf's is that of its group.
      max_rms: :math:`c`, above 0; Adafactor's 1.
      layer_axes: how many leading axes of a leaf stack independent layers: a number, or ordered
        ``(regular expression, number)`` rules.

    Raises:
      ValueError: a number outside its range; from ``init``, an ``inner`` that keeps no learning rate.

    State: the inner one's, and one int32.

    Reference: https://arxiv.org/abs/1804.04235, section 6; StableAdamW: https://arxiv.org/abs/2304.13013.

    >>> from jaxlab.optimizers import sgd
    >>> tx = clip_update_rms(sgd(0.5), 1.0)
    >>> tx.update(jnp.array([4.0, -4.0]), tx.init(jnp.zeros(2)))[0].tolist()
    [-0.5, 0.5]
    """
    max_rms = hyper.number("max_rms", max_rms, "(0, inf]")

    def update(leaf: Leaf, slots: tuple[()], shared: None, t: Array) -> tuple[Array, tuple[()]]:
        rms = groups.norms(leaf.g, None) / math.sqrt(max(leaf.g.size, 1))
        limit = leaf.beside * max_rms
        too_large = rms > limit
        return leaf.g * jnp.where(too_large, limit / jnp.where(too_large, rms, 1), 1), slots

    change = leafwise(update, beside=rate_everywhere, layer_axes=layer_axes)
    return after(inner, change, needs_rate="a direction is a step over it")


CLIP_UPDATE_RMS = ModifierInfo("clip_update_rms", clip_update_rms, "Shazeer and Stern 2018, arXiv:1804.04235")
