"""How soon a run is good enough, where some runs never are.

A run that never reaches the target has no number of steps, and to leave it out would make an arm look fast
that succeeds one time in five. It counts as infinity: later than every number. So nothing here takes a
mean; medians, order statistics and signs are at home with infinities.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

from jaxlab.verdict.intervals import check_level

Steps = Sequence[float] | Float[np.ndarray, " seeds"]
"""For each seed the step at which the target was reached; infinity: never."""


class MedianSteps(NamedTuple):
    """The median over seeds, infinite if half of them missed, and its interval."""

    median: float
    interval: tuple[float, float]


class SignTest(NamedTuple):
    """On how many seeds a was sooner than b, on how many later, and the two-sided p value."""

    sooner: int
    later: int
    p: float


def steps_to_target(
    steps: Sequence[int],
    curves: Sequence[Sequence[float | None]] | Float[np.ndarray, "seeds evaluations"],
    target: float,
    higher_is_better: bool,
) -> Float[np.ndarray, " seeds"]:
    """For each seed the first evaluated step at which its curve is at the target or beyond it.

    Args:
      steps: when the curves were evaluated, increasing. The answer is one of them: a coarse grid of
        evaluations rounds up, for all arms alike.
      curves: one row for each seed. A value that is not finite, or None, is at no target; a run that
        reached it and diverged later has reached it.
      target: the value to reach, finite.
      higher_is_better: whether the metric is to be at least the target, or at most.

    Returns:
      Steps as floats; infinity for a seed that never got there.

    Raises:
      ValueError: lengths that differ, no evaluations, steps that do not increase, or a target that is not finite.

    Reference: Dahl et al., Benchmarking neural network training algorithms (AlgoPerf), 2023, sections 2 and 4.

    >>> steps_to_target([10, 20, 30], [[0.5, 0.8, 0.9], [0.4, 0.6, 0.7]], 0.8, higher_is_better=True)
    array([20., inf])
    """
    at, rows = np.asarray(steps, np.float64), np.asarray(curves, np.float64)
    if rows.ndim != 2 or rows.shape[0] == 0 or rows.shape[1:] != at.shape or at.size == 0:
        raise ValueError(
            f"steps has shape {at.shape} and curves {rows.shape}: accepted are [evaluations] and [seeds, evaluations]"
        )
    if not (np.diff(at) > 0.0).all():
        raise ValueError(f"steps = {at.tolist()}: accepted are increasing numbers")
    if not np.isfinite(target):
        raise ValueError(f"target = {target!r}: accepted is a finite number")
    reached = np.isfinite(rows) & (rows >= target if higher_is_better else rows <= target)
    return np.where(reached.any(axis=1), at[reached.argmax(axis=1)], np.inf)


def median_steps(values: Steps, level: float = 0.95) -> MedianSteps:
    r"""The median over seeds with the interval between two of the values themselves.

    How many seeds lie below the true median is binomial whatever the distribution is, so

    .. math::
        P\bigl(x_{(l)} \le \text{median} \le x_{(n + 1 - l)}\bigr) \ge 1 - 2 \, P(\text{Bin}(n, \tfrac{1}{2}) < l)

    and the largest l is taken for which this is at least the level.

    Returns:
      An interval whose upper end is infinite where so many seeds missed that the median may be a miss, and
      ``(0, inf)``, which excludes nothing, at fewer than 6 seeds (for 95%): even the smallest and the largest
      of 5 values hold the median only 94% of the time.

    Raises:
      ValueError: no values, a value below 0 or NaN, or a level outside (0, 1).

    Reference: Conover, Practical nonparametric statistics (1999), section 3.2.

    >>> median_steps([20, 30, 20, 40, 50, float("inf")])
    MedianSteps(median=35.0, interval=(20.0, inf))
    """
    check_level(level)
    x = _steps("values", values)
    ends = stats.quantile_test(x, p=0.5).confidence_interval(level)
    # scipy says NaN for an end that lies beyond all values.
    low = 0.0 if np.isnan(ends.low) else float(ends.low)
    high = np.inf if np.isnan(ends.high) else float(ends.high)
    return MedianSteps(float(np.median(x)), (low, high))


def sooner(a: Steps, b: Steps) -> SignTest:
    r"""The paired sign test of who reaches the target first, exact.

    .. math::
        p = P\bigl(|X - m/2| \ge |s - m/2|\bigr), \qquad X \sim \text{Bin}(m, \tfrac{1}{2})

    for s seeds of which a was sooner, of m on which one was. Seeds on which both took the same steps, or
    both missed, say nothing and are left out.

    The signed-rank test is not taken, though it finds more: it ranks how large the differences are, and a
    difference of two misses has no size, of a miss and a hit an infinite one; it also takes differences
    for symmetric and rarely tied, which steps on a grid of evaluations are not. The price: at 5 seeds p is
    never below 0.0625; six seeds that agree are the least that decides at 5%.

    Args:
      a, b: steps of both arms, seed by seed; infinity: never.

    Returns:
      p is 1 where no seed tells the arms apart. For several pairs, correct by :func:`~jaxlab.verdict.holm`.

    Raises:
      ValueError: different lengths, no values, a value below 0 or NaN.

    Reference: Dixon and Mood, The statistical sign test, J. American Statistical Association 41 (1946).

    >>> sooner([20, 30, 20, 40, 30, 20], [30, 50, 40, float("inf"), 40, 30])
    SignTest(sooner=6, later=0, p=0.03125)
    """
    x, y = _steps("a", a), _steps("b", b)
    if x.shape != y.shape:
        raise ValueError(f"a and b have {x.size} and {y.size} values: accepted is one value for each shared seed")
    less, more = int((x < y).sum()), int((x > y).sum())
    return SignTest(less, more, float(stats.binomtest(less, less + more).pvalue) if less + more else 1.0)


def _steps(name: str, values: Steps) -> Float[np.ndarray, " seeds"]:
    x = np.asarray(values, np.float64)
    if x.ndim != 1 or x.size == 0 or not (x >= 0.0).all():
        raise ValueError(f"{name} = {x.tolist()}: accepted is one number of steps for each seed, or inf for never")
    return x
