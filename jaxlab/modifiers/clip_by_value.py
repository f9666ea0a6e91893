"""Clipping element by element."""

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import hyper
from jaxlab.core.leafwise import Leaf, leafwise
from jaxlab.modifiers.info import ModifierInfo
from jaxlab.modifiers.wrapping import before


def clip_by_value(
    inner: optax.GradientTransformation, limit: hyper.Scalar = 1.0
) -> optax.GradientTransformationExtraArgs:
    r"""Cuts every element of the gradient to :math:`[-c, c]`.

    An inf becomes the limit; NaN stays NaN.

    Args:
      inner: any optax optimizer.
      limit: :math:`c`, above 0.

    Raises:
      ValueError: a limit that is not above 0.

    State: the inner one's, and one int32.

    Reference: https://www.deeplearningbook.org, section 10.11.1, who name Mikolov 2012.

    >>> tx = clip_by_value(optax.sgd(1.0), 0.5)
    >>> tx.update(jnp.array([0.25, -3.0]), tx.init(jnp.zeros(2)))[0].tolist()
    [-0.25, 0.5]
    """
    limit = hyper.number("limit", limit, "(0, inf]")

    def update(leaf: Leaf, slots: tuple[()], shared: None, t: Array) -> tuple[Array, tuple[()]]:
        return jnp.clip(leaf.g, -limit, limit), slots

    return before(leafwise(update), inner)


CLIP_BY_VALUE = ModifierInfo("clip_by_value", clip_by_value, "Mikolov 2012, thesis, section 3.2.2")
