"""The critical batch size: fitted to the steps that batches of many sizes need, and predicted by the gradient's noise.

With batches of B examples a run needs S steps and E = B S examples to reach a target, and to a good approximation

    S = S_min (1 + B_crit / B),    E = E_min (1 + B / B_crit),    E_min = S_min B_crit

(McCandlish et al. 2018, https://arxiv.org/abs/1812.06162, equation 2.11). Small batches waste steps, large ones waste
examples; a batch of B_crit wastes a factor of 2 of both.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree
from scipy import optimize

from jaxlab import tasks, verdict
from jaxlab.train import data as examples_of
from jaxlab.train import noise_scale


class Law(NamedTuple):
    """S_min in steps and B_crit in examples."""

    steps: float
    batch: float

    @property
    def examples(self) -> float:
        """E_min."""
        return self.steps * self.batch

    def steps_at(self, batch_size: Float[np.ndarray, " n"] | float) -> Float[np.ndarray, " n"]:
        """The steps that batches of this size need."""
        return self.steps * (1 + self.batch / np.asarray(batch_size, np.float64))


def fit(batch_sizes: Sequence[int], steps: Sequence[float], budgets: Sequence[int]) -> Law:
    """The law nearest to the measured steps, by least squares of their logarithms.

    A run that missed its target within its budget has infinitely many steps. It is not left out: the law is drawn
    towards more steps than the budget there, and not punished for any number beyond it.

    Args:
      batch_sizes: of each run.
      steps: to the target, infinite where it was missed.
      budgets: the steps that each run had.

    Returns:
      The law; of NaNs where fewer than two runs reached the target.

    >>> law = Law(10.0, 50.0)
    >>> found = fit([1, 8, 64], law.steps_at(np.array([1, 8, 64])).tolist(), [1000, 1000, 1000])
    >>> round(found.steps, 4), round(found.batch, 4)
    (10.0, 50.0)
    """
    sizes, needed = np.asarray(batch_sizes, np.float64), np.asarray(steps, np.float64)
    reached = np.isfinite(needed)
    if reached.sum() < 2:
        return Law(math.nan, math.nan)
    measured = np.log(np.where(reached, needed, budgets))

    def residuals(logs: Float[np.ndarray, " 2"]) -> Float[np.ndarray, " n"]:
        error = np.log(Law(*np.exp(logs)).steps_at(sizes)) - measured
        return np.where(reached, error, np.minimum(error, 0.0))

    fewest_steps, fewest_examples = needed[reached].min(), (sizes * needed)[reached].min()
    found = optimize.least_squares(residuals, np.log([fewest_steps, fewest_examples / fewest_steps]))
    return Law(*(float(x) for x in np.exp(found.x)))


def geometric(values: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """The geometric mean of values over seeds and its 95% t interval; unbounded where one has no logarithm.

    >>> mean, (low, high) = geometric([2.0, 8.0])
    >>> round(mean, 6), low < 2.0 < 8.0 < high
    (4.0, True)
    """
    found = np.asarray(values, np.float64)
    logs = np.log(np.where(found > 0, found, np.nan))
    low, high = verdict.t_interval(logs)
    return float(np.exp(logs.mean())), (math.exp(low), math.exp(high) if high < math.inf else math.inf)


@jax.jit
def noise_of(task: tasks.Task, params: PyTree[Array], keys: Key[Array, " members"]) -> Float[Array, " members"]:
    """The noise scale of each member's own training examples at its parameters, all of them at once.

    Args:
      task: its data are the pool.
      params: with a leading axis of members.
      keys: the members' run keys, which split the pool.
    """
    pool = examples_of.count(task.data)
    training, _ = examples_of.split_sizes(pool, task.validation_fraction)

    def one(member: tuple[PyTree[Array], Array]) -> Array:
        own, key = member

        def loss(params: PyTree, example: PyTree) -> Array:
            return task.loss(params, jax.tree.map(lambda leaf: leaf[None], example), None)[0]

        chosen = examples_of.split_indices(key, jnp.arange(training, dtype=jnp.int32), pool=pool)
        grads = jax.vmap(jax.grad(loss), in_axes=(None, 0))(own, examples_of.take(task.data, chosen))
        return noise_scale(grads, whole=True).scale

    return jax.lax.map(one, (params, keys))
