"""A task's metrics on a whole data set, in batches that fit the memory."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Int32, PyTree

from jaxlab.core import hyper, tree
from jaxlab.modifiers import evaluation_params
from jaxlab.train import data as examples_of
from jaxlab.train.state import TrainState, whole_params

BATCH = 1_000


def diverged(
    loss: Float[np.ndarray, "*members"], skipped: int | Int[np.ndarray, "*members"], steps: int
) -> Bool[np.ndarray, "*members"]:
    """Which runs have diverged: their evaluated loss is not finite, or most of the last steps were skipped.

    A step that is not finite is skipped, so parameters stay finite where training has long broken down, and
    the accuracy of NaN logits is a finite number, too. Neither may pass for a result.

    Args:
      loss: evaluated.
      skipped: how many of the last ``steps`` steps were.
      steps: since the evaluation before.

    >>> diverged(np.array([0.5, np.nan, 0.5]), np.array([0, 0, 9]), 10).tolist()
    [False, True, True]
    """
    return ~np.isfinite(loss) | (2 * np.asarray(skipped) > steps)


def params_to_evaluate(state: TrainState) -> PyTree[Array]:
    """The parameters that a run is evaluated with, in the dtypes of those that it trains.

    The average that the training step keeps, where it was asked to (``ema_decay``); else what
    :func:`~jaxlab.modifiers.evaluation_params` finds in the optimizer's state; else the parameters. Frozen ones are
    among them.
    """
    if state.ema is not None:
        params = tree.cast_like(state.ema.params, state.params)
    else:
        params = evaluation_params(state.opt_state, state.params)
    return whole_params(state._replace(params=params))


def evaluate(
    loss_fn: Callable[..., Any], params: PyTree, data: PyTree, indices: Int32[Array, " n"] | None = None
) -> dict[str, Array]:
    """The mean of the loss and of every metric over the examples, each counted once.

    Args:
      loss_fn: ``(params, batch, key) -> (loss, metrics)``, means over the batch; called with ``key=None``. One with
        hyperparameters of its own is taken at their defaults: ``loss_fn.given(state.hyperparams)`` is it at a run's.
      params: of the model, which computes in their dtype.
      data: arrays with a leading axis of examples.
      indices: which of them; by default all.

    Returns:
      ``loss`` and the metrics: scalars.

    >>> loss = lambda params, batch, key: (jnp.mean(batch), {"largest": jnp.max(batch)})
    >>> float(evaluate(loss, (), jnp.arange(5.0))["loss"])
    2.0
    """
    number = examples_of.count(data) if indices is None else indices.shape[0]
    order = jnp.arange(number) if indices is None else indices

    def total(chosen: Array) -> dict[str, Array]:
        loss, metrics = loss_fn(params, examples_of.take(data, chosen), None)
        return jax.tree.map(
            lambda x: chosen.shape[0] * jnp.asarray(x, hyper.arithmetic_dtype()), {**metrics, "loss": loss}
        )

    whole, rest = divmod(number, BATCH)
    totals = [total(order[whole * BATCH :])] if rest else []
    if whole:
        batches = jax.lax.map(total, order[: whole * BATCH].reshape(whole, BATCH))
        totals.append(jax.tree.map(lambda x: jnp.sum(x, axis=0), batches))
    return jax.tree.map(lambda *parts: sum(parts) / number, *totals)
