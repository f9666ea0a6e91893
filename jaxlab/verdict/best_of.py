"""What a search of k trials finds on average: the curve that says whether an arm needs much tuning.

The best of n trials says nothing of a smaller budget. From the same n trials follows what k of them, drawn
at random, would have found, for every k up to n.
"""

from collections.abc import Collection

import numpy as np
from jaxtyping import Float

from jaxlab.verdict.divergence import gains
from jaxlab.verdict.intervals import check_level


def expected_best(values: Collection[float | None], higher_is_better: bool) -> list[float | None]:
    r"""The expected best value of k of these n trials, for k = 1 to n: the mean over all subsets of size k.

    With trials sorted from worst to best, :math:`x_{(i)}` is the best of as many subsets as choose the
    other k - 1 below it:

    .. math::
        E_k = \sum_{i=k}^{n} x_{(i)} \binom{i-1}{k-1} \Big/ \binom{n}{k}

    Each subset is what a search of k independent trials might have seen, so :math:`E_k` is unbiased for
    what such a search finds. Dodge et al. draw the k trials with replacement instead,
    :math:`\sum_i x_{(i)} \bigl[(i/n)^k - ((i-1)/n)^k\bigr]`, which counts trials twice and is biased
    towards the worse.

    Args:
      values: what each trial found, such as the mean over its selection seeds. NaN, infinite or None: it
        diverged, which is worse than every number.
      higher_is_better: whether values are to be large (accuracy) or small (loss).

    Returns:
      n numbers, the last of them the best of all. With d diverged trials those for k = 1 to d are None: some
      subsets of that size have no finished trial, so their best, and with it the mean over all
      subsets, is no number. To leave those subsets out would flatter an arm that often diverges.

    Raises:
      TypeError: a value is no number.
      ValueError: no values.

    References: Dodge et al., Show your work: improved reporting of experimental results, EMNLP 2019;
    Tang et al., Showing your work doesn't always work, ACL 2020 (its bias, and the unbiased form).

    >>> expected_best([0.25, 1.0, 0.5, 0.25], higher_is_better=True)
    [0.5, 0.7083333333333333, 0.875, 1.0]
    >>> expected_best([3.0, None, 1.0], higher_is_better=False)
    [None, 1.6666666666666665, 1.0]
    """
    bests = _expected(_trials(values, higher_is_better))
    return [float(x) if np.isfinite(x) else None for x in (bests if higher_is_better else 0.0 - bests)]


def expected_best_band(
    values: Collection[float | None], higher_is_better: bool, level: float = 0.95, *, draws: int = 1000, seed: int = 0
) -> tuple[Float[np.ndarray, " trials"], Float[np.ndarray, " trials"]]:
    """A percentile bootstrap band around :func:`expected_best`, for display and never for a decision.

    Trials are drawn again with replacement. A resample finds nothing better than the best trial there is, so
    towards k = n the band lies on the worse side of the curve.

    Args:
      values, higher_is_better: as for :func:`expected_best`.
      level: nominal level, in (0, 1).
      draws: how many resamples.
      seed: of the resampling, so that a plot is the same every time.

    Returns:
      Lower and upper edge for k = 1 to n; NaN where an edge is no number, because so many trials diverged.

    Raises:
      TypeError, ValueError: as :func:`expected_best`; or a level outside (0, 1).

    >>> low, high = expected_best_band([0.5, 0.9, 0.7], higher_is_better=True)
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.5, 0.5, 0.5], [0.9, 0.9, 0.9])
    """
    check_level(level)
    gain = _trials(values, higher_is_better)
    bests = _expected(gain[np.random.default_rng(seed).integers(0, gain.size, (draws, gain.size))])
    # Quantiles that are one of the draws: between a number and minus infinity there is nothing.
    ends = np.quantile(bests, [(1.0 - level) / 2.0, (1.0 + level) / 2.0], axis=0, method="inverted_cdf")
    ends = np.where(np.isfinite(ends), ends, np.nan)
    low, high = ends if higher_is_better else -ends[::-1]
    return low, high


def _trials(values: Collection[float | None], higher_is_better: bool) -> Float[np.ndarray, " trials"]:
    if not len(values):
        raise ValueError("values is empty: accepted is at least one trial")
    return gains(values, higher_is_better)


def _expected(gain: Float[np.ndarray, "*draws trials"]) -> Float[np.ndarray, "*draws trials"]:
    """The expected best gain of k trials for k = 1 to n, minus infinity where a subset has none."""
    n = gain.shape[-1]
    finished = np.isfinite(gain)
    best_first = -np.sort(-np.where(finished, gain, -np.inf), axis=-1)
    bests = np.where(np.isfinite(best_first), best_first, 0.0) @ _weights(n).T
    lost = n - finished.sum(axis=-1, keepdims=True)
    return np.where(np.arange(1, n + 1) > lost, bests, -np.inf)


def _weights(n: int) -> Float[np.ndarray, "k trials"]:
    """For each k, the share of subsets of size k of which the best, the second best, ... trial is the best.

    The best trial has k / n of them, and each next one the share before it times (i - k) / (i - 1): products
    of numbers in [0, 1], which neither overflow, as binomials do, nor cancel.
    """
    k, i = np.arange(1, n + 1)[:, None], np.arange(n, 1, -1)
    return np.cumprod(np.concatenate([k / n, np.maximum(i - k, 0) / (i - 1)], axis=1), axis=1)
