"""Rows of means with intervals, best first: the final metric, and the paired differences from the best arm."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxlab.report.focus import limits, near
from jaxlab.report.reading import between, finished_mean, measure_of, numbers, ranked
from jaxlab.report.shown import BEST, MANY, is_large, looks
from jaxlab.report.study import Arm, Study
from jaxlab.report.style import (
    DIVERGED,
    FAINT,
    INK,
    NAME,
    TEXT,
    WIDTH,
    Style,
    add_axes,
    fit,
    new_figure,
    text_width,
    write_x_name,
)

_ROW, _LOW_ROW = 0.36, 0.28
"""Inches; the low one where there are many rows."""


class Row(NamedTuple):
    """One arm: a dot for each seed, the mean, the interval's ends, words at the right, and what went wrong."""

    name: str
    dots: Float[np.ndarray, " seeds"]
    mean: float
    interval: tuple[float, float]
    style: Style
    words: str
    trouble: str
    filled: bool


def final_metric(study: Study) -> Figure | None:
    """Draws the test metric of every arm, best first; None if every run of every arm diverged.

    Circles: seeds. Marker: mean, hollow where it is only that of the runs which did not diverge. Bar: 95%
    t interval, which an arm with a diverged run or a single seed does not have. An arm too far off is an
    arrow.
    """
    measure, arms = measure_of(study), ranked(study)
    if finished_mean(arms[0]) is None:
        return None
    look = looks(study)
    rows = []
    for arm in arms:
        low, high = numbers(arm["report"]["interval"]) * measure.factor
        mean, dots = finished_mean(arm), measure.factor * numbers(arm["report"]["test"])
        rows.append(
            Row(
                name=fit(arm["name"], NAME),
                dots=dots,
                mean=np.nan if mean is None else measure.factor * mean,
                interval=(low, high),
                style=look[arm["name"]],
                words=f"({measure.value(mean)})" if 0 < arm["report"]["diverged"] < len(dots) else measure.value(mean),
                trouble=_trouble(arm),
                filled=not arm["report"]["diverged"],
            )
        )
    figure, axes = _forest(rows, higher_is_better=measure.higher_is_better)
    write_x_name(axes, measure.axis("test"))
    return figure


def paired_differences(study: Study) -> Figure | None:
    """Draws how far every other arm is from the best, seed by seed; in a large study the next best ones.

    Circles: seeds. Marker: mean difference, filled where the verdict is not "undecided". Bar: 95%
    interval of this pair. None if there is nothing to compare, or every run of every arm diverged.
    """
    measure, (best, *others) = measure_of(study), ranked(study)
    others = others[: BEST - 1] if is_large(study) else others
    if not others or finished_mean(best) is None:
        return None
    look = looks(study)
    rows = []
    for arm in others:
        found = between(study, arm["name"], best["name"])
        dots = measure.factor * (numbers(arm["report"]["test"]) - numbers(best["report"]["test"]))
        low, high = numbers(found["interval"] if found else [None, None]) * measure.factor
        finished = dots[np.isfinite(dots)]
        verdict = found["verdict"] if found else "undecided"
        rows.append(
            Row(
                name=fit(arm["name"], NAME),
                dots=dots,
                mean=float(finished.mean()) if finished.size else np.nan,
                interval=(low, high),
                style=look[arm["name"]],
                words=verdict,
                trouble=_trouble(arm),
                filled=verdict != "undecided",
            )
        )
    figure, axes = _forest(rows, higher_is_better=measure.higher_is_better, zero=True)
    unit = f" ({measure.difference_unit})" if measure.difference_unit else ""
    write_x_name(axes, f"test {measure.name} minus that of {best['name']}{unit}")
    sides = ("worse", "better") if measure.higher_is_better else ("better", "worse")
    for side, text, x, align in (
        (0, "\N{LEFTWARDS ARROW} {}", 0.0, "left"),
        (1, "{} \N{RIGHTWARDS ARROW}", 1.0, "right"),
    ):
        axes.text(
            x,
            1.0,
            text.format(sides[side]),
            size=TEXT - 1,
            color=FAINT,
            ha=align,
            va="bottom",
            transform=axes.transAxes,
        )
    return figure


