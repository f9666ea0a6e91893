"""Transforms one after another, in full precision from end to end."""

from typing import Any

import optax
from jaxtyping import PyTree

from jaxlab.core import hyper, tree


def chain(*transforms: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """``optax.chain`` that casts once at each end instead of between its parts.

    What passes from one part to the next is float32 (float64 under ``jax_enable_x64``); what comes out has
    the dtypes of the gradients that went in, as optax's wrappers expect. The state is ``optax.chain``'s.

    Raises:
      ValueError: no transforms.
      TypeError: an argument that is no transform.

    >>> import jax.numpy as jnp
    >>> tx = chain(optax.scale(1 / 3), optax.scale(3.0))
    >>> g = jnp.full(1, 1.0078125, jnp.bfloat16)
    >>> tx.update(g, tx.init(g))[0] == g
    Array([ True], dtype=bool)
    """
    if not transforms:
        raise ValueError("chain(): accepted is at least one transform; optax.identity() changes nothing")
    for i, transform in enumerate(transforms):
        if not isinstance(transform, optax.GradientTransformation):
            raise TypeError(f"chain(): argument {i} is {transform!r}: accepted are transforms, one after the other")
    inner = optax.with_extra_args_support(optax.chain(*transforms))

    def update(
        updates: PyTree, state: optax.OptState, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, optax.OptState]:
        full, state = inner.update(tree.cast(updates, hyper.arithmetic_dtype()), state, params, **extra)
        return tree.cast_like(full, updates), state

    return optax.GradientTransformationExtraArgs(inner.init, update)
