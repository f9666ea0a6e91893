"""What optimizers that step by the norm of a layer share."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from jaxlab.core import tree


def norm(x: Float[Array, "..."]) -> Float[Array, ""]:
    r"""The Euclidean norm of all elements together, :math:`\sqrt{\sum_i x_i^2}`.

    Elements are squared in units of the largest, so nothing overflows or vanishes that the norm itself does not.

    >>> round(float(norm(jnp.array([3e30, -4e30])) / 1e30), 5), float(norm(jnp.zeros(3)))
    (5.0, 0.0)
    """
    largest = jnp.max(jnp.abs(x), initial=0.0)
    unit = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1)
    return unit * jnp.sqrt(jnp.sum((x / unit) ** 2))


def spare(inner: optax.GradientTransformationExtraArgs, mask: tree.Mask) -> optax.GradientTransformationExtraArgs:
    """A transform that leaves alone what the mask does not choose.

    Raises:
      ValueError, TypeError: from ``update``, a mask that does not fit, see :func:`~jaxlab.core.tree.resolve_mask`.

    >>> tx = spare(optax.with_extra_args_support(optax.scale(2.0)), "matrices")
    >>> params = {"bias": jnp.ones(1), "kernel": jnp.ones((1, 1))}
    >>> updates, _ = tx.update(params, tx.init(params), params)
    >>> updates["bias"].tolist(), updates["kernel"].tolist()
    ([1.0], [[2.0]])
    """
    if tree.check_mask(mask) is None:
        return inner

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, optax.OptState]:
        changed, state = inner.update(updates, state, params, **extra)
        chosen = jax.tree.unflatten(jax.tree.structure(params), tree.resolve_mask(mask, params))

        def one(update: Array | None, new: Array | None, is_chosen: bool) -> Array | None:
            return new if is_chosen else update

        return jax.tree.map(one, updates, changed, chosen, is_leaf=tree.is_none), state

    return optax.GradientTransformationExtraArgs(inner.init, update)
