"""How often A beats B: not whether a mean differs, but what to expect of the next seed.

A difference of means can be certain and still be lost in the spread of single runs. Whoever trains once
asks how likely the better arm is to win that one time.
"""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from jaxlab.verdict.divergence import gains
from jaxlab.verdict.intervals import binomial_interval


class Superiority(NamedTuple):
    """The probability that A beats B on a fresh seed, and its interval."""

    probability: float
    interval: tuple[float, float]


def p_better(
    a: Collection[float | None], b: Collection[float | None], higher_is_better: bool, level: float = 0.95
) -> Superiority:
    r"""The probability that A beats B on a fresh seed, from paired seeds; a tie counts half.

    .. math::
        \hat P = \frac{\#\{a_i > b_i\} + \tfrac{1}{2} \#\{a_i = b_i\}}{n}

    The interval is the exact binomial one, and ties widen it: its lower end takes every tie for a loss,
    its upper end every tie for a win. So it holds the probability at least as often as it says. Arms that
    are the same have 0.5; at 5 seeds even five wins leave (0.48, 1).

    Args:
      a, b: values of both arms, seed by seed. NaN, infinite or None: that run diverged. It loses against
        one that finished; two that diverged tie.
      higher_is_better: whether values are to be large (accuracy) or small (loss).
      level: of the interval, in (0, 1).

    Raises:
      TypeError: a value is no number.
      ValueError: different lengths, no values, or a level outside (0, 1).

    Reference: Bouthillier et al., Accounting for variance in machine learning benchmarks, MLSys 2021, section 4
    (there with a percentile bootstrap, which promises too much at few seeds).

    >>> found = p_better([0.9, 0.8, 0.7, 0.9], [0.8, 0.7, 0.7, None], higher_is_better=True)
    >>> found.probability, [round(end, 3) for end in found.interval]
    (0.875, [0.194, 1.0])
    """
    x, y = gains(a, higher_is_better, "a"), gains(b, higher_is_better, "b")
    if x.size != y.size or x.size == 0:
        raise ValueError(f"a has {x.size} values and b has {y.size}: accepted is one value for each shared seed")
    # Whatever finished is above what did not, and -inf equals -inf.
    x, y = (np.where(np.isnan(gain), -np.inf, gain) for gain in (x, y))
    wins, ties = int((x > y).sum()), int((x == y).sum())
    low, _ = binomial_interval(wins, x.size, level)
    _, high = binomial_interval(wins + ties, x.size, level)
    return Superiority((wins + 0.5 * ties) / x.size, (low, high))
