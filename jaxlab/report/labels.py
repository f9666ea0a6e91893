"""Labels at the ends of lines, moved apart just enough not to touch."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from scipy.optimize import isotonic_regression

from jaxlab.report.style import DIVERGED, FAINT, INK, LINE_HEIGHT, TEXT, Style


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> Float[np.ndarray, " labels"]:
    r"""Positions at least ``gap`` apart within [low, high], as close as can be to the wanted ones.

    .. math::
        \min_z \sum_i (z_i - w_i)^2 \quad \text{such that} \quad z_{i+1} - z_i \ge \text{gap}
        \text{ in the order of } w

    With :math:`u_i = z_i - i \cdot \text{gap}` this is isotonic regression, then clipping.

    Args:
      wanted: where each label would like to be, in any order.
      gap: least distance between neighbours; shrunk to fit where there is no room for it.
      low, high: the room.

    Reference: Barlow, Bartholomew, Bremner and Brunk, Statistical inference under order restrictions (1972).

    >>> spread([0.5, 0.5, 0.9], gap=0.2, low=0.0, high=1.0).round(3).tolist()
    [0.4, 0.6, 0.9]
    """
    places = np.asarray(wanted, np.float64)
    if places.size < 2:
        return np.clip(places, low, high)
    order = np.argsort(places, kind="stable")
    gap = min(gap, (high - low) / (places.size - 1))
    steps = gap * np.arange(places.size)
    moved = np.clip(isotonic_regression(places[order] - steps).x, low, high - steps[-1]) + steps
    result = np.empty_like(places)
    result[order] = moved
    return result


class EndLabel(NamedTuple):
    """A name beside the right end of its line; ``at`` is the line's end as a fraction of the axes' height."""

    name: str
    at: float
    style: Style
    diverged: bool


def end_labels(axes: Axes, labels: Sequence[EndLabel]) -> None:
    """Writes names right of the axes, none over another, each tied to its line's end.

    An arm that diverged has no end there: its name carries a cross, and no line leads to it.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    width, height = np.array(axes.get_position().size) * figure.get_size_inches()
    inch = 1.0 / width
    places = spread([label.at for label in labels], LINE_HEIGHT / height, 0.0, 1.0)
    for label, place in zip(labels, places, strict=True):
        color, marker = label.style.color, label.style.marker
        x, y = 1.0 + inch * np.array([0.04, 0.18, 0.30]), float(place)
        options = {"transform": axes.transAxes, "clip_on": False}
        if label.diverged:
            axes.plot(x[2], y, marker="x", color=DIVERGED, markersize=5, markeredgewidth=1.5, **options)
        else:
            axes.plot(x, [label.at, y, y], color=FAINT, linewidth=0.6, **options)
            axes.plot(x[2], y, marker=marker, color=color, markersize=5, **options)
        text = DIVERGED if label.diverged else INK
        axes.text(x[2] + 0.08 * inch, y, label.name, color=text, size=TEXT, va="center", transform=axes.transAxes)
