"""An optimizer whose finished steps are changed leaf by leaf."""

from typing import Any, NamedTuple

import optax
from jaxtyping import PyTree

from jaxlab.core import hyper, tree


class ThenState(NamedTuple):
    """Attributes: ``inner``, the optimizer's state; ``change``, that of what changes its steps."""

    inner: optax.OptState
    change: optax.OptState


def then(
    inner: optax.GradientTransformation, change: optax.GradientTransformationExtraArgs
) -> optax.GradientTransformationExtraArgs:
    """``inner``, then ``change``, which is also told the gradient that ``inner`` was given, as ``raw``.

    What goes in and what passes between is float32 (float64 under ``jax_enable_x64``); what comes out has the
    dtypes of the gradients.

    Args:
      inner: any optax optimizer; its updates are steps, already negative.
      change: a transform of steps that takes the extra argument ``raw``.
    """
    inner = optax.with_extra_args_support(inner)

    def init(params: PyTree) -> ThenState:
        return ThenState(inner.init(params), change.init(params))

    def update(updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any) -> tuple[PyTree, ThenState]:
        full = tree.cast(updates, hyper.arithmetic_dtype())
        steps, inner_state = inner.update(full, state.inner, params, **extra)
        changed, change_state = change.update(steps, state.change, params, **(extra | {"raw": full}))
        return tree.cast_like(changed, updates), ThenState(inner_state, change_state)

    return optax.GradientTransformationExtraArgs(init, update)
