"""Clipping by the norm of all gradients together (Pascanu et al., 2013)."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from jaxlab.core import hyper, tree
from jaxlab.modifiers.info import ModifierInfo
from jaxlab.modifiers.wrapping import full_precision, trained


def clip_by_global_norm(
    inner: optax.GradientTransformation, max_norm: hyper.Scalar = 1.0
) -> optax.GradientTransformationExtraArgs:
    r"""Shortens the gradient to a greatest length; its direction stays.

    .. math::
        g' = g\, \min\left(1, \frac{c}{\lVert g \rVert}\right)

    The norm is that of all leaves together, in float32 whatever they are: around
    :func:`~jaxlab.modifiers.groups` it is that of all groups, without the frozen leaves. A gradient no longer than
    :math:`c` passes to the bit. One with inf or NaN keeps a NaN, so that a training step or
    :func:`~jaxlab.modifiers.skip_nonfinite` skips it; one that is finite and longer than about 1.8e19, where float32
    has no squares, becomes zero.

    Args:
      inner: any optax optimizer.
      max_norm: :math:`c`, above 0.

    Raises:
      ValueError: a norm that is not above 0.

    State: the inner one's.

    Reference: https://arxiv.org/abs/1211.5063, algorithm 1.

    >>> tx = clip_by_global_norm(optax.sgd(1.0), 2.5)
    >>> params = {"a": jnp.zeros(1), "b": jnp.zeros(1)}
    >>> updates, _ = tx.update({"a": jnp.array([3.0]), "b": jnp.array([4.0])}, tx.init(params))
    >>> updates["a"].tolist(), updates["b"].tolist()
    ([-1.5], [-2.0])
    """
    max_norm = hyper.number("max_norm", max_norm, "(0, inf]")

    inner = full_precision(inner)

    def update(
        updates: PyTree, state: optax.OptState, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, optax.OptState]:
        full = tree.cast(updates, hyper.arithmetic_dtype())
        norm = tree.global_norm(trained(full, state))
        factor = jnp.where(norm > max_norm, max_norm / norm, 1)
        steps, state = inner.update(jax.tree.map(lambda g: factor * g, full), state, params, **extra)
        return tree.cast_like(steps, updates), state

    return optax.GradientTransformationExtraArgs(inner.init, update)


CLIP_BY_GLOBAL_NORM = ModifierInfo("clip_by_global_norm", clip_by_global_norm, "Pascanu et al. 2013, arXiv:1211.5063")
