"""Cautious optimizers: improving training with one line of code (Liang et al., 2024)."""

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import hyper
from jaxlab.core.leafwise import LayerAxes, Leaf, leafwise
from jaxlab.modifiers.info import ModifierInfo
from jaxlab.modifiers.wrapping import after, raw_gradient


def cautious(
    inner: optax.GradientTransformation, min_mean: hyper.Scalar = 1e-3, layer_axes: LayerAxes = 0
) -> optax.GradientTransformationExtraArgs:
    r"""Moves only the elements whose step goes down this step's gradient, and these the further.

    .. math::
        \phi_t = [u_t g_t < 0], \qquad
        u'_t = \frac{\phi_t}{\max(\overline{\phi_t}, \phi_{\min})}\, u_t

    for the inner optimizer's finished step :math:`u_t` and the mean :math:`\overline{\phi_t}` over a leaf. This is
    the official code; the paper divides by :math:`(\mathrm{nnz}(\phi_t) + 1) / d` instead. The mask covers all
    that ``inner`` does: where decay is to be spared, put it after, or use
    :func:`~jaxlab.modifiers.cautious_decay`.

    Args:
      inner: any optax optimizer.
      min_mean: :math:`\phi_{\min}`, in (0, 1]; it bounds how far the steps are stretched.
      layer_axes: how many leading axes of a leaf stack independent layers, each with its own mean: a number, or
        ordered ``(regular expression, number)`` rules.

    Raises:
      ValueError: a number outside its range.

    State: the inner one's, and one int32.

    Reference: https://arxiv.org/abs/2411.16085, algorithm 1.

    >>> tx = cautious(optax.chain(optax.trace(1.0), optax.scale(-0.5)))
    >>> _, state = tx.update(jnp.array([2.0, 2.0]), tx.init(jnp.zeros(2)))
    >>> tx.update(jnp.array([1.0, -1.0]), state)[0].tolist()
    [-3.0, -0.0]
    """
    min_mean = hyper.number("min_mean", min_mean, "(0, 1]")

    def update(leaf: Leaf, slots: tuple[()], shared: None, t: Array) -> tuple[Array, tuple[()]]:
        # Signs, for products overflow and underflow.
        agrees = jnp.asarray(jnp.sign(leaf.g) * jnp.sign(leaf.beside) < 0, leaf.g.dtype)
        share = jnp.sum(agrees) / max(agrees.size, 1)
        return leaf.g * agrees / jnp.maximum(share, min_mean), slots

    return after(inner, leafwise(update, beside=raw_gradient, layer_axes=layer_axes))


CAUTIOUS = ModifierInfo("cautious", cautious, "Liang et al. 2024, arXiv:2411.16085")
