"""What a search space is: one distribution for each hyperparameter that is worth searching.

Every distribution maps the unit interval onto its values and back, so grids, quasi-random points and random
samples are one thing: points of the unit cube, mapped.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from jaxlab.core import hyper


class Distribution(Protocol):
    """A range of values with a scale."""

    def from_unit(self, u: float) -> float:
        """The value at quantile ``u`` in [0, 1]."""
        ...

    def to_unit(self, value: float) -> float:
        """The quantile of a value: the inverse of :meth:`from_unit`; outside of [0, 1] for values out of range."""
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
        """Linear between the bounds, and beyond them."""
        return _inside(u, self.low, self.high, self.low + u * (self.high - self.low))

    def to_unit(self, value: float) -> float:
        """Linear."""
        return (value - self.low) / (self.high - self.low)


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
        """Geometric between the bounds, and beyond them."""
        value = math.exp(math.log(self.low) + u * math.log(self.high / self.low))
        return _inside(u, self.low, self.high, value)

    def to_unit(self, value: float) -> float:
        """Logarithmic."""
        return math.log(value / self.low) / math.log(self.high / self.low)


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
        """Geometric in the distance from one, also beyond the bounds: never one."""
        return _inside(u, self.low, self.high, 1.0 - self._distance.from_unit(1.0 - u))

    def to_unit(self, value: float) -> float:
        """Logarithmic in the distance from one."""
        return 1.0 - self._distance.to_unit(1.0 - value)

    @property
    def _distance(self) -> LogUniform:
        return LogUniform(1.0 - self.high, 1.0 - self.low)


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

    def to_unit(self, value: float) -> float:
        """The middle of a value's share.

        Raises:
          ValueError: none of the values.
        """
        if value not in self.values:
            raise ValueError(f"value = {value}: accepted is one of {', '.join(map(str, self.values))}")
        return (self.values.index(value) + 0.5) / len(self.values)


def grid(distribution: Distribution, points: int) -> list[float]:
    """``points`` values from end to end, evenly on the distribution's scale.

    >>> [round(x, 6) for x in grid(LogUniform(1e-3, 1e-1), 3)]
    [0.001, 0.01, 0.1]
    """
    hyper.integer("points", points, at_least=1)
    if points == 1:
        return [distribution.from_unit(0.5)]
    return [distribution.from_unit(i / (points - 1)) for i in range(points)]


def beyond(
    distribution: Distribution, values: Sequence[float], side: Literal["low", "high"], count: int
) -> list[float]:
    """The next values outside a grid, in its own steps on the distribution's scale, nearest first.

    The step is that between the two values at that end. A :class:`Choice` has nothing outside.

    >>> [round(x, 6) for x in beyond(LogUniform(1e-3, 1e-1), [0.001, 0.01, 0.1], "high", 2)]
    [1.0, 10.0]

    Raises:
      ValueError: fewer than two different values.
    """
    hyper.one_of("side", side, ("low", "high"))
    hyper.integer("count", count, at_least=0)
    if isinstance(distribution, Choice):
        return []
    ends = sorted({float(value) for value in values})
    if len(ends) < 2:
        raise ValueError(f"values = {list(values)}: accepted are at least two different ones, which make a step")
    last, before = (ends[0], ends[1]) if side == "low" else (ends[-1], ends[-2])
    u, step = distribution.to_unit(last), distribution.to_unit(last) - distribution.to_unit(before)
    return [distribution.from_unit(u + k * step) for k in range(1, count + 1)]


def _inside(u: float, low: float, high: float, value: float) -> float:
    """A value whose quantile is in [0, 1] is within the bounds and at the ends exact, whatever rounding does."""
    if not 0.0 <= u <= 1.0:
        return value
    return low if u == 0.0 else high if u == 1.0 else min(max(value, low), high)


def _check_order(low: float, high: float) -> None:
    hyper.number("low", low)
    hyper.number("high", high)
    if low >= high:
        raise ValueError(f"low = {low}, high = {high}: accepted is low < high")
