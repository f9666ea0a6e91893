"""A chart of a section: series on common axes, each named at its right end, or bars."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from jaxlab.report.bars import draw_bars
from jaxlab.report.focus import limits
from jaxlab.report.labels import EndLabel, end_labels
from jaxlab.report.reading import numbers
from jaxlab.report.sections import Chart, Series
from jaxlab.report.style import (
    FAINT,
    LINE_HEIGHT,
    NAME,
    TEXT,
    Style,
    add_axes,
    fit,
    new_figure,
    styles,
    text_width,
    write_x_name,
    write_y_name,
)


def draw(chart: Chart) -> Figure:
    """Draws a chart.

    On a logarithmic axis values that are not above 0 are left out. A series whose last value is missing (a run
    that diverged) carries a cross.
    """
    if "rows" in chart:
        return draw_bars(chart)
    series = chart["series"]
    look = styles([one["name"] for one in series])
    right = 0.45 + max(text_width(fit(one["name"], NAME)) for one in series)
    figure = new_figure(max(3.0, 0.85 + LINE_HEIGHT * len(series)))
    axes = add_axes(figure, left=0.55, right=right, bottom=0.45, top=0.35)
    for i, one in enumerate(series):
        _line(axes, one, look[one["name"]], i, len(series))
    for axis in ("x", "y"):
        _scale(axes, chart, axis)
    if "level" in chart:
        name, value = str(chart["level"][0]), float(chart["level"][1])
        axes.axhline(value, color=FAINT, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
        axes.annotate(
            fit(name, 2.0),
            (0.02, value),
            xycoords=("axes fraction", "data"),
            xytext=(0, 2),
            textcoords="offset points",
            size=TEXT - 1,
            color=FAINT,
        )
    write_x_name(axes, chart["x"])
    write_y_name(axes, chart["y"])
    end_labels(axes, [_label(axes, one, look[one["name"]]) for one in series])
    return figure


def _line(axes: Axes, series: Series, style: Style, place: int, count: int) -> None:
    x, y = numbers(series["x"]), numbers(series["y"])
    low, high = series.get("low"), series.get("high")
    if low is not None and high is not None:
        axes.fill_between(x, numbers(low), numbers(high), color=style.color, alpha=0.15, linewidth=0)
    alone = series.get("kind") == "points"
    # Few points are all marked; of many, some, at other places in each series.
    every = max(1, x.size // 5)
    axes.plot(
        x,
        y,
        color=style.color,
        linestyle="none" if alone else style.dash,
        marker=style.marker,
        markersize=4,
        markevery=None if alone or x.size <= 12 else (place * every // count, every),
        linewidth=1.4,
    )


def _scale(axes: Axes, chart: Chart, axis: str) -> None:
    values = np.concatenate([column for one in chart["series"] for column in _columns(one, axis)])
    if axis == "y" and "level" in chart:
        values = np.append(values, float(chart["level"][1]))
    which, set_limits, set_scale = (
        (axes.xaxis, axes.set_xlim, axes.set_xscale) if axis == "x" else (axes.yaxis, axes.set_ylim, axes.set_yscale)
    )
    if chart.get(f"{axis}_log"):
        low, high = limits(np.log10(values[np.isfinite(values) & (values > 0)]))
        set_scale("log")
        set_limits(10**low, 10**high)
        if high - low > 1:
            which.set_major_locator(LogLocator(numticks=6))
            which.set_minor_locator(NullLocator())
    else:
        set_limits(*limits(values))
        which.set_major_locator(MaxNLocator(5))


def _columns(series: Series, axis: str) -> list[np.ndarray]:
    """What a series has on an axis, the edges of its band included."""
    if axis == "x":
        return [numbers(series["x"])]
    return [numbers(column) for column in (series["y"], series.get("low"), series.get("high")) if column is not None]


def _label(axes: Axes, series: Series, style: Style) -> EndLabel:
    """Beside the last value that the axes show."""
    y = numbers(series["y"])
    finite = np.flatnonzero(np.isfinite(y))
    last = float(y[finite[-1]]) if finite.size else math.nan
    _, at = axes.transAxes.inverted().transform(axes.transData.transform((axes.get_xlim()[1], last)))
    place = float(np.clip(at, 0, 1)) if math.isfinite(at) else 0.0
    return EndLabel(fit(series["name"], NAME), place, style, not math.isfinite(float(y[-1])))
