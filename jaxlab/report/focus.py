"""Which part of an axis to show when one arm is far from all others."""

import math

import numpy as np
from jaxtyping import Float

_GAPS, _SPREADS = 6.0, 20.0


def near(
    finals: Float[np.ndarray, " arms"], spread: float = 0.0, *, higher_is_better: bool
) -> Float[np.ndarray, " arms"]:
    """Which arms are close enough to the best to share a readable axis with it, as booleans.

    An arm is too far off if it lies both 6 times as far from the best as the median other arm does, and
    20 times the spread of the seeds. NaN (an arm of which every run diverged) is too far.

    >>> near(np.array([0.97, 0.96, 0.95, 0.10]), higher_is_better=True).tolist()
    [True, True, True, False]
    """
    finite = finals[np.isfinite(finals)]
    if finite.size == 0:
        return np.zeros(finals.shape, bool)
    best = finite.max() if higher_is_better else finite.min()
    gaps = np.abs(finals - best)
    others = np.sort(gaps[np.isfinite(gaps) & (gaps > 0.0)])
    typical = others[(others.size - 1) // 2] if others.size else math.inf
    with np.errstate(invalid="ignore"):
        return gaps <= max(_GAPS * typical, _SPREADS * spread)


def limits(values: Float[np.ndarray, "..."], pad: float = 0.06) -> tuple[float, float]:
    """Ends of an axis that holds all finite values and a little room.

    >>> limits(np.array([0.0, np.nan, 1.0]), pad=0.5)
    (-0.5, 1.5)
    """
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    room = pad * (high - low) or 0.05 * abs(high) or 0.5
    return low - room, high + room


def best_part(values: Float[np.ndarray, "..."], part: float = 0.5, *, higher_is_better: bool) -> tuple[float, float]:
    """Ends of an axis from the best value to three times as far from it as the best part lies, and a little room.

    >>> low, high = best_part(np.array([1.0, 0.9, 0.8, -5.0, np.nan]), higher_is_better=True)
    >>> round(low, 3), round(high, 3)
    (0.487, 1.063)
    """
    sign = 1.0 if higher_is_better else -1.0
    gains = sign * values[np.isfinite(values)]
    if gains.size == 0:
        return 0.0, 1.0
    best = float(gains.max())
    worst = max(float(gains.min()), best - 3.0 * (best - float(np.quantile(gains, 1.0 - part))))
    return limits(sign * np.array([worst, best]), pad=0.14)