def _trouble(arm: Arm) -> str:
    lost = arm["report"]["diverged"]
    return f"{lost} of {len(arm['report']['test'])} diverged" if lost else ""


def _forest(rows: list[Row], *, higher_is_better: bool, zero: bool = False) -> tuple[Figure, Axes]:
    left = 0.18 + max(max(text_width(row.name), text_width(row.trouble, TEXT - 1.5)) for row in rows)
    right = 0.18 + max(text_width(row.words) for row in rows)
    figure = new_figure(0.75 + (_LOW_ROW if len(rows) > MANY else _ROW) * len(rows))
    axes = add_axes(figure, left, right, bottom=0.45, top=0.3 if zero else 0.1)
    shown = _shown(rows, higher_is_better=higher_is_better)
    low, high = _window([row for row, close in zip(rows, shown, strict=True) if close], zero=zero)
    axes.set_xlim(low, high)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    if zero:
        axes.axvline(0.0, color=INK, linewidth=1.0, zorder=1)
    for y, (row, close) in enumerate(zip(rows, shown, strict=True)):
        if close:
            _draw(axes, y, row)
        elif np.isfinite(row.mean):
            edge, arrow = (low, "<") if higher_is_better else (high, ">")
            axes.plot(edge, y, arrow, color=row.style.color, markersize=8, clip_on=False, zorder=4)
        _write(axes, y, row, left)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(max(3, int((WIDTH - left - right) / 0.55))))
    return figure, axes


def _shown(rows: list[Row], *, higher_is_better: bool) -> Float[np.ndarray, " arms"]:
    deviations = [float(np.nanstd(row.dots)) for row in rows if np.isfinite(row.dots).any()]
    spread = float(np.median(deviations)) if deviations else 0.0
    return near(np.array([row.mean for row in rows]), spread, higher_is_better=higher_is_better)


def _window(rows: list[Row], *, zero: bool) -> tuple[float, float]:
    """Room for all dots; for intervals too, unless they are several times as wide as the dots lie apart."""
    dots = np.concatenate([row.dots for row in rows] + [np.zeros(int(zero))])
    low, high = limits(dots)
    reach = 1.5 * (high - low)
    ends = np.array([end for row in rows for end in row.interval])
    ends = np.clip(ends[np.isfinite(ends)], low - reach, high + reach)
    return limits(np.concatenate([ends, [low, high]]), pad=0.02)


def _draw(axes: Axes, y: int, row: Row) -> None:
    color, marker = row.style.color, row.style.marker
    if np.isfinite(row.interval).all():
        axes.plot(row.interval, [y, y], color=color, linewidth=2.2, solid_capstyle="butt", zorder=2)
        axes.plot(row.interval, [y, y], "|", color=color, markersize=8, markeredgewidth=1.6, zorder=2)
    if row.dots.size > 1:
        # By turns a little higher and lower, so that equal seeds do not hide each other.
        heights = y + 0.24 + 0.1 * (np.arange(row.dots.size) % 2)
        axes.plot(np.sort(row.dots), heights, "o", color=FAINT, markersize=3.2, fillstyle="none", zorder=3)
    face = color if row.filled else "white"
    axes.plot(row.mean, y, marker, color=color, markersize=7, markerfacecolor=face, markeredgewidth=1.4, zorder=4)


def _write(axes: Axes, y: int, row: Row, left: float) -> None:
    def at(x: float, text: str, lift: float, size: float, color: str) -> None:
        place = axes.get_yaxis_transform()
        axes.annotate(
            text, (x, y), (0, lift), xycoords=place, textcoords="offset points", va="center", size=size, color=color
        )

    figure = axes.get_figure(root=True)
    assert figure is not None
    inch = 1.0 / (axes.get_position().width * WIDTH)
    start = -(left - 0.05) * inch
    at(start, row.name, 4.5 if row.trouble else 0.0, TEXT, INK)
    at(start, row.trouble, -5.5, TEXT - 1.5, DIVERGED)
    at(1.0 + 0.1 * inch, row.words, 0.0, TEXT, INK)
