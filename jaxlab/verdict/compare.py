"""Every pair of arms, and what can be said of it."""

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from jaxlab.core import hyper
from jaxlab.verdict.divergence import Evidence, evidence, fill, gains
from jaxlab.verdict.intervals import check_level
from jaxlab.verdict.paired import check_margin, equivalence_p, holm, seeds_needed

Verdict = Literal["better", "worse", "equivalent", "undecided"]


@dataclass(frozen=True)
class Comparison:
    """Arm a against arm b over the seeds they share.

    Attributes:
      a, b: names of the arms.
      difference: mean of a - b in the metric's own unit and direction (for a loss, negative is good).
        Infinite, and NaN where both arms lost equally many runs, if a run diverged.
      interval: of the difference, for this pair by itself; ``(-inf, inf)`` where there is none.
      p: two-sided p value of the paired t test.
      p_holm: p after Holm's correction over all pairs. This one decides.
      verdict: of a: ``better``, ``worse``, ``equivalent`` (within the margin) or ``undecided``.
      seeds_needed: for an undecided pair, about how many more seeds would show the observed difference
        with 80% power; None where there is no sensible number.
    """

    a: str
    b: str
    difference: float
    interval: tuple[float, float]
    p: float
    p_holm: float
    verdict: Verdict
    seeds_needed: int | None

    def flipped(self) -> "Comparison":
        """The same finding, read from b's side."""
        low, high = self.interval
        swap: dict[Verdict, Verdict] = {"better": "worse", "worse": "better"}
        return replace(
            self,
            a=self.b,
            b=self.a,
            difference=-self.difference,
            interval=(-high, -low),
            verdict=swap.get(self.verdict, self.verdict),
        )


def comparisons(
    arms: Mapping[str, Collection[float | None]],
    higher_is_better: bool,
    margin: float | None = None,
    level: float = 0.95,
    baseline: str | None = None,
) -> list[Comparison]:
    """Compares every pair of arms, or each with one, by paired t tests with Holm's correction over all these pairs.

    Args:
      arms: name -> one value of the metric for each report seed, the same seeds in the same order for
        every arm. NaN, infinite or None: that run diverged (see :mod:`jaxlab.verdict.divergence`).
      higher_is_better: whether the metric is to be large (accuracy) or small (loss).
      margin: differences below it do not matter. Then a pair shown to lie within it (two one-sided
        tests, Holm's correction over all pairs) is ``equivalent``, even if a difference is also shown.
        Differences and equivalences are two families of claims, each with its own level.
      level: confidence of the intervals; 1 - level is the chance of any false claim within a family.
      baseline: the arm that all others are held against; by default every pair is a question.

    Returns:
      One :class:`Comparison` for each pair, in the order of the arms. Empty for a single arm.

    Raises:
      TypeError: a value is no number.
      ValueError: no arms, no seeds, arms with different numbers of seeds, a bad margin or level, a baseline that is
        none of the arms.

    >>> found = comparisons({"adam": [0.95, 0.96, 0.94], "sgd": [0.90, 0.92, 0.89]}, higher_is_better=True)
    >>> found[0].verdict, round(found[0].difference, 4), round(found[0].p, 4)
    ('better', 0.0467, 0.0051)
    """
    check_level(level)
    if margin is not None:
        check_margin(margin)
    gain = {name: gains(values, higher_is_better, f"arms[{name!r}]") for name, values in arms.items()}
    _check_seeds({name: values.size for name, values in gain.items()})
    filled = fill(gain)
    if baseline is None:
        pairs = list(itertools.combinations(gain, 2))
    else:
        hyper.one_of("baseline", baseline, gain)
        pairs = [(name, baseline) for name in gain if name != baseline]
    tests = [evidence(gain[a], gain[b], filled[a], filled[b], level) for a, b in pairs]
    p_holm = holm([test.p for test in tests])
    close = holm([_close_p(gain[a], gain[b], margin) for a, b in pairs])
    alpha = 1.0 - level
    # Holm would test the pairs it has not yet decided at this level.
    alpha_open = alpha / max(1, sum(p >= alpha for p in p_holm))
    found = []
    for (a, b), test, p, p_close in zip(pairs, tests, p_holm, close, strict=True):
        verdict = _verdict(test, p < alpha, p_close < alpha)
        needed = _needed(gain[a], gain[b], alpha_open) if verdict == "undecided" else None
        # + 0.0 makes a zero of a negative zero.
        low, high = test.interval if higher_is_better else (-test.interval[1] + 0.0, -test.interval[0] + 0.0)
        difference = (test.difference if higher_is_better else -test.difference) + 0.0
        found.append(Comparison(a, b, difference, (low, high), test.p, p, verdict, needed))
    return found


def _check_seeds(seeds: Mapping[str, int]) -> None:
    if not seeds:
        raise ValueError("arms is empty: accepted is at least one arm")
    if 0 in seeds.values():
        raise ValueError(f"arms have {dict(seeds)} values: accepted is at least one seed")
    if len(set(seeds.values())) > 1:
        raise ValueError(f"arms have {dict(seeds)} values: accepted is one for each seed, and all arms share the seeds")


def _close_p(a: np.ndarray, b: np.ndarray, margin: float | None) -> float:
    if margin is None or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return 1.0
    return equivalence_p(a, b, margin)


def _verdict(test: Evidence, differs: bool, close: bool) -> Verdict:
    if close:
        return "equivalent"
    if not differs or test.direction == 0:
        return "undecided"
    return "better" if test.direction > 0 else "worse"


def _needed(a: np.ndarray, b: np.ndarray, alpha: float) -> int | None:
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return None
    return seeds_needed(a, b, alpha=alpha)
