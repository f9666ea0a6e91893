"""What a search space is: one distribution for each hyperparameter that is worth searching.

Every distribution maps the unit interval onto its values, so grids, quasi-random points and random
samples are one thing: points of the unit cube, mapped.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Protocol

from jaxlab.core import hyper


class Distribution(Protocol):
    """A range of values with a scale."""

    def from_unit(self, u: float) -> float:
        """The value at quantile ``u`` in [0, 1]."""
        ...


SearchSpace = Mapping[str, Distribution]
"""Hyperparameter name to distribution."""


@dataclasses.dataclass(frozen=True)
class Uniform:
    """Every value between ``low`` and ``high`` alike.

    >>> Uniform(0.0, 2.0).from_unit(0.25)
    0.5
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_order(self.low, self.high)

    def from_unit(self, u: float) -> float:
        """Linear between the bounds."""
        return self.low + u * (self.high - self.low)


@dataclasses.dataclass(frozen=True)
class LogUniform:
    """Every factor alike: learning rates, weight decays.

    >>> round(LogUniform(1e-4, 1e-2).from_unit(0.5), 12)
    0.001
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        hyper.number("low", self.low, "(0, inf)")
        _check_order(self.low, self.high)

    def from_unit(self, u: float) -> float:
        """Geometric between the bounds."""
        return math.exp(math.log(self.low) + u * (math.log(self.high) - math.log(self.low)))


@dataclasses.dataclass(frozen=True)
class OneMinusLog:
    """Values near one whose distance from one is log-uniform: betas. Bounds are those of the value.

    >>> round(OneMinusLog(0.9, 0.999).from_unit(0.5), 12)
    0.99
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        hyper.number("high", self.high, "(-inf, 1)")
        _check_order(self.low, self.high)

    def from_unit(self, u: float) -> float:
        """Geometric in the distance from one."""
        return 1.0 - LogUniform(1.0 - self.high, 1.0 - self.low).from_unit(1.0 - u)


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of a few numbers.

    >>> Choice((32, 64)).from_unit(0.7)
    64
    """

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("values = (): accepted is at least one value")

    def from_unit(self, u: float) -> float:
        """Equal shares of the interval, in order."""
        return self.values[min(int(u * len(self.values)), len(self.values) - 1)]


def grid(distribution: Distribution, points: int) -> list[float]:
    """``points`` values from end to end, evenly on the distribution's scale.

    >>> [round(x, 6) for x in grid(LogUniform(1e-3, 1e-1), 3)]
    [0.001, 0.01, 0.1]
    """
    hyper.integer("points", points, at_least=1)
    if points == 1:
        return [distribution.from_unit(0.5)]
    return [distribution.from_unit(i / (points - 1)) for i in range(points)]


def _check_order(low: float, high: float) -> None:
    hyper.number("low", low)
    hyper.number("high", high)
    if low >= high:
        raise ValueError(f"low = {low}, high = {high}: accepted is low < high")
