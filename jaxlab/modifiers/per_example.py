"""Sums over the gradients of single examples."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxlab.core import hyper


def checked_microbatch(microbatch: int | None) -> int | None:
    """Validates how many examples have their gradients in memory at once; None is all of the batch."""
    return None if microbatch is None else hyper.integer("microbatch", microbatch, at_least=1)


def sum_over_examples(
    each: Callable[[PyTree[Array]], PyTree[Array]],
    params: PyTree[Array] | None,
    extra: Mapping[str, Any],
    microbatch: int | None,
) -> PyTree[Array]:
    """The sum over a batch's examples of a function of each one's gradient.

    Args:
      each: ``gradient -> tree of arrays``.
      params: where the gradients are taken.
      extra: the extra arguments of ``update``; ``per_example_grad_fn`` is among them.
      microbatch: how many gradients are in memory at once. With a number, ``per_example_grad_fn`` is called as
        ``(params, each=each, microbatch=microbatch)`` and sums by itself, as jaxlab's training step does.

    Raises:
      ValueError: parameters or ``per_example_grad_fn`` are missing.
    """
    function = extra.get("per_example_grad_fn")
    if params is None or function is None:
        raise ValueError(
            "params or per_example_grad_fn = None: gradients of single examples need both, call tx.update(grads, "
            "state, params, per_example_grad_fn=...); the step of jaxlab.train.make_train_step passes them"
        )
    hyper.function("per_example_grad_fn", function)
    if microbatch is not None:
        return function(params, each=each, microbatch=microbatch)
    gradients = function(params)
    if not jax.tree.leaves(gradients):
        return each(gradients)  # of nothing: there is no axis to count by
    return jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0), jax.vmap(each)(gradients))
