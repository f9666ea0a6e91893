"""How many runs an arm loses."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from jaxlab.verdict.divergence import gains
from jaxlab.verdict.intervals import binomial_interval


class DivergenceRate(NamedTuple):
    """Runs that diverged, of how many, their share, and the exact interval of the share."""

    lost: int
    runs: int
    rate: float
    interval: tuple[float, float]


def divergence_rate(values: Collection[float | None], level: float = 0.95) -> DivergenceRate:
    """The share of runs that diverged, with its exact binomial interval (Clopper and Pearson 1934).

    The interval treats runs as independent draws. Over the runs of a tuning it speaks of the space that was
    searched, and a wider space with larger learning rates loses more.

    Args:
      values: the final metric of each run; NaN, infinite or None: it diverged.
      level: of the interval, in (0, 1).

    Raises:
      TypeError: a value is no number.
      ValueError: no runs, or a level outside (0, 1).

    >>> divergence_rate([0.9, None, 0.8, 0.85, 0.9])._replace(interval=(0, 1))
    DivergenceRate(lost=1, runs=5, rate=0.2, interval=(0, 1))
    """
    found = gains(values, higher_is_better=True)
    if not found.size:
        raise ValueError("values is empty: accepted is at least one run")
    lost = int(np.isnan(found).sum())
    return DivergenceRate(lost, found.size, lost / found.size, binomial_interval(lost, found.size, level))
