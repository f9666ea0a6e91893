"""ASAM: adaptive sharpness-aware minimization (Kwon et al., 2021)."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree

from jaxlab.core import hyper, tree
from jaxlab.modifiers.info import ModifierInfo
from jaxlab.modifiers.sam import at_ascent, nonzero


def asam(
    inner: optax.GradientTransformation,
    rho: hyper.Scalar = 0.5,
    eta: hyper.Scalar = 0.01,
    mask: tree.Mask = "matrices",
) -> optax.GradientTransformationExtraArgs:
    r""":func:`~jaxlab.modifiers.sam` in a neighbourhood that grows with each weight, blind to how layers are scaled.

    .. math::
        \hat\epsilon = \rho\, \frac{T^2 g}{\lVert T g \rVert_2}, \qquad T = |\theta| + \eta

    elementwise, and :math:`T = 1` where the mask says no: the official code scales parameters whose name has
    "weight" and not biases, which here are matrices, and not the scales of norms either.

    Args:
      inner: any optax optimizer.
      rho: :math:`\rho`, how far up, at least 0: about ten times SAM's.
      eta: :math:`\eta`, at least 0: what a weight of zero may still move.
      mask: which leaves are scaled, see :data:`jaxlab.core.tree.Mask`; None is all.

    Raises:
      ValueError: a number outside its range, a bad mask; from ``update``, parameters or a ``grad_fn`` that are missing.

    State: the inner one's. A step costs two gradients.

    Reference: https://arxiv.org/abs/2102.11600, equation 7, with the official code's :math:`\eta`,
    https://github.com/SamsungLabs/ASAM.

    >>> tx, params = asam(optax.sgd(1.0), rho=0.5, eta=0.0, mask=None), jnp.array([2.0])
    >>> gradient = jax.grad(lambda x: jnp.sum(x**2))
    >>> tx.update(gradient(params), tx.init(params), params, grad_fn=gradient)[0].tolist()
    [-6.0]
    """
    rho = hyper.number("rho", rho, "[0, inf)")
    eta = hyper.number("eta", eta, "[0, inf)")
    tree.check_mask(mask)

    def ascent(grads: PyTree[Array], params: PyTree[Array]) -> PyTree[Array]:
        chosen = jax.tree.unflatten(jax.tree.structure(params), tree.resolve_mask(mask, params))
        sizes = jax.tree.map(lambda p, keep: jnp.abs(p) + eta if keep else jnp.ones_like(p), params, chosen)
        scaled = jax.tree.map(_times, grads, sizes, is_leaf=tree.is_none)
        scale = rho / nonzero(tree.global_norm(scaled))
        return jax.tree.map(_times, scaled, jax.tree.map(lambda size: scale * size, sizes), is_leaf=tree.is_none)

    return at_ascent(inner, ascent)


def _times(g: Array | None, size: Array) -> Array | None:
    return None if g is None else size * g


ASAM = ModifierInfo("asam", asam, "Kwon et al. 2021, arXiv:2102.11600", needs_params=True, needs=("grad_fn",))
