"""Sharpness-aware minimization (Foret et al., 2021)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from jaxlab.core import hyper, storage, tree
from jaxlab.modifiers.info import ModifierInfo
from jaxlab.modifiers.wrapping import frozen, full_precision


def sam(inner: optax.GradientTransformation, rho: hyper.Scalar = 0.05) -> optax.GradientTransformationExtraArgs:
    r"""Follows the gradient at the worst point nearby, so that it is flat minima that training finds.

    .. math::
        \hat\epsilon = \rho\, \frac{g}{\lVert g \rVert_2}, \qquad
        \theta_t = \theta_{t-1} + u\bigl(\nabla J(\theta_{t-1} + \hat\epsilon)\bigr)

    with one norm over all leaves but frozen ones. The incoming gradient gives the direction of the ascent, zero
    gradients none; what stands inside (``sam(clipped)``) sees the second gradient. That is of the same batch with the
    same randomness, through the training step's ``grad_fn``: under accumulation it is the mean over all
    micro-batches. (The paper's m-sharpness, one ascent for each device, is another method.)

    A step costs two gradients. In bfloat16 parameters much of a small ascent is lost to rounding: keep them in
    float32 under a policy.

    Args:
      inner: any optax optimizer.
      rho: :math:`\rho`, how far up, at least 0. The paper tries 0.01 to 0.5.

    Raises:
      ValueError: a number outside its range; from ``update``, parameters or a ``grad_fn`` that are missing.

    State: the inner one's.

    Reference: https://arxiv.org/abs/2010.01412, algorithm 1 (p = 2).

    >>> tx, params = sam(optax.sgd(1.0), rho=0.5), jnp.array([2.0])
    >>> gradient = jax.grad(lambda x: jnp.sum(x**2))
    >>> tx.update(gradient(params), tx.init(params), params, grad_fn=gradient)[0].tolist()
    [-5.0]
    """
    rho = hyper.number("rho", rho, "[0, inf)")

    def ascent(grads: PyTree[Array], params: PyTree[Array]) -> PyTree[Array]:
        scale = rho / nonzero(tree.global_norm(grads))
        return jax.tree.map(lambda g: scale * g, grads)

    return at_ascent(inner, ascent)


def at_ascent(
    inner: optax.GradientTransformation, ascent: Callable[[PyTree[Array], PyTree[Array]], PyTree[Array]]
) -> optax.GradientTransformationExtraArgs:
    """An optimizer that sees the gradient at another point than the parameters.

    Args:
      inner: any optax optimizer.
      ascent: ``(grads, params) -> `` the way to that point, all in full precision. Where a gradient is None, as
        those of frozen leaves are, there is no way.
    """
    inner = full_precision(inner)

    def update(
        updates: PyTree, state: optax.OptState, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, optax.OptState]:
        grad_fn = extra.get("grad_fn")
        if params is None or grad_fn is None:
            raise ValueError(
                "params or grad_fn = None: a second gradient needs both, call tx.update(grads, state, params, "
                "grad_fn=...); the step of jaxlab.train.make_train_step passes them"
            )
        hyper.function("grad_fn", grad_fn)
        still = frozen(state)

        def free(path: Any, g: Array) -> Array | None:
            return None if tree.path_name(path) in still else storage.decode(g)

        grads = jax.tree_util.tree_map_with_path(free, updates)
        way = ascent(grads, tree.cast(params, hyper.arithmetic_dtype()))
        second = grad_fn(jax.tree.map(_moved, way, params, is_leaf=tree.is_none))
        # A gradient that is absent stays so: the loss does not depend on its leaf.
        seen = jax.tree.map(lambda g, new: None if g is None else new, updates, second, is_leaf=tree.is_none)
        steps, state = inner.update(seen, state, params, **extra)
        return tree.cast_like(steps, updates), state

    return optax.GradientTransformationExtraArgs(inner.init, update)


def _moved(e: Array | None, p: Array) -> Array:
    return p if e is None else (storage.decode(p) + e).astype(p.dtype)


def nonzero(norm: Float[Array, ""]) -> Float[Array, ""]:
    """A norm to divide by: where it is zero so is what it divides, and 1 leaves it so."""
    return jnp.where(norm > 0, norm, 1)


SAM = ModifierInfo("sam", sam, "Foret et al. 2021, arXiv:2010.01412", needs_params=True, needs=("grad_fn",))
