"""A chart of bars: a row for each name, its parts one after the other from the left."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxlab.report.reading import numbers
from jaxlab.report.sections import Chart, Series
from jaxlab.report.style import (
    INK,
    TEXT,
    WIDTH,
    Style,
    add_axes,
    fit,
    new_figure,
    styles,
    text_width,
    write_x_name,
)

ROW, KEY = 0.24, 0.19
"""Inches from one row to the next, and from one line of the key to the next."""
NAME = 1.75
"""Inches that a row's name may take."""


def draw_bars(chart: Chart) -> Figure:
    """Draws a chart that names its rows, the first on top; a series of points marks a place in each row."""
    series, rows = chart["series"], chart.get("rows", [])
    look = styles([one["name"] for one in series if one.get("kind") != "points"])
    key = _lines_of([one["name"] for one in series])
    figure = new_figure(0.6 + KEY * len(key) + ROW * len(rows))
    left = 0.2 + max(text_width(fit(name, NAME)) for name in rows)
    axes = add_axes(figure, left=left, right=0.15, bottom=0.45, top=0.1 + KEY * len(key))
    ends = np.zeros(len(rows))
    for one in series:
        places = numbers(one["y"]).astype(int)
        lengths = np.nan_to_num(numbers(one["x"]))
        if one.get("kind") == "points":
            axes.plot(lengths, places, linestyle="none", **_mark())
            continue
        style = look[one["name"]]
        axes.barh(places, lengths, 0.68, left=ends[places], color=style.color, edgecolor="white", linewidth=0.6)
        ends[places] += lengths
    axes.set_yticks(range(len(rows)), [fit(name, NAME) for name in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    write_x_name(axes, chart["x"])
    _write_key(axes, series, look, key)
    return figure


def _mark() -> dict[str, Any]:
    return {"marker": "D", "color": INK, "markersize": 4.5, "markeredgecolor": "white", "markeredgewidth": 0.8}


def _lines_of(names: list[str]) -> list[list[tuple[str, float]]]:
    """The key's names, each with its place from the left in inches, in as many lines as they need."""
    lines: list[list[tuple[str, float]]] = [[]]
    at = 0.08
    for name in names:
        wide = 0.32 + text_width(fit(name, WIDTH - 0.5))
        if lines[-1] and at + wide > WIDTH:
            lines.append([])
            at = 0.08
        lines[-1].append((name, at))
        at += wide
    return lines


def _write_key(axes: Axes, series: list[Series], look: dict[str, Style], lines: list[list[tuple[str, float]]]) -> None:
    """What the colours mean, above the bars, in their order."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    height = figure.get_figheight()
    points = {one["name"] for one in series if one.get("kind") == "points"}
    for number, line in enumerate(lines):
        y = 1 - (0.13 + KEY * number) / height
        for name, at in line:
            sign = _mark() if name in points else {"marker": "s", "color": look[name].color, "markersize": 6.5}
            axes.plot((at + 0.06) / WIDTH, y, transform=figure.transFigure, clip_on=False, **sign)
            figure.text((at + 0.15) / WIDTH, y, fit(name, WIDTH - 0.5), size=TEXT, color=INK, va="center_baseline")
