"""Which of a search's trials are best, and where in its space they lie."""

from collections.abc import Mapping, Sequence

import numpy as np

from jaxlab.core.space import SearchSpace
from jaxlab.sweep.order import rank
from jaxlab.sweep.search import Search, Trial

EDGE = 0.05
"""A value within this part of a range's end, on its scale, may have a better one beyond it."""


def ranked(search: Search, trials: Sequence[Trial]) -> list[Trial]:
    """The trials that are whole runs and have not lost every seed, the best first."""
    whole = [trial for trial in trials if trial.steps == search.steps and np.isfinite(trial.scores).any()]
    return sorted(whole, key=lambda trial: (*rank_of(search, trial), trial.point))


def rank_of(search: Search, trial: Trial) -> tuple[int, float]:
    """What orders trials, the best first."""
    return rank(trial.scores, higher_is_better=search.task.higher_is_better)


def best_so_far(search: Search, trials: Sequence[Trial]) -> list[float | None]:
    """The best mean of any whole run up to each trial; None before the first."""
    better, best, found = max if search.task.higher_is_better else min, None, []
    for trial in trials:
        value = trial.value if trial.steps == search.steps else None
        if value is not None:
            best = value if best is None else better(best, value)
        found.append(best)
    return found


def at_edges(space: SearchSpace, values: Mapping[str, float]) -> list[str]:
    """The hyperparameters whose value lies at an end of its range.

    >>> from jaxlab.core.space import LogUniform
    >>> at_edges({"learning_rate": LogUniform(1e-3, 1.0), "weight_decay": LogUniform(1e-3, 1.0)},
    ...          {"learning_rate": 0.9, "weight_decay": 0.1})
    ['learning_rate']
    """
    return [name for name, range_ in space.items() if not EDGE <= range_.to_unit(values[name]) <= 1 - EDGE]
