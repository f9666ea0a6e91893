"""Optuna's TPE over the unit cube: where :func:`jaxlab.sweep.sampler.propose` goes once it has something to learn from.

Importing this module imports Optuna (0.4 s), so it is loaded when it is first used.
"""

import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState, create_trial

from jaxlab.core.space import Choice, Distribution, SearchSpace
from jaxlab.sweep.database import quiet


def ask(
    space: SearchSpace,
    finished: Sequence[tuple[Mapping[str, float], float | None]],
    running: Sequence[Mapping[str, float]],
    count: int,
    seed: int,
    *,
    higher_is_better: bool,
) -> list[dict[str, float]]:
    """The next points; arguments as for :func:`jaxlab.sweep.sampler.propose`."""
    # A fresh sampler draws the same numbers again, so each place in a study has its own seed.
    seed = int(np.random.SeedSequence([seed, len(finished), len(running)]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # Of options that jaxlab's tests cover.
        sampler = optuna.samplers.TPESampler(n_startup_trials=0, multivariate=True, constant_liar=True, seed=seed)
    with quiet():
        study = optuna.create_study(
            storage=optuna.storages.InMemoryStorage(),
            sampler=sampler,
            direction="maximize" if higher_is_better else "minimize",
        )
    study.add_trials([_trial(space, values, value) for values, value in finished])
    study.add_trials([_trial(space, values, None, TrialState.RUNNING) for values in running])
    axes = {name: _axis(distribution) for name, distribution in space.items()}
    drawn = [study.ask(axes).params for _ in range(count)]
    return [{name: _value(space[name], params[name]) for name in space} for params in drawn]


def _trial(
    space: SearchSpace, values: Mapping[str, float], value: float | None, state: TrialState = TrialState.COMPLETE
) -> FrozenTrial:
    if state == TrialState.COMPLETE and (value is None or not math.isfinite(value)):
        state, value = TrialState.PRUNED, None  # TPE takes them for the worst.
    return create_trial(
        state=state,
        value=value,
        params={name: _place(distribution, values[name]) for name, distribution in space.items()},
        distributions={name: _axis(distribution) for name, distribution in space.items()},
    )


def _axis(distribution: Distribution) -> BaseDistribution:
    if isinstance(distribution, Choice):
        return CategoricalDistribution(range(len(distribution.values)))
    return FloatDistribution(0.0, 1.0)


def _place(distribution: Distribution, value: float) -> float:
    """Where a value lies on its axis; one from beyond the range lies at its end."""
    if isinstance(distribution, Choice):
        return distribution.values.index(value)
    return min(max(distribution.to_unit(value), 0.0), 1.0)


def _value(distribution: Distribution, place: float) -> float:
    return float(distribution.values[int(place)] if isinstance(distribution, Choice) else distribution.from_unit(place))
