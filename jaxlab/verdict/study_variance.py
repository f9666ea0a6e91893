"""What another study would have found: the spread of a tuned arm's score, its search included.

Fresh report seeds show how much the chosen recipe varies from run to run. They cannot show that another
search of the same size would have chosen another recipe. That spread is estimated here from the trials
that the search has already made.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from jaxlab.core import hyper
from jaxlab.verdict.divergence import gains
from jaxlab.verdict.intervals import check_level


@dataclass(frozen=True, eq=False)
class StudyVariance:
    """The two spreads of an arm's score, and its interval with both.

    Attributes:
      seed_sd: standard deviation between report runs; None at fewer than two or if one diverged.
      search_sd: standard deviation of what other searches would have chosen, by its mean over the selection
        seeds; None if none chose a recipe that works.
      lost: share of those searches that found nothing that finishes on every selection seed.
      scores: for each search drawn, the validation score of what it chose; NaN where it is lost.
      interval: for the arm's expected test score over searches and seeds.
    """

    seed_sd: float | None
    search_sd: float | None
    lost: float
    scores: Float[np.ndarray, " draws"]
    interval: tuple[float, float]


def study_variance(
    validation: Sequence[Sequence[float | None]] | Float[np.ndarray, "trials seeds"],
    report: Sequence[float | None] | Float[np.ndarray, " seeds"],
    higher_is_better: bool,
    level: float = 0.95,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> StudyVariance:
    r"""Resamples an arm's search and puts what it chooses beside the spread of its report runs.

    Each draw is a search of the same size: as many trials with replacement, judged by as many selection seeds
    with replacement (one draw for all trials, as trials share them). It chooses the best mean, and what it
    chose is scored by its mean over all selection seeds. Seeds that were not drawn would score it without
    bias, but one or two of them bring their own noise, which is the report's to tell, into the spread. Only the
    spread is used: the level comes from the report runs, which took no part in any choice.

    .. math::
        \bar x \pm t_{n-1} \sqrt{s_\text{seed}^2 / n + s_\text{search}^2}

    The search is taken for a random sample of its space; a grid or a low-discrepancy sequence would vary less if
    repeated. A bootstrap of a maximum is rough: simulated searches of 4 to 16 trials find 1.2 to 1.7 times the
    true spread where quality has a rounded top, as over learning rates, and 0.7 times where it has Gaussian tails.

    Args:
      validation: the metric for each trial and selection seed; NaN, infinite or None: diverged. A trial that
        diverged on a seed of a draw is not chosen in it.
      report: the metric of each report run of the recipe that was chosen.
      higher_is_better: whether values are to be large (accuracy) or small (loss).
      level: of the interval, in (0, 1).
      draws: how many searches.
      seed: of the resampling.

    Returns:
      See :class:`StudyVariance`. The interval is ``(-inf, inf)``, which excludes nothing, with one report run or
      a diverged one, and where more than 1 - level of the searches are lost.

    Raises:
      TypeError: a value is no number.
      ValueError: no trials, no seeds, no report runs, rows of different lengths, or a bad level.

    References: Efron, Bootstrap methods: another look at the jackknife, Annals of Statistics 7 (1979); Bouthillier
    et al., Accounting for variance in machine learning benchmarks, MLSys 2021 (why the search belongs into the
    variance).

    >>> found = study_variance([[0.90, 0.92], [0.95, 0.93], [0.70, None]], [0.94, 0.95, 0.93], higher_is_better=True)
    >>> round(found.seed_sd, 4), round(found.search_sd, 3), round(found.lost, 2)
    (0.01, 0.013, 0.03)
    """
    check_level(level)
    hyper.integer("draws", draws, at_least=2)
    trials = _trials(validation, higher_is_better)
    runs = gains(report, True, "report")
    if not runs.size:
        raise ValueError("report is empty: accepted is at least one run")
    scores = _searches(trials, draws, np.random.default_rng(seed))
    found = scores[np.isfinite(scores)]
    lost = 1.0 - found.size / draws
    seed_sd = float(runs.std(ddof=1)) if runs.size > 1 and np.isfinite(runs).all() else None
    # From one of them, so that scores that are all the same have no spread, not that of rounding.
    search_sd = float((found - found[0]).std()) if found.size else None
    interval = (-math.inf, math.inf)
    if seed_sd is not None and search_sd is not None and lost <= 1.0 - level:
        error = math.hypot(seed_sd / math.sqrt(runs.size), search_sd)
        half, mean = float(stats.t.ppf((1.0 + level) / 2.0, runs.size - 1)) * error, float(runs.mean())
        interval = (mean - half, mean + half)
    return StudyVariance(seed_sd, search_sd, lost, scores if higher_is_better else -scores, interval)


def _trials(
    validation: Sequence[Sequence[float | None]] | Float[np.ndarray, "trials seeds"], higher_is_better: bool
) -> Float[np.ndarray, "trials seeds"]:
    rows = [gains(row, higher_is_better, f"validation[{i}]") for i, row in enumerate(validation)]
    lengths = {row.size for row in rows}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(
            f"validation has rows of {[row.size for row in rows]} values: accepted is at least one trial, "
            "and one value for each selection seed in all"
        )
    return np.stack(rows)


def _searches(
    trials: Float[np.ndarray, "trials seeds"], draws: int, rng: np.random.Generator
) -> Float[np.ndarray, " draws"]:
    """For each resampled search the score of the trial that it chooses; NaN where that diverged somewhere."""
    count, seeds = trials.shape
    picked_trials = rng.integers(0, count, (draws, count))
    times = rng.multinomial(seeds, np.full(seeds, 1.0 / seeds), draws)
    # NaN times 0 is NaN: what diverged on a seed that was not drawn must not count.
    finished = np.isfinite(trials)
    means = times @ np.where(finished, trials, 0.0).T / seeds
    means = np.where(times @ ~finished.T > 0, -np.inf, means)
    best = np.take_along_axis(means, picked_trials, axis=1).argmax(axis=1)
    chosen = picked_trials[np.arange(draws), best]
    return trials.mean(axis=1)[chosen]
