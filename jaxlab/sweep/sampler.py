"""Points of a search space: chosen before anything is known (grid, Halton, Sobol, random), or from what is (TPE).

For comparisons, points that do not depend on what was found keep a budget fair and a study repeatable; among those
Halton's fill the space evenly at any count. For finding one good recipe, TPE needs fewer trials.
"""

import importlib
import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from jaxlab.core import hyper
from jaxlab.core.space import Choice, Distribution, SearchSpace, grid

METHODS = ("grid", "halton", "sobol", "random")

START = 10
"""Trials before TPE has something to lean on."""

Points = dict[str, Float[np.ndarray, " count"]]


def sample(space: SearchSpace, count: int, method: str = "halton", seed: int = 0) -> Points:
    """Points that depend on nothing but the arguments.

    Args:
      space: what is varied, in order.
      count: how many.
      method: ``"halton"``, ``"sobol"`` (both scrambled, from scipy.stats.qmc), ``"random"``: the first k of n points
        are the k points. ``"grid"``: every combination of evenly spaced values, ends included, as many of each
        hyperparameter (of a :class:`~jaxlab.core.space.Choice` all); the last varies fastest. So one hyperparameter has
        a grid of any count, two have one of 4, 9, 16 ....
      seed: of the scrambling, or of the draws; a grid has none.

    Returns:
      One array of ``count`` values for each hyperparameter.

    Raises:
      ValueError: an empty space, an unknown method, no grid of that count (the nearest are named).

    >>> from jaxlab.core.space import LogUniform, Uniform
    >>> space = {"learning_rate": LogUniform(1e-3, 1e-1), "momentum": Uniform(0.0, 1.0)}
    >>> {name: values.round(6).tolist() for name, values in sample(space, 4, "grid").items()}
    {'learning_rate': [0.001, 0.001, 0.1, 0.1], 'momentum': [0.0, 1.0, 0.0, 1.0]}
    """
    if not space:
        raise ValueError("space = {}: accepted is at least one hyperparameter")
    hyper.integer("count", count, at_least=1)
    hyper.integer("seed", seed, at_least=0)
    if hyper.one_of("method", method, METHODS) == "grid":
        return _grid(space, count)
    cube = _cube(len(space), count, method, seed)
    return {
        name: np.array([distribution.from_unit(u) for u in cube[:, column]], np.float64)
        for column, (name, distribution) in enumerate(space.items())
    }


def propose(
    space: SearchSpace,
    finished: Sequence[tuple[Mapping[str, float], float | None]],
    running: Sequence[Mapping[str, float]],
    count: int,
    seed: int,
    higher_is_better: bool,
) -> list[dict[str, float]]:
    """The next points by a tree-structured Parzen estimator, which draws where good trials are dense and bad ones rare.

    The first :data:`START` points of a study, and all until one is finished, are Halton's. The estimator (Optuna's,
    multivariate) sees every hyperparameter on its own scale. Points that run, and those proposed here before, count as
    bad, so that a batch spreads out.

    Args:
      space: what is varied.
      finished: points and their values, in the order of the study; a value that is None or not finite is the worst.
      running: points whose value is not known yet.
      count: how many are wanted.
      seed: of the draws; the same arguments give the same points.
      higher_is_better: which values are good.

    Raises:
      ValueError: an empty space, a point that lacks a hyperparameter.

    Reference:
      Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization"; Watanabe 2023, arXiv:2304.11127.
    """
    hyper.integer("count", count, at_least=0)
    for values in (*(values for values, _ in finished), *running):
        for name in space:
            if name not in values:
                raise ValueError(f"a point has no {name}: accepted has all of {', '.join(space)}")
    known = len(finished) + len(running)
    first = count if not finished else min(max(START - known, 0), count)
    proposed = []
    if first:
        points = sample(space, known + first, "halton", seed)
        proposed = [{name: float(points[name][i]) for name in space} for i in range(known, known + first)]
    if first < count:
        tpe = importlib.import_module("jaxlab.sweep.tpe")
        running = [*running, *proposed]
        proposed += tpe.ask(space, finished, running, count - first, seed, higher_is_better=higher_is_better)
    return proposed


def _cube(dimensions: int, count: int, method: str, seed: int) -> Float[np.ndarray, "count dimensions"]:
    if method == "random":
        return np.random.default_rng(seed).random((count, dimensions))
    qmc = importlib.import_module("scipy.stats.qmc")  # Takes a second to import.
    if method == "halton":
        return qmc.Halton(dimensions, scramble=True, rng=seed).random(count)
    # Sobol's points are balanced in powers of two; scipy warns of other counts.
    return qmc.Sobol(dimensions, scramble=True, rng=seed).random_base2(math.ceil(math.log2(count)))[:count]


def _grid(space: SearchSpace, count: int) -> Points:
    fixed = math.prod(len(d.values) for d in space.values() if isinstance(d, Choice))
    free = sum(not isinstance(d, Choice) for d in space.values())
    levels = 1 if not free else max(1, round((count / fixed) ** (1 / free)))
    if fixed * levels**free != count:
        below = levels - 1 if fixed * levels**free > count else levels
        near = sorted({fixed * max(n, 1) ** free for n in (below, below + 1)})
        raise ValueError(
            f"count = {count}: a grid of {', '.join(space)} has as many values of each; the nearest accepted are "
            f"{' and '.join(map(str, near))}"
        )
    values = [_levels(distribution, levels) for distribution in space.values()]
    table = np.array(list(itertools.product(*values)), np.float64)
    return {name: table[:, column] for column, name in enumerate(space)}


def _levels(distribution: Distribution, levels: int) -> Sequence[float]:
    return distribution.values if isinstance(distribution, Choice) else grid(distribution, levels)
