"""Choosing hyperparameters by validation over several seeds."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Unpack

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from jaxlab.core import hyper
from jaxlab.core.space import Distribution, LogUniform, Uniform, beyond
from jaxlab.optimizers import Recipe
from jaxlab.sweep.order import order
from jaxlab.sweep.population import History, Progress, run_population
from jaxlab.tasks import Task, as_task
from jaxlab.train.state import Build
from jaxlab.train.step import StepOptions


@dataclasses.dataclass(frozen=True)
class Tuning:
    """What a search showed and what was chosen. It knows validation data alone, so test data cannot choose.

    Attributes:
      points: what was varied, by hyperparameter: a value for each trial. Trials of one hyperparameter ascend.
      seeds: the selection seeds.
      validation: the task's metric after the last step.
      chosen: the point with the best mean over the seeds; one with a diverged seed only if all have one.
      edges: the hyperparameters whose chosen value is at an end of what was tried, so that a better one may lie
        outside: they are not tuned. Of several that were varied together the first alone is judged: one of a handful of
        points in many dimensions is at an end of some.
      first: which trials were asked for; the others are of a :func:`second_look`, drawn to where the first point.
      history: of all members, trials by seeds, where they ran as one population.
    """

    points: Mapping[str, tuple[float, ...]]
    seeds: tuple[int, ...]
    validation: Float[np.ndarray, "trials seeds"]
    chosen: Mapping[str, float]
    edges: tuple[str, ...]
    first: Bool[np.ndarray, " trials"]
    history: History | None = None

    @property
    def widened(self) -> int:
        """How many trials lie outside the range that was asked for."""
        values = np.array(self.values)
        asked = values[self.first]
        return int(((values < asked.min()) | (values > asked.max())).sum())

    @property
    def parameter(self) -> str:
        """What was varied, or the first of several."""
        return next(iter(self.points))

    @property
    def values(self) -> tuple[float, ...]:
        """Its values."""
        return self.points[self.parameter]


def tune(
    task: Any,
    recipe: Recipe | Build,
    points: Mapping[str, Sequence[float]],
    seeds: Sequence[int],
    *,
    hyperparams: Mapping[str, float] | None = None,
    steps: int | None = None,
    eval_every: int | None = None,
    batch_size: int | None = None,
    layout: str | int = "vmap",
    progress: Progress | None = None,
    **options: Unpack[StepOptions],
) -> Tuning:
    """Trains every point with every seed, as one population, and chooses on validation.

    Args:
      task: as for :func:`~jaxlab.sweep.population.run_population`, as are the other arguments.
      recipe: structure of what is tuned: a recipe, or a function from numbers to a transform.
      points: hyperparameter to values, one for each trial: a grid of one, or what
        :func:`~jaxlab.sweep.sampler.sample` draws of several.
      seeds: selection seeds: keep them apart from those of the report.
      hyperparams: the others.

    Raises:
      ValueError: an empty list, lists that differ in length, a value that the recipe refuses, a metric that is finite
        for no member; all but the last before anything is compiled.

    >>> tuning = tune("line", Recipe("sgd"), {"learning_rate": [0.001, 0.1, 10.0]}, seeds=[0, 1], steps=100)
    >>> tuning.chosen, tuning.edges
    ({'learning_rate': 0.1}, ())
    """
    task, trials = as_task(task), check_points(points)
    members = check_list("seeds", list(seeds))
    history = run_population(
        task,
        recipe.build if isinstance(recipe, Recipe) else recipe,
        {**(hyperparams or {}), **{name: np.repeat(values, len(members)) for name, values in trials.items()}},
        seed_keys(list(members) * count_of(trials)),
        steps=steps,
        eval_every=eval_every,
        batch_size=batch_size,
        layout=layout,
        progress=progress,
        **options,
    )
    check_metric(task, history)
    validation = history.validation[task.metric][:, -1].reshape(-1, len(members))
    found = choose(trials, members, validation, higher_is_better=task.higher_is_better)
    return dataclasses.replace(found, history=history)


def choose(
    points: Mapping[str, Sequence[float]],
    seeds: Sequence[int],
    validation: Float[np.ndarray, "trials seeds"],
    *,
    higher_is_better: bool,
    asked: int | None = None,
) -> Tuning:
    """The point with the best mean.

    Args:
      points: hyperparameter to values, one for each trial; of one hyperparameter in any order.
      seeds, validation: columns and values of the trials' metric; not finite: diverged.
      higher_is_better: of the metric.
      asked: how many of the first trials were asked for, if not all.

    >>> found = choose({"learning_rate": [0.1, 0.01]}, [0], np.array([[0.5], [0.9]]), higher_is_better=True)
    >>> found.values, dict(found.chosen), found.edges
    ((0.01, 0.1), {'learning_rate': 0.01}, ('learning_rate',))
    """
    trials = {name: np.asarray(values, np.float64) for name, values in points.items()}
    main = next(iter(trials))
    order = np.argsort(trials[main], kind="stable") if len(trials) == 1 else np.arange(len(validation))
    rows = np.asarray(validation, np.float64)[order]
    best = best_row(rows, higher_is_better=higher_is_better)
    trials = {name: tuple(values[order].tolist()) for name, values in trials.items()}
    return Tuning(
        points=trials,
        seeds=tuple(seeds),
        validation=rows,
        chosen={name: values[best] for name, values in trials.items()},
        edges=(main,) if _at_end(trials[main], best) else (),
        first=order < (len(order) if asked is None else asked),
    )


def check_metric(task: Task, history: History) -> None:
    """Refuses a population whose metric is no number for any member though the loss is: that is the task's fault.

    Raises:
      RunError: names the task and its metric.
    """
    loss, metric = history.validation["loss"], history.validation[task.metric]
    if np.isfinite(loss).any() and not np.isfinite(metric).any():
        raise hyper.RunError(
            f"task {task.name!r}: metric {task.metric!r} is finite for none of {len(loss)} members, though the loss "
            "is: accepted is a metric that is a number"
        )


def second_look(
    distribution: Distribution,
    values: Sequence[float],
    best: int,
    count: int,
    *,
    accepts: Callable[[float], bool] = lambda _: True,
) -> list[float]:
    """More values where the first ones point to: beyond an end that is best, else between the best's neighbours.

    Args:
      distribution: says the scale, on which the new values are evenly spaced.
      values: ascending, at least two.
      best: index of the best.
      count: how many.
      accepts: where the range ends for good; what lies beyond is looked for between the best and its neighbour.

    >>> rates = LogUniform(1.0, 16.0)
    >>> second_look(rates, [1.0, 4.0, 16.0], 2, 2), second_look(rates, [1.0, 4.0, 16.0], 1, 2)
    ([64.0, 256.0], [2.0, 8.0])
    >>> second_look(rates, [1.0, 4.0, 16.0], 2, 2, accepts=lambda rate: rate < 100)
    [8.0, 64.0]
    """

    def between(a: float, b: float, count: int) -> list[float]:
        places = np.linspace(distribution.to_unit(a), distribution.to_unit(b), count + 2)[1:-1]
        return [distribution.from_unit(float(place)) for place in places]

    if best in (0, len(values) - 1):
        outside = beyond(distribution, values, "low" if best == 0 else "high", count)
        found = [value for value in outside if accepts(value)]
        found += between(values[best], values[1 if best == 0 else -2], count - len(found))
    else:
        found = between(values[best - 1], values[best], count - count // 2)
        found += between(values[best], values[best + 1], count // 2)
    # What is met again after a logarithm shall be the number that one writes.
    return sorted(float(f"{value:.12g}") for value in found)


def scale_of(values: Sequence[float]) -> Distribution:
    """Factors for values above 0, differences for others: the scale where nobody has said."""
    kind = LogUniform if min(values) > 0 else Uniform
    return kind(min(values), max(values))


def best_row(scores: Float[np.ndarray, "rows seeds"], *, higher_is_better: bool) -> int:
    """The first of :func:`~jaxlab.sweep.order.order`."""
    return order(scores, higher_is_better=higher_is_better)[0]


def seed_keys(seeds: Sequence[int]) -> Key[Array, " members"]:
    """One typed key a seed; the same seed is the same key in every population."""
    checked = [hyper.integer("seed", seed, at_least=0, at_most=2**32 - 1) for seed in seeds]
    return jax.vmap(jax.random.key)(np.array(checked, np.uint32))


def check_points(points: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, ...]]:
    """Refuses points that are none or not equally many; of one hyperparameter, sorts them and drops what is twice."""
    if not points:
        raise ValueError("points = {}: accepted is at least one hyperparameter and its values")
    trials = {name: tuple(check_list(name, list(values))) for name, values in points.items()}
    if len({len(values) for values in trials.values()}) > 1:
        lengths = {name: len(values) for name, values in trials.items()}
        raise ValueError(f"points have {lengths} values: accepted are equally many, one for each trial")
    return {name: tuple(sorted(set(values))) for name, values in trials.items()} if len(trials) == 1 else trials


def count_of(points: Mapping[str, Sequence[float]]) -> int:
    """How many trials points are."""
    return len(next(iter(points.values()))) if points else 0


def check_list(name: str, values: Sequence[Any]) -> Sequence[Any]:
    """Refuses an empty list."""
    if not values:
        raise ValueError(f"{name} = []: accepted is at least one")
    return values


def _at_end(values: Sequence[float], best: int) -> bool:
    """Is there nothing tried on one side? Of values that are all the same nothing is an end."""
    return len(set(values)) > 1 and values[best] in (min(values), max(values))
