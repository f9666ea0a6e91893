"""Gradient centralization (Yong et al., 2020)."""

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core.leafwise import LayerAxes, Leaf, leafwise
from jaxlab.modifiers.info import ModifierInfo
from jaxlab.modifiers.wrapping import before
from jaxlab.regularizers import groups


def centralise(
    inner: optax.GradientTransformation, axis: int = -1, layer_axes: LayerAxes = 0
) -> optax.GradientTransformationExtraArgs:
    r"""Takes from each unit's gradient its mean.

    .. math::
        g'_i = g_i - \overline{g_i}

    for the gradient :math:`g_i` of the weights that lead into one unit. A unit is what shares an index of one axis:
    by default the last, which numbers the outputs of a dense kernel ``[inputs, outputs]`` and of a convolution
    kernel. (optax.centralize takes the first, where PyTorch has them: of a kernel of Flax it centralises the rows.)
    Leaves with fewer than two axes, such as biases, are left alone. Embeddings have no incoming weights:
    :func:`~jaxlab.modifiers.groups` gives them an optimizer without it.

    Args:
      inner: any optax optimizer.
      axis: the axis that numbers the units, static.
      layer_axes: how many leading axes of a leaf stack independent layers: a number, or ordered
        ``(regular expression, number)`` rules.

    Raises:
      TypeError: an axis that is no integer.
      ValueError: from ``update``, an axis that a leaf with two or more does not have.

    State: the inner one's, and one int32.

    Reference: https://arxiv.org/abs/2004.01461, equation 1.

    >>> tx = centralise(optax.sgd(1.0))
    >>> kernel = jnp.array([[1.0, 2.0], [3.0, 6.0]])
    >>> tx.update(kernel, tx.init(kernel))[0].tolist()
    [[1.0, 2.0], [-1.0, -2.0]]
    """
    if axis is None:
        raise TypeError("axis = None: accepted is an integer, the axis that numbers the units")
    groups.check_axis(axis)

    def update(leaf: Leaf, slots: tuple[()], shared: None, t: Array) -> tuple[Array, tuple[()]]:
        groups.check_axis_fits(axis, {leaf.name: leaf.g}, [True])
        incoming = groups.others(axis, leaf.g.ndim)
        if not incoming or not leaf.g.size:
            return leaf.g, slots
        return leaf.g - jnp.mean(leaf.g, incoming, keepdims=True), slots

    return before(leafwise(update, layer_axes=layer_axes), inner)


CENTRALISE = ModifierInfo("centralise", centralise, "Yong et al. 2020, arXiv:2004.01461")
