"""Which of several runs are better, over their seeds: the one rule by which everything here chooses."""

import numpy as np
from jaxtyping import Float


def rank(scores: Float[np.ndarray, " seeds"], *, higher_is_better: bool) -> tuple[int, float]:
    """What orders runs, the best first: lost (not finite) seeds before any mean; means equal to six digits tie."""
    there = scores[np.isfinite(scores)]
    mean = float(f"{there.mean():.6g}") if there.size else np.inf
    return scores.size - there.size, -mean if higher_is_better else mean


def order(scores: Float[np.ndarray, "rows seeds"], *, higher_is_better: bool) -> list[int]:
    """The rows, the best first; of a tie the first.

    >>> order(np.array([[0.5, 0.7], [0.9, np.nan], [0.6, 0.8]]), higher_is_better=True)
    [2, 0, 1]
    """
    return sorted(range(len(scores)), key=lambda row: rank(scores[row], higher_is_better=higher_is_better))
