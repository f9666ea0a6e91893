"""Choosing one hyperparameter on a grid, by validation over several seeds."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import jax
import numpy as np
from jaxtyping import Array, Float, Key

from jaxlab.core import hyper
from jaxlab.optimizers import Recipe
from jaxlab.sweep.population import History, Progress, run_population
from jaxlab.tasks import as_task
from jaxlab.train.state import Build
from jaxlab.train.step import StepOptions


@dataclasses.dataclass(frozen=True)
class Tuning:
    """What a grid showed and which of its values was chosen.

    Attributes:
      parameter: what was varied.
      values: the grid, ascending.
      seeds: the selection seeds.
      validation: the task's metric after the last step.
      chosen: the value with the best mean over the seeds; a value with a diverged seed only if all have one.
      at_edge: the chosen value is the grid's first or last, so that a better one may lie outside.
      history: of all members, values by seeds.
    """

    parameter: str
    values: tuple[float, ...]
    seeds: tuple[int, ...]
    validation: Float[np.ndarray, "values seeds"]
    chosen: float
    at_edge: bool
    history: History


def tune(
    task: Any,
    recipe: Recipe | Build,
    values: Sequence[float],
    seeds: Sequence[int],
    *,
    parameter: str = "learning_rate",
    hyperparams: Mapping[str, float] | None = None,
    steps: int | None = None,
    eval_every: int | None = None,
    batch_size: int | None = None,
    layout: str = "vmap",
    progress: Progress | None = None,
    **options: Unpack[StepOptions],
) -> Tuning:
    """Trains every value of a grid with every seed, as one population, and chooses on validation.

    Args:
      task: as for :func:`~jaxlab.sweep.population.run_population`, as are the other arguments.
      recipe: structure of what is tuned: a recipe, or a function from numbers to a transform.
      values: the grid; sorted, and each value once.
      seeds: selection seeds: keep them apart from those of the report.
      parameter: which hyperparameter the values are.
      hyperparams: the others.

    Raises:
      ValueError: an empty list, a value that the recipe refuses; before anything is compiled.

    >>> tuning = tune("line", Recipe("sgd"), [0.001, 0.1, 10.0], seeds=[0, 1], steps=100)
    >>> tuning.chosen, tuning.at_edge
    (0.1, False)
    """
    task = as_task(task)
    grid, members = np.array(check_list("values", sorted(set(values)))), check_list("seeds", list(seeds))
    history = run_population(
        task,
        recipe.build if isinstance(recipe, Recipe) else recipe,
        {**(hyperparams or {}), parameter: np.repeat(grid, len(members))},
        seed_keys(list(members) * len(grid)),
        steps=steps,
        eval_every=eval_every,
        batch_size=batch_size,
        layout=layout,
        progress=progress,
        **options,
    )
    validation = history.validation[task.metric][:, -1].reshape(len(grid), len(members))
    best = best_row(validation, higher_is_better=task.higher_is_better)
    return Tuning(
        parameter=parameter,
        values=tuple(float(value) for value in grid),
        seeds=tuple(members),
        validation=validation,
        chosen=float(grid[best]),
        at_edge=best in (0, len(grid) - 1),
        history=history,
    )


def best_row(scores: Float[np.ndarray, "rows seeds"], *, higher_is_better: bool) -> int:
    """The row with the best mean; fewer diverged (non-finite) seeds go before any mean, ties to the first.

    >>> best_row(np.array([[0.5, 0.7], [0.9, np.nan], [0.6, 0.8]]), higher_is_better=True)
    2
    """
    finite = np.isfinite(scores)
    gain = np.where(finite, scores if higher_is_better else -scores, 0.0)
    means = gain.sum(axis=1) / np.maximum(finite.sum(axis=1), 1)
    return min(range(len(scores)), key=lambda row: ((~finite[row]).sum(), -means[row]))


def seed_keys(seeds: Sequence[int]) -> Key[Array, " members"]:
    """One typed key a seed; the same seed is the same key in every population."""
    return jax.vmap(jax.random.key)(np.array([hyper.integer("seed", seed, at_least=0) for seed in seeds], np.uint32))


def check_list(name: str, values: Sequence[Any]) -> Sequence[Any]:
    """Refuses an empty list."""
    if not values:
        raise ValueError(f"{name} = []: accepted is at least one")
    return values
