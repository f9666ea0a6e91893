"""What a study can find, said before it runs.

An "undecided" means little from a study that had no chance. So before the run: how large must a difference
be to be found, in standard deviations of the paired differences, and in the metric's unit if the tuning
runs say how large those are.
"""

import itertools
import math
from collections.abc import Collection, Mapping

import numpy as np
from scipy import optimize, special, stats

from jaxlab.core import hyper
from jaxlab.verdict.divergence import gains
from jaxlab.verdict.measure import Measure
from jaxlab.verdict.paired import check_margin, power

_TAIL = 1e-12
"""A probability that makes no difference to a power."""


def detectable_effect(seeds: int, pairs: int = 1, power_wanted: float = 0.8, alpha: float = 0.05) -> float:
    r"""The least difference, in standard deviations of the paired differences, that is found with this power.

    The inverse of :func:`jaxlab.verdict.power` at Holm's first step, which tests the clearest of all pairs at
    :math:`\alpha / \text{pairs}`. Later steps are milder, so this is what can be relied on for every pair.

    Args:
      seeds: report seeds, at least 1.
      pairs: how many pairs of arms are compared, at least 1.
      power_wanted: the wished probability of finding it, in (0, 1).
      alpha: level of all pairs together, in (0, 1).

    Returns:
      Infinity for one seed, which finds nothing.

    Raises:
      TypeError, ValueError: a number out of its range.

    Reference: Cohen, Statistical power analysis for the behavioral sciences (1988), chapter 2.

    >>> round(detectable_effect(5), 2), round(detectable_effect(5, pairs=28), 2)
    (1.68, 4.12)
    """
    hyper.integer("seeds", seeds, at_least=1)
    level = _level(pairs, alpha)
    hyper.number("power_wanted", power_wanted, "(0, 1)")
    if seeds == 1:
        return math.inf
    if power(0.0, seeds, level) >= power_wanted:
        return 0.0
    high = 1.0
    while power(high, seeds, level) < power_wanted:
        high *= 2.0
    found = optimize.root_scalar(lambda effect: power(effect, seeds, level) - power_wanted, bracket=(0.0, high))
    return float(found.root)


def equivalence_power(margin: float, seeds: int, pairs: int = 1, alpha: float = 0.05) -> float:
    r"""The probability that two one-sided t tests show two arms equivalent that truly do not differ.

    .. math::
        P\Bigl(|\bar d| < m - t_{n-1, 1-\alpha} \, \frac{s}{\sqrt n}\Bigr)
        = E_s\Bigl[2 \Phi\bigl(m \sqrt n - t_{n-1, 1-\alpha} \, s\bigr) - 1\Bigr]^+,
        \qquad (n - 1) s^2 \sim \chi^2_{n-1}

    in units of the standard deviation of the differences; mean and spread of a normal sample are independent.

    Args:
      margin: of equivalence, in standard deviations of the paired differences.
      seeds, pairs, alpha: as for :func:`detectable_effect`.

    Raises:
      TypeError, ValueError: a number out of its range.

    Reference: Phillips, Power of the two one-sided tests procedure in bioequivalence, J. Pharmacokinetics and
    Biopharmaceutics 18 (1990).

    >>> round(equivalence_power(1.0, 5), 2), round(equivalence_power(2.0, 5), 2)
    (0.29, 0.95)
    """
    check_margin(margin)
    df, level = hyper.integer("seeds", seeds, at_least=1) - 1, _level(pairs, alpha)
    if df == 0:
        return 0.0
    critical, reach = float(special.stdtrit(df, 1.0 - level)), margin * math.sqrt(seeds)

    def shown(chi: float) -> float:
        return 2.0 * float(special.ndtr(reach - critical * chi / math.sqrt(df))) - 1.0

    # Where the spread is larger than this, no mean is close enough. Beyond the tail there is nothing either: a range
    # of integration that is mostly empty would hide the peak.
    spread = stats.chi(df)
    limit = reach / critical * math.sqrt(df) if critical > 0.0 else math.inf
    low, high = float(spread.ppf(_TAIL)), min(limit, float(spread.isf(_TAIL)))
    return min(1.0, float(spread.expect(shown, lb=low, ub=high))) if low < high else 0.0


def paired_sd(arms: Mapping[str, Collection[float | None]]) -> float | None:
    """The typical standard deviation of paired differences: the root mean square over all pairs of arms.

    Args:
      arms: name -> a value for each seed, the same seeds for every arm; for a plan, each arm's best tuning
        trial. NaN, infinite or None: that run diverged and is left out.

    Returns:
      None where no pair has two seeds that both finished.

    Raises:
      TypeError: a value is no number.
      ValueError: arms with different numbers of seeds.

    >>> paired_sd({"a": [1.0, 2.0, 3.0], "b": [1.0, 1.0, 1.0]})
    1.0
    """
    gain = {name: gains(values, True, f"arms[{name!r}]") for name, values in arms.items()}
    if len({values.size for values in gain.values()}) > 1:
        sizes = {name: values.size for name, values in gain.items()}
        raise ValueError(f"arms have {sizes} values: accepted is one for each seed, and all arms share the seeds")
    differences = [a - b for a, b in itertools.combinations(gain.values(), 2)]
    finished = [x[np.isfinite(x)] for x in differences]
    variances = [x.var(ddof=1) for x in finished if x.size >= 2]
    return float(np.sqrt(np.mean(variances))) if variances else None


def power_words(
    seeds: int, pairs: int, sd: float | None = None, measure: Measure | None = None, margin: float | None = None
) -> str:
    """What the run to come can find, in a sentence or two; to be printed before it.

    Args:
      seeds: report seeds of each arm.
      pairs: how many pairs of arms are compared; 0: there is nothing to find.
      sd: standard deviation of the paired differences, see :func:`paired_sd`; None if unknown.
      measure: the metric, for the same in its unit.
      margin: of equivalence in the metric's unit, if there is one.

    >>> accuracy = Measure("accuracy", "fraction correct", higher_is_better=True)
    >>> print(power_words(5, 1, sd=0.01, measure=accuracy))  # doctest: +NORMALIZE_WHITESPACE
    With 5 report seeds and 1 pair, a difference of 1.68 times the spread (standard deviation) of the
    differences from seed to seed is found with 80% power: here about 1.68 points of test accuracy.
    A smaller one may stay undecided.
    """
    if pairs == 0:
        return "There is one arm, so nothing is compared."
    effect = detectable_effect(seeds, pairs)
    if seeds == 1:
        return "One report seed cannot decide anything; 5 are a good start."
    found = (
        f"With {seeds} report seeds and {pairs:,} {'pair' if pairs == 1 else 'pairs'}, a difference of "
        f"{effect:.3g} times the spread (standard deviation) of the differences from seed to seed "
        "is found with 80% power"
    )
    if sd is None or measure is None:
        return f"{found}. A smaller one may stay undecided."
    unit = measure.difference(effect * sd).removeprefix("+")
    said = f"{found}: here about {unit} of test {measure.name}. A smaller one may stay undecided."
    if margin is None:
        return said
    chance = equivalence_power(margin / sd, seeds, pairs) if sd > 0.0 else 1.0
    shown = measure.difference(margin).removeprefix("+")
    return f"{said} Arms that do not differ are shown to be within {shown} with {chance:.0%} power."


def _level(pairs: int, alpha: float) -> float:
    """What Holm's first step tests at."""
    hyper.number("alpha", alpha, "(0, 1)")
    return alpha / hyper.integer("pairs", pairs, at_least=1)
