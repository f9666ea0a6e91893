"""The findings as sentences that mean to a layman what they mean to a statistician."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from jaxlab.verdict.compare import Comparison
from jaxlab.verdict.divergence import ranking
from jaxlab.verdict.intervals import t_interval
from jaxlab.verdict.measure import Measure, enumerate_few, enumerate_words, probability
from jaxlab.verdict.superiority import Superiority


def sentence(comparison: Comparison, measure: Measure, level: float = 0.95) -> str:
    """One comparison in plain language, the better arm first.

    Args:
      comparison: of two arms on test data.
      measure: the metric.
      level: confidence of the comparison's interval.

    >>> found = Comparison("sgd", "adamw", -0.012, (-0.019, -0.005), 0.001, 0.012, "worse", None)
    >>> accuracy = Measure("accuracy", "fraction correct", higher_is_better=True)
    >>> print(sentence(found, accuracy))  # doctest: +NORMALIZE_WHITESPACE
    adamw is better than sgd on test accuracy:
    +1.20 points (95% interval +0.50 to +1.90 points, corrected p = 0.012).
    """
    found = comparison.flipped() if comparison.verdict == "worse" else comparison
    a, b, on = found.a, found.b, f"on test {measure.name}"
    size = _size(found, measure, level)
    if found.verdict == "better":
        return f"{a} is better than {b} {on}: {size or f'more runs of {b} diverged'}."
    if found.verdict == "equivalent":
        return f"{a} and {b} are equivalent {on}: {size}."
    if found.difference == 0.0 and found.interval == (0.0, 0.0):
        return f"{a} and {b} gave the same test {measure.name} on every seed."
    if found.seeds_needed is not None:
        more = f"needs about {found.seeds_needed} more {_seeds(found.seeds_needed)}"
        return f"{a} against {b} is undecided {on}: {size}; {more}."
    return f"{a} against {b} is undecided {on}: {size or 'runs diverged'}."


def chance(a: str, b: str, found: Superiority, level: float = 0.95) -> str:
    """What :func:`~jaxlab.verdict.p_better` means to someone who trains once, the likelier arm first.

    >>> print(chance("sgd", "adam", Superiority(0.2, (0.005, 0.716))))
    adam beats sgd on 80% of seeds (95% interval 28% to 99.5%).
    """
    p, (low, high) = found.probability, found.interval
    if p < 0.5:
        a, b, p, low, high = b, a, 1.0 - p, 1.0 - high, 1.0 - low
    return f"{a} beats {b} on {_share(p)} of seeds ({level:.0%} interval {_share(low)} to {_share(high)})."


def overall(
    arms: Mapping[str, Collection[float | None]],
    comparisons: Sequence[Comparison],
    measure: Measure,
    *,
    noun: str = "optimizer",
    level: float = 0.95,
) -> str:
    """The answer to "which one?" in one to three plain sentences.

    An arm is called best only if it is shown to be better than every other one.

    Args:
      arms: what :func:`jaxlab.verdict.compare.comparisons` was given.
      comparisons: what it returned.
      measure: the metric.
      noun: what an arm is.
      level: confidence of the intervals.

    >>> from jaxlab.verdict.compare import comparisons
    >>> arms = {"adam": [0.95, 0.96, 0.94], "sgd": [0.90, 0.92, 0.89]}
    >>> accuracy = Measure("accuracy", "fraction correct", higher_is_better=True)
    >>> print(overall(arms, comparisons(arms, higher_is_better=True), accuracy))  # doctest: +NORMALIZE_WHITESPACE
    adam is best on test accuracy with 95.00%:
    better than sgd by +4.67 points (95% interval +3.23 to +6.10 points, corrected p = 0.005).
    """
    order = ranking(arms, measure.higher_is_better)
    best, others = order[0], order[1:]
    values = [x for x in arms[best] if x is not None and math.isfinite(x)]
    if not values:
        return f"Every run of every {noun} diverged, so nothing can be said. Try smaller learning rates."
    mean = measure.value(float(np.mean(values)))
    lost = len(arms[best]) - len(values)
    caveat = f" over the {len(values)} of {len(arms[best])} runs that did not diverge" if lost else ""
    if not others:
        return _alone(best, arms[best], mean + caveat, measure, level)
    if len(arms[best]) == 1:
        return (
            f"One seed cannot decide. {best} is ahead on test {measure.name} with {mean}; "
            "at least 2 report seeds are needed for any verdict, and 5 are a good start."
        )
    against = {c.b: c for c in (_from(best, c) for c in comparisons if best in (c.a, c.b))}
    beaten = [name for name in others if against[name].verdict == "better"]
    if len(beaten) == len(others):
        return _best(best, mean + caveat, [against[name] for name in others], measure, level)
    rest = [replace(against[name], b=_with_losses(name, arms[name])) for name in others if name not in beaten]
    return _not_best(best, mean + caveat, beaten, rest, measure, noun)


def _with_losses(name: str, values: Collection[float | None]) -> str:
    lost = sum(x is None or not math.isfinite(x) for x in values)
    return f"{name} ({lost} of {len(values)} runs diverged)" if lost else name


def _from(name: str, comparison: Comparison) -> Comparison:
    return comparison if comparison.a == name else comparison.flipped()


def _alone(name: str, values: Collection[float | None], mean: str, measure: Measure, level: float) -> str:
    low, high = t_interval([math.nan if x is None else x for x in values], level)
    known = f" ({level:.0%} interval {measure.value(low)} to {measure.value(high)})" if math.isfinite(low) else ""
    return f"{name} reaches a test {measure.name} of {mean}{known}. There is nothing to compare it with."


def _best(best: str, mean: str, wins: list[Comparison], measure: Measure, level: float) -> str:
    known = [c for c in wins if math.isfinite(c.difference)]
    head = f"{best} is best on test {measure.name} with {mean}: better than"
    if not known:
        return f"{head} {enumerate_few([c.b for c in wins])}, whose runs diverged."
    nearest = min(known, key=lambda c: abs(c.difference))
    size = _size(nearest, measure, level)
    if len(wins) == 1:
        return f"{head} {nearest.b} by {size}."
    others = "both others" if len(wins) == 2 else f"all {len(wins)} others"
    return f"{head} {others}. The nearest is {nearest.b}, behind by {size}."


def _not_best(best: str, mean: str, beaten: list[str], rest: list[Comparison], measure: Measure, noun: str) -> str:
    equal = [c.b for c in rest if c.verdict == "equivalent"]
    open_ = [c for c in rest if c.verdict != "equivalent"]
    reasons = []
    if open_:
        reasons.append(f"{enumerate_few([c.b for c in open_])} may be as good")
    if equal:
        reasons.append(f"{enumerate_few(equal)} {'is' if len(equal) == 1 else 'are'} equivalent to it")
    lead = (
        f"No {noun} is shown to be best: {best} leads on test {measure.name} with {mean}, "
        f"but {enumerate_words(reasons)}."
    )
    said = [lead]
    if beaten:
        said.append(f"It is better than {enumerate_few(beaten)}.")
    plans = [(c.b, c.seeds_needed) for c in open_ if c.seeds_needed is not None]
    if plans:
        rival, seeds = plans[0]
        said.append(f"To tell {best} from {rival} needs about {seeds:,} more {_seeds(seeds)}.")
    return " ".join(said)


def _size(comparison: Comparison, measure: Measure, level: float) -> str:
    if not math.isfinite(comparison.difference):
        return ""
    low, high = comparison.interval
    known = f"{level:.0%} interval {measure.interval(low, high)}, " if math.isfinite(low) else ""
    return f"{measure.difference(comparison.difference)} ({known}corrected p {probability(comparison.p_holm)})"


def _share(p: float) -> str:
    # One more digit near certainty, where 99.5% and 100% are not the same.
    digits = 0 if 0.01 <= p <= 0.99 or p in (0.0, 1.0) else 1
    return f"{p:.{digits}%}"


def _seeds(count: int) -> str:
    return "seed" if count == 1 else "seeds"
