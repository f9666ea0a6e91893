"""How a metric is spoken of: its name, its unit, and numbers with the digits they deserve."""

import math
from dataclasses import dataclass

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Measure:
    """A metric with its unit.

    A unit that begins with "fraction" (such as "fraction correct") is of numbers from 0 to 1; they are shown in
    percent, and a difference in percentage points.

    Attributes:
      metric: its name, such as "accuracy"; underscores are shown as spaces.
      unit: of one value, for axes.
      higher_is_better: which way is good.

    >>> accuracy = Measure("accuracy", "fraction correct", higher_is_better=True)
    >>> accuracy.value(0.97312), accuracy.difference(0.0121), accuracy.axis("test")
    ('97.31%', '+1.21 points', 'test accuracy (% correct)')
    >>> loss = Measure("loss", "nats", higher_is_better=False)
    >>> loss.value(0.0312), loss.difference(0.2), loss.interval(0.1, 0.25), loss.axis()
    ('0.03120', '+0.200 nats', '+0.100 to +0.250 nats', 'loss (nats)')
    """

    metric: str
    unit: str
    higher_is_better: bool

    @property
    def name(self) -> str:
        """The metric in words."""
        return self.metric.replace("_", " ")

    @property
    def is_fraction(self) -> bool:
        """Whether values are shown in percent."""
        return self.unit.startswith("fraction")

    @property
    def factor(self) -> float:
        """What a value is multiplied with to be shown."""
        return 100.0 if self.is_fraction else 1.0

    @property
    def difference_unit(self) -> str:
        """Unit of a difference between two values."""
        return "points" if self.is_fraction else self.unit

    def axis(self, data: str = "") -> str:
        """A label for an axis of values: what on which data, and the unit."""
        unit = "%" + self.unit.removeprefix("fraction") if self.is_fraction else self.unit
        return f"{data} {self.name}".strip() + (f" ({unit})" if unit else "")

    def value(self, x: float | None) -> str:
        """One value; a dash where there is none."""
        if x is None or not math.isfinite(x):
            return "\N{EN DASH}"
        return f"{self.bare(x)}%" if self.is_fraction else self.bare(x)

    def bare(self, x: float, *, sign: bool = False) -> str:
        """One finite value as shown, without its unit."""
        shown = x * self.factor
        digits = f"{shown:+.2f}" if self.is_fraction else f"{shown:+#.{3 if sign else 4}g}".rstrip(".")
        if float(digits) == 0.0:
            digits = "0.00" if self.is_fraction else "0"
        return (digits if sign else digits.lstrip("+")).replace("-", MINUS)

    def possible(self, x: float) -> float:
        """The value of the metric that is nearest to a number: of a fraction none lies below 0 or above 1.

        >>> Measure("accuracy", "fraction correct", higher_is_better=True).possible(1.08)
        1.0
        """
        return min(max(x, 0.0), 1.0) if self.is_fraction else x

    def difference(self, x: float) -> str:
        """A difference with its sign and unit."""
        return f"{self.bare(x, sign=True)} {self.difference_unit}".strip()

    def interval(self, low: float, high: float) -> str:
        """An interval of a difference with signs and unit."""
        ends = f"{self.bare(low, sign=True)} to {self.bare(high, sign=True)}"
        return f"{ends} {self.difference_unit}".strip()


def probability(p: float) -> str:
    """A p value as one writes it.

    >>> probability(0.00002), probability(0.0312), probability(0.3), probability(1.0)
    ('< 0.001', '= 0.031', '= 0.30', '= 1')
    """
    if p < 0.001:
        return "< 0.001"
    if p >= 0.995:
        return "= 1"
    return f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"


def enumerate_words(words: list[str], join: str = "and") -> str:
    """A list in a sentence.

    >>> enumerate_words(["sgd"]), enumerate_words(["adam", "sgd", "lion"])
    ('sgd', 'adam, sgd and lion')
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {join} {words[-1]}"


def enumerate_few(words: list[str], most: int = 3) -> str:
    """A list in a sentence, a long one cut to its first words and a count.

    >>> enumerate_few(["sgd", "adam", "lion", "yogi"]), enumerate_few(["sgd", "adam", "lion", "yogi", "adan"])
    ('sgd, adam, lion and yogi', 'sgd, adam, lion and 2 others')
    """
    if len(words) <= most + 1:
        return enumerate_words(words)
    return f"{', '.join(words[:most])} and {len(words) - most} others"
