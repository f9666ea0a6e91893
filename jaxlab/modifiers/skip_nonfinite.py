"""Steps that are not finite are not taken."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Int32, PyTree

from jaxlab.core import hyper, tree
from jaxlab.modifiers.info import ModifierInfo
from jaxlab.modifiers.wrapping import choose, full_precision, trained


class SkipNonfiniteState(NamedTuple):
    """Attributes: ``skipped``, how many steps were; ``inner``, the optimizer's state."""

    skipped: Int32[Array, ""]
    inner: optax.OptState


def skip_nonfinite(inner: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """A step whose gradient or update holds an inf or NaN changes nothing but a counter.

    The update is zero then, and the inner state stays what it was, its count of steps included. It never gives up:
    optax.apply_if_finite applies NaN after a number of bad steps in a row. A training step of
    :func:`~jaxlab.train.make_train_step` skips by itself; this is for loops of one's own, and for one part of a chain.

    Args:
      inner: any optax optimizer.

    Raises:
      TypeError: an ``inner`` that is no optimizer.

    State: the inner one's, and one int32.

    Reference: https://arxiv.org/abs/1710.03740, section 3.2, skips the steps whose gradient overflowed.

    >>> tx = skip_nonfinite(optax.sgd(0.5, momentum=0.9))
    >>> updates, state = tx.update(jnp.array([1.0, jnp.nan]), tx.init(jnp.zeros(2)))
    >>> updates.tolist(), int(state.skipped)
    ([0.0, 0.0], 1)
    """
    inner = full_precision(inner)

    def init(params: PyTree) -> SkipNonfiniteState:
        return SkipNonfiniteState(jnp.zeros((), jnp.int32), inner.init(params))

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, SkipNonfiniteState]:
        full = tree.cast(updates, hyper.arithmetic_dtype())
        steps, after = inner.update(full, state.inner, params, **extra)
        # As the caller gets them: what is finite in float32 may be none in float16.
        steps = tree.cast_like(steps, updates)
        good = all_finite((trained(full, state.inner), steps))
        steps = jax.tree.map(lambda step: jnp.where(good, step, 0), steps)
        skipped = state.skipped + jnp.where(good, 0, 1).astype(jnp.int32)
        return steps, SkipNonfiniteState(skipped, choose(good, after, state.inner))

    return optax.GradientTransformationExtraArgs(init, update)


def all_finite(values: PyTree) -> Bool[Array, ""]:
    """Whether no leaf holds an inf or NaN."""
    good = jnp.array(True)
    for leaf in jax.tree.leaves(values):
        good &= jnp.all(jnp.isfinite(leaf))
    return good


SKIP_NONFINITE = ModifierInfo("skip_nonfinite", skip_nonfinite, "Micikevicius et al. 2018, arXiv:1710.03740")
