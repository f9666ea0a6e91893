"""What a calibration counts: rates with exact intervals, the size of a difference, and the gates of both."""

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from jaxlab import verdict

LIMIT = 0.05
"""How often a false winner may be called."""
SKEWED = 0.8
"""Differences of more skewness are found more or less often than the power of normal ones says."""


@dataclasses.dataclass(frozen=True)
class Rate:
    """How many of how many."""

    count: int
    of_all: int

    @classmethod
    def of(cls, each: Collection[bool] | Bool[np.ndarray, " all"]) -> "Rate":
        """Counts."""
        return cls(int(np.sum(list(each))), len(each))

    @property
    def value(self) -> float:
        """As a fraction."""
        return self.count / self.of_all

    @property
    def interval(self) -> tuple[float, float]:
        """Exact, binomial.

        Reference: Clopper and Pearson, The use of confidence or fiducial limits, Biometrika 26 (1934).
        """
        return verdict.binomial_interval(self.count, self.of_all)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{percent(self.value)} ({percent(low)} to {percent(high)})"


@dataclasses.dataclass(frozen=True)
class Effect:
    """A difference, measured on many pairs of runs: its mean, and the spread and skewness of one pair's."""

    mean: float
    deviation: float
    skewness: float
    pairs: int

    @classmethod
    def of(cls, differences: Float[np.ndarray, " pairs"]) -> "Effect":
        """From the differences, pair by pair."""
        deviation = float(differences.std(ddof=1))
        return cls(float(differences.mean()), deviation, float(stats.skew(differences)), differences.size)

    @property
    def size(self) -> float:
        """In standard deviations."""
        return self.mean / self.deviation

    @property
    def is_skewed(self) -> bool:
        """Whether it is so far from normal that its power is only roughly known."""
        return abs(self.skewness) > SKEWED

    def power(self, seeds: int) -> float:
        """The chance that a comparison of so many seeds finds it."""
        return verdict.power(self.size, seeds)

    def power_interval(self, seeds: int) -> tuple[float, float]:
        """The same at both ends of the size's interval (its variance is 1 / pairs + size^2 / (2 pairs))."""
        half = 1.96 * math.sqrt((1.0 + self.size**2 / 2.0) / self.pairs)
        ends = [verdict.power(max(0.0, abs(self.size) + sign * half), seeds) for sign in (-1, 1)]
        return ends[0], ends[1]

    def sentence(self, rate: float, part: float, seeds: int) -> str:
        """What is said before the repetitions."""
        return (
            f"a learning rate of {part * rate:.3g} instead of {rate:.3g}. Over {self.pairs:,} pairs of runs it makes a "
            f"difference of {abs(self.size):.2f} standard deviations, which {seeds} seeds find with a chance of "
            f"{percent(self.power(seeds))}."
        )


@dataclasses.dataclass(frozen=True)
class Same:
    """One recipe under several names, by one metric: how often a rule called a winner, falsely.

    Attributes:
      pair: the lab's rule, two names at a time.
      every: the lab's rule with Holm's correction, all pairs of all names: any winner at all.
      uncorrected: the same without the correction.
      bootstrap: the percentile bootstrap, two names at a time.
      covered: intervals of a pair that hold 0.
      p, p_every: of each pair; and the smallest of each repetition, corrected.
      differences: of each pair, for the bootstrap.
    """

    metric: str
    pair: Rate
    every: Rate
    uncorrected: Rate
    bootstrap: Rate
    covered: Rate
    p: Float[np.ndarray, " pairs"]
    p_every: Float[np.ndarray, " repetitions"]
    differences: Float[np.ndarray, "pairs seeds"]


@dataclasses.dataclass(frozen=True)
class Planted:
    """A real difference, and how often it was found.

    Attributes:
      part: of the learning rate.
      pilot: the power of other parts, from few runs.
      effect: from many runs.
      found: with a number of seeds, in fresh repetitions.
      wrong: verdicts for the worse recipe.
      covered: intervals that hold the mean of the many runs.
      equivalent: called equivalent, the margin being the difference itself, so that every such call is false.
    """

    part: float
    pilot: Mapping[float, float]
    effect: Effect
    found: Mapping[int, Rate]
    wrong: Rate
    covered: Rate
    equivalent: Rate


@dataclasses.dataclass(frozen=True)
class Gate:
    """What was promised, what was found, and whether they agree."""

    name: str
    promised: str
    rate: Rate
    holds: bool
    remark: str = ""

    @property
    def sentence(self) -> str:
        """For the terminal."""
        return f"{self.name}: promised {self.promised}, found {self.rate}{self.remark}."


@dataclasses.dataclass(frozen=True)
class Found:
    """All that a calibration showed; ``same`` by the report's metric first."""

    measure: verdict.Measure
    same: Sequence[Same]
    planted: Planted
    seeds: int
    names: int
    runs: int
    learning_rate: float

    @property
    def power_found(self) -> Rate:
        """With the seeds of a comparison."""
        return self.planted.found[self.seeds]

    def gates(self) -> list[Gate]:
        """By the metric of the report."""
        same, found = self.same[0], self.power_found
        effect = self.planted.effect
        power = effect.power(self.seeds)
        limit = f"at most {LIMIT:.0%}"
        return [
            Gate("False winners, one pair", limit, same.pair, same.pair.interval[0] <= LIMIT),
            Gate(f"False winners, all pairs of {self.names} names", limit, same.every, same.every.interval[0] <= LIMIT),
            Gate(
                "A real difference found",
                f"about {percent(power)}",
                found,
                found.interval[0] <= power <= found.interval[1],
                f" (differences are skewed by {effect.skewness:.2f}, so the promise is rough)"
                if effect.is_skewed
                else "",
            ),
            Gate(
                "False winners of the percentile bootstrap, which must be caught",
                f"more than {LIMIT:.0%}",
                same.bootstrap,
                same.bootstrap.interval[0] > LIMIT,
            ),
        ]


def bootstrap_winners(differences: Float[np.ndarray, "pairs seeds"], level: float = 0.95) -> Bool[np.ndarray, " pairs"]:
    """A rule that is wrong: a winner wherever the percentile bootstrap's interval of the mean leaves out 0."""
    low, high = verdict.bootstrap_band(differences.T, level)
    return (low > 0.0) | (high < 0.0)


def distinct(scores: Mapping[str, np.ndarray], metric: str) -> dict[str, np.ndarray]:
    """The metric of the report first; then those that are not the same numbers under another name."""
    found = {metric: scores[metric]}
    for name, values in scores.items():
        if not any(np.array_equal(values, others) for others in found.values()):
            found[name] = values
    return found


def percent(value: float) -> str:
    """Of a fraction.

    >>> percent(0.0475), percent(0.2), percent(0.0), percent(0.99999)
    ('4.8%', '20.0%', '0%', '100%')
    """
    return "0%" if value == 0.0 else f"{100 * value:.1f}%".replace("100.0", "100")
