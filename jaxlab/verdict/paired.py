"""The paired t test: two arms that ran the same seeds, judged by their differences seed by seed.

A seed fixes initial parameters, data split and batch order, and much of the spread between runs with
them. Two arms that share seeds share that spread, and it cancels in the difference.

Where differences do not vary at all, the t test divides by zero and would call any winner. Then only
their sign is used: under no true difference, n equal signs have probability 2 * 2^-n.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import special

from jaxlab.verdict.intervals import check_level

Values = Sequence[float] | Float[np.ndarray, " seeds"]
"""One finite number for each seed."""

_MOST_SEEDS = 10_000
"""More seeds than this is no plan: the answer is that the difference cannot be found."""


class Paired(NamedTuple):
    """Mean of a - b, its interval, and the two-sided probability of so large a difference by chance."""

    difference: float
    interval: tuple[float, float]
    p: float


def paired_t(a: Values, b: Values, level: float = 0.95) -> Paired:
    r"""The paired t test of a - b with its interval.

    .. math::
        d_i = a_i - b_i, \qquad t = \bar d \sqrt n / s_d \sim t_{n-1}

    Args:
      a, b: finite values of both arms, seed by seed.
      level: of the interval, in (0, 1).

    Returns:
      The interval is ``(-inf, inf)`` where there is none: with one seed (p = 1), and where all
      differences are one and the same number other than zero (p by their sign, see above). Arms that
      agree on every seed give the interval ``(0, 0)`` and p = 1.

    Raises:
      ValueError: different lengths, no values, or values that are not finite.

    Reference: Student, The probable error of a mean, Biometrika 6 (1908), section 9.

    >>> test = paired_t([0.9, 0.8, 0.9], [0.7, 0.7, 0.8])
    >>> round(test.difference, 4), round(test.p, 4)
    (0.1333, 0.0572)
    """
    check_level(level)
    x, y = _pair(a, b)
    differences = x - y
    mean = float(differences.mean())
    if not differences.any():
        return Paired(0.0, (0.0, 0.0), 1.0)
    if differences.size == 1 or _constant(x, y):
        return Paired(mean, (-math.inf, math.inf), 2.0 ** (1 - differences.size))
    # What stats.ttest_rel computes, a hundred times sooner: a study of many arms has many pairs.
    df, error = differences.size - 1, float(differences.std(ddof=1)) / math.sqrt(differences.size)
    half = float(special.stdtrit(df, (1.0 + level) / 2.0)) * error
    return Paired(mean, (mean - half, mean + half), 2.0 * float(special.stdtr(df, -abs(mean) / error)))


def equivalence_p(a: Values, b: Values, margin: float) -> float:
    r"""Two one-sided t tests: how likely are differences so close to zero if truly :math:`|a - b| \ge` margin?

    Args:
      a, b: finite values of both arms, seed by seed.
      margin: differences smaller than this do not matter to the asker; above 0.

    Returns:
      The larger of the two p values. Without any spread: that of the signs of the distances to both
      margins, or 1 where the difference itself is not within them.

    Raises:
      ValueError: as :func:`paired_t`; or a margin that is not a finite number above 0.

    Reference: Schuirmann, A comparison of the two one-sided tests procedure and the power approach for
    assessing the equivalence of average bioavailability, J. Pharmacokinetics and Biopharmaceutics 15 (1987).

    >>> equivalence_p([1.0, 2.0, 3.0], [1.01, 1.99, 3.0], margin=0.5) < 0.001
    True
    """
    check_margin(margin)
    x, y = _pair(a, b)
    differences = x - y
    if differences.size == 1:
        return 1.0
    if _constant(x, y):
        return 0.5**differences.size if abs(differences.mean()) < margin else 1.0
    error = differences.std(ddof=1) / math.sqrt(differences.size)
    distance = margin - abs(differences.mean())
    return float(special.stdtr(differences.size - 1, -distance / error))


def holm(p: Sequence[float]) -> list[float]:
    r"""Holm's correction: over m tests, the probability of any false claim at all is at most :math:`\alpha`.

    .. math::
        \tilde p_{(k)} = \min\bigl(1, \max_{j \le k} (m - j + 1) \, p_{(j)}\bigr)

    Valid however the tests depend on each other, and pairs that share an arm do.

    Args:
      p: one p value for each test, in [0, 1].

    Returns:
      Corrected values in the given order, each to be compared with the level itself.

    Raises:
      ValueError: a p value outside [0, 1].

    Reference: Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statistics 6 (1979).

    >>> holm([0.01, 0.04, 0.02])
    [0.03, 0.04, 0.04]
    """
    values = np.asarray(p, np.float64)
    if not ((values >= 0.0) & (values <= 1.0)).all():
        raise ValueError(f"p = {list(p)!r}: accepted are numbers in [0, 1]")
    order = np.argsort(values, kind="stable")
    scaled = values[order] * np.arange(values.size, 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(scaled))
    return corrected.tolist()


def power(effect: float, seeds: int, alpha: float = 0.05) -> float:
    r"""The probability that a two-sided paired t test finds a true difference, with its right sign.

    .. math::
        P\bigl(T > t_{n-1, 1 - \alpha/2}\bigr), \qquad T \sim t'_{n-1}(\text{effect} \cdot \sqrt n)

    Args:
      effect: mean difference over the standard deviation of the differences.
      seeds: number of pairs, at least 2.
      alpha: level of the test, in (0, 1).

    Reference: Cohen, Statistical power analysis for the behavioral sciences (1988), chapter 2.

    >>> round(power(0.5, 34), 3)
    0.808
    """
    critical = special.stdtrit(seeds - 1, 1.0 - alpha / 2.0)
    return 1.0 - float(special.nctdtr(seeds - 1, abs(effect) * math.sqrt(seeds), critical))


def seeds_needed(a: Values, b: Values, *, alpha: float = 0.05, power_wanted: float = 0.8) -> int | None:
    """About how many seeds MORE would show the observed difference, were it the true one.

    The observed effect is itself uncertain at few seeds, so this is the size of a plan and no promise.

    Args:
      a, b: finite values of both arms, seed by seed.
      alpha: level of the test (what Holm's correction leaves for this pair).
      power_wanted: the wished probability of finding it, in (0, 1).

    Returns:
      At least 1; or None where there is no number to give: fewer than two seeds, no difference or no
      spread at all, or more than 10,000 seeds.

    >>> seeds_needed([0.93, 0.91, 0.95, 0.92], [0.91, 0.92, 0.92, 0.91])
    13
    """
    x, y = _pair(a, b)
    differences = x - y
    seeds = differences.size
    if seeds < 2 or _constant(x, y):
        return None
    effect = float(differences.mean() / differences.std(ddof=1))
    low, high = seeds, seeds + 1
    while power(effect, high, alpha) < power_wanted:
        if high >= _MOST_SEEDS:
            return None
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(effect, middle, alpha) >= power_wanted else (middle, high)
    return high - seeds if high <= _MOST_SEEDS else None


def check_margin(margin: float) -> float:
    """Returns a margin of equivalence that is a finite number above 0.

    Raises:
      ValueError: it is not.
    """
    if not (math.isfinite(margin) and margin > 0.0):
        raise ValueError(f"margin = {margin!r}: accepted is a number in (0, inf), in the unit of the metric")
    return margin


def _pair(a: Values, b: Values) -> tuple[Float[np.ndarray, " seeds"], Float[np.ndarray, " seeds"]]:
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if x.shape != y.shape or x.ndim != 1 or x.size == 0:
        raise ValueError(f"a and b have shapes {x.shape} and {y.shape}: accepted is one value for each shared seed")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError(f"a = {x.tolist()} and b = {y.tolist()}: accepted are finite values")
    return x, y


def _constant(a: Float[np.ndarray, " seeds"], b: Float[np.ndarray, " seeds"]) -> bool:
    # Metrics are float32 numbers: equal differences come out unequal by its rounding, and a spread of
    # that size is none.
    resolution = np.finfo(np.float32).eps * max(np.abs(a).max(), np.abs(b).max())
    return bool(np.ptp(a - b) <= 2.0 * resolution)
