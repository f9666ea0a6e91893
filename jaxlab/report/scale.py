"""The scale on which a hyperparameter's values are spread: linear, logarithmic, or by their distance from one."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxlab.report.units import short

Values = Float[np.ndarray, " values"]

_ENOUGH = 4.0
"""Values that differ by less than this factor look alike on every scale."""


class Scale(NamedTuple):
    """``place`` says where on an axis a value stands; ``value`` is its inverse."""

    name: str
    place: Callable[[Values], Values]
    value: Callable[[Values], Values]


LINEAR = Scale("linear", lambda x: x, lambda u: u)
LOG = Scale("log", np.log10, lambda u: 10.0**u)
ONE_MINUS_LOG = Scale("one minus log", lambda x: -np.log10(1.0 - x), lambda u: 1.0 - 10.0**-u)


def even_scale(values: Values) -> Scale:
    """The scale on which values are spread most evenly: that of their search space, if it was searched evenly.

    >>> [even_scale(np.array(values)).name for values in ([1e-4, 1e-3, 1e-2], [0.9, 0.99, 0.999], [0.0, 0.1, 0.2])]
    ['log', 'one minus log', 'linear']
    """
    low, high = float(values.min()), float(values.max())
    possible = [LINEAR]
    if low > 0.0 and high / low > _ENOUGH:
        possible.append(LOG)
    if high < 1.0 and (1.0 - low) / (1.0 - high) > _ENOUGH:
        possible.append(ONE_MINUS_LOG)
    return min(possible, key=lambda scale: _unevenness(scale.place(np.sort(values))))


def _unevenness(places: Values) -> float:
    """How far ascending places are from equal distances, as a part of their range."""
    even = np.linspace(places[0], places[-1], places.size)
    return float(np.abs(places - even).mean()) / (float(np.ptp(places)) or 1.0)


def ticks(scale: Scale, low: float, high: float, most: int) -> tuple[list[float], list[str]]:
    """Round values between two places of an axis, at most so many: their places and what is written there.

    >>> ticks(LOG, -3.5, -0.5, most=3)
    ([-3.0, -2.0, -1.0], ['0.001', '0.01', '0.1'])
    >>> ticks(ONE_MINUS_LOG, 0.9, 3.1, most=3)[1]
    ['0.9', '0.99', '0.999']
    >>> ticks(LINEAR, -0.01, 0.21, most=3)[1]
    ['0', '0.1', '0.2']
    """
    candidates = [places[(places >= low) & (places <= high)] for places in _candidates(scale, low, high)]
    inside = next((places for places in candidates if places.size <= most), candidates[-1])
    inside = inside[:: -(-inside.size // most) or 1]
    return inside.tolist(), [short(round(float(value), 12)) for value in scale.value(inside)]


def _candidates(scale: Scale, low: float, high: float) -> list[Values]:
    """Places of round values, denser ones first."""
    if scale is LINEAR:
        first = np.floor(np.log10(high - low)) - 1.0
        steps = [float(f"{lead}e{int(first + power)}") for power in range(3) for lead in (1, 2, 5)]
        return [step * np.arange(np.ceil(low / step), np.floor(high / step) + 1.0) for step in steps]
    # A distance from one is drawn to the right where it is small.
    sign = 1.0 if scale is LOG else -1.0
    powers = np.arange(np.floor(low) - 1.0, np.ceil(high) + 2.0)
    return [
        np.sort(np.concatenate([powers + sign * np.log10(lead) for lead in leads]))
        for leads in ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))
    ]
