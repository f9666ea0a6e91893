"""What a diverged run counts as.

A run whose metric is not a finite number is the worst outcome there is, and dropping it would let an
arm that survives one seed in five look like one that always works. So:

1. Ranked by how many runs diverged, then by the mean of those that finished. No arm with a diverged run
   stands above one with fewer.
2. A diverged run enters a test as a number below everything seen: the worst finished run of the study,
   less the study's whole range (:func:`fill`). It has no true number, so a difference with a diverged run
   in it is reported as infinite, or as unknown where both arms lost equally many, and has no interval.
3. Evidence in favour of the arm that diverged more often is not counted, so such an arm is never called
   better, nor equivalent.
4. Such a filled-in number also widens the spread, which alone could hide that an arm is plainly worse.
   So the seeds that both arms finished are tested too, and the smaller p value, doubled for the two
   looks (Bonferroni), stands if it speaks against the arm that diverged more often.
"""

import math
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxlab.verdict.paired import paired_t


class Evidence(NamedTuple):
    """How two arms differ, in units where larger is better.

    ``direction`` is +1 where the evidence speaks for a, -1 for b, 0 for neither.
    """

    difference: float
    interval: tuple[float, float]
    p: float
    direction: int


def ranking(arms: Mapping[str, Collection[float | None]], higher_is_better: bool) -> list[str]:
    """Names, best first: fewest diverged runs, then the best mean of the finished ones.

    >>> ranking({"sgd": [0.7, 0.8], "adam": [0.9, 0.8], "wild": [1.0, float("nan")]}, higher_is_better=True)
    ['adam', 'sgd', 'wild']
    """

    def place(name: str) -> tuple[int, float]:
        gain = gains(arms[name], higher_is_better)
        finished = gain[np.isfinite(gain)]
        return gain.size - finished.size, -float(finished.mean()) if finished.size else math.inf

    return sorted(arms, key=place)


def gains(
    values: Collection[float | None], higher_is_better: bool, name: str = "values"
) -> Float[np.ndarray, " seeds"]:
    """Values turned so that larger is better, NaN where a run diverged.

    Raises:
      TypeError: a value is no number; the error calls it by ``name``.

    >>> gains([0.5, None, float("inf")], higher_is_better=False).tolist()
    [-0.5, nan, nan]
    """
    for value in values:
        if value is not None and (isinstance(value, bool) or not hasattr(value, "__float__")):
            raise TypeError(f"{name} has the value {value!r}: accepted are numbers, or None for a diverged run")
    found = np.array([math.nan if value is None else value for value in values], np.float64)
    return np.where(np.isfinite(found), found if higher_is_better else -found, np.nan)


def fill(arms: Mapping[str, Float[np.ndarray, " seeds"]]) -> dict[str, Float[np.ndarray, " seeds"]]:
    """Gains with a number for every diverged run: the worst finished one less the whole range.

    >>> fill({"a": np.array([0.9, np.nan]), "b": np.array([0.8, 0.7])})["a"].round(3).tolist()
    [0.9, 0.5]
    """
    finished = np.concatenate([gain[np.isfinite(gain)] for gain in arms.values()])
    worst = finished.min(initial=math.inf) if finished.size else 0.0
    span = np.ptp(finished) if finished.size else 0.0
    floor = worst - (span or abs(worst) or 1.0)
    return {name: np.where(np.isfinite(gain), gain, floor) for name, gain in arms.items()}


def evidence(
    a: Float[np.ndarray, " seeds"],
    b: Float[np.ndarray, " seeds"],
    filled_a: Float[np.ndarray, " seeds"],
    filled_b: Float[np.ndarray, " seeds"],
    level: float = 0.95,
) -> Evidence:
    """The paired t test of two arms' gains; with diverged runs, by the rules at the head of this module."""
    whole = paired_t(filled_a, filled_b, level)
    lost_a, lost_b = int(np.isnan(a).sum()), int(np.isnan(b).sum())
    if lost_a == lost_b == 0:
        return Evidence(*whole, direction=int(np.sign(whole.difference)))
    unbounded = (-math.inf, math.inf)
    if lost_a == lost_b:
        return Evidence(math.nan, unbounded, whole.p, int(np.sign(whole.difference)))
    against = -1 if lost_a > lost_b else 1
    both = np.isfinite(a) & np.isfinite(b)
    looks = [whole, paired_t(a[both], b[both], level)] if both.any() else [whole]
    p = min((look.p for look in looks if look.difference * against > 0.0), default=1.0)
    return Evidence(against * math.inf, unbounded, min(1.0, len(looks) * p), against)
