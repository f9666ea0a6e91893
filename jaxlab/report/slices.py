"""What each of several hyperparameters does: a column for each of them, a row for each arm, a dot for each trial."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxlab.report.focus import best_part, limits
from jaxlab.report.reading import chosen_trial, is_full, measure_of, numbers, points_of, tuning_of
from jaxlab.report.scale import Scale, even_scale, ticks
from jaxlab.report.shown import looks, shown_arms
from jaxlab.report.study import Study
from jaxlab.report.style import DIVERGED, FAINT, INK, TEXT, WIDTH, Style, add_axes, fit, new_figure

_COLUMNS = 4
"""More hyperparameters than this go into further rows."""
_LEFT, _RIGHT, _GAP = 0.5, 0.14, 0.3
_PANEL, _TITLE, _HEAD, _TOP, _BOTTOM = 0.62, 0.26, 0.2, 0.28, 0.3
_WIDTH = (WIDTH - _LEFT - _RIGHT - _GAP * (_COLUMNS - 1)) / _COLUMNS

Values = Float[np.ndarray, " trials"]


class Row(NamedTuple):
    """An arm: the values of each of its hyperparameters and the mean metric, trial by trial."""

    name: str
    points: dict[str, Values]
    means: Values
    chosen: int
    style: Style


def slices(study: Study) -> Figure | None:
    """Draws every trial's validation metric against each hyperparameter that was varied with others.

    None where each arm varied one hyperparameter or none: see :func:`~jaxlab.report.sensitivity.sensitivity`.

    Dot: a trial, its mean over the selection seeds. Ring: the chosen trial. Cross: runs of the trial diverged.
    Triangle: beyond the axis. Each hyperparameter has its own scale, which all arms share.
    """
    if not is_full(study):
        return None
    measure, rows = measure_of(study), _rows(study)
    # A search of a whole space has many poor trials: the axis shows what the better ones differ in.
    window = best_part(np.concatenate([row.means for row in rows]), 0.25, higher_is_better=measure.higher_is_better)
    blocks = _blocks(rows)
    height = _TOP + sum(_height(len(shown)) for _, shown in blocks)
    figure, top = new_figure(height), _TOP
    figure.text(0.02, 1.0 - 0.04 / height, fit(measure.axis("validation"), WIDTH - 0.2), size=TEXT, color=INK, va="top")
    for names, shown in blocks:
        places = [top + _HEAD + _TITLE + i * (_PANEL + _TITLE) for i in range(len(shown))]
        for row, place in zip(shown, places, strict=True):
            name = fit(row.name, 2.0)
            y = 1.0 - (place - 0.05) / height
            figure.text(_LEFT / WIDTH, y, name, size=TEXT, color=INK, weight="bold", va="bottom")
        for j, name in enumerate(names):
            left = _LEFT + j * (_WIDTH + _GAP)
            head, centre = fit(name.replace("_", " "), _WIDTH + _GAP - 0.06), (left + _WIDTH / 2.0) / WIDTH
            figure.text(centre, 1.0 - top / height, head, size=TEXT, color=INK, ha="center", va="top")
            values = np.concatenate([row.points[name] for row in shown if name in row.points])
            having = [(row, place) for row, place in zip(shown, places, strict=True) if name in row.points]
            for row, place in having:
                axes = add_axes(figure, left, WIDTH - left - _WIDTH, height - place - _PANEL, place)
                axes.set_ylim(*window)
                _axis(axes, even_scale(values), values, bottom=place == having[-1][1], left=j == 0)
                _panel(axes, row, name, even_scale(values), lower_is_bad=measure.higher_is_better)
        top += _height(len(shown))
    return figure


def _rows(study: Study) -> list[Row]:
    factor, look = measure_of(study).factor, looks(study)
    return [
        Row(
            name=arm["name"],
            points=points_of(tuning_of(arm)),
            means=factor * numbers(tuning_of(arm)["validation"]).mean(axis=1),
            chosen=chosen_trial(arm),
            style=look[arm["name"]],
        )
        for arm in shown_arms(study)
    ]


def _blocks(rows: list[Row]) -> list[tuple[list[str], list[Row]]]:
    """Hyperparameters that fit beside each other, those of most arms first, with the arms that have one of them."""
    names = [name for row in rows for name in row.points]
    order = sorted(dict.fromkeys(names), key=lambda name: -names.count(name))
    groups = [order[i : i + _COLUMNS] for i in range(0, len(order), _COLUMNS)]
    return [(group, [row for row in rows if set(group) & set(row.points)]) for group in groups]


def _height(rows: int) -> float:
    return _HEAD + rows * (_PANEL + _TITLE) + _BOTTOM


def _panel(axes: Axes, row: Row, name: str, scale: Scale, *, lower_is_bad: bool) -> None:
    low, high = axes.get_ylim()
    x, y, color = scale.place(row.points[name]), row.means, row.style.color
    axes.plot(x, y, row.style.marker, color=color, markersize=3.2, alpha=0.8, markeredgewidth=0)
    at = low + 0.1 * (high - low) if lower_is_bad else high - 0.1 * (high - low)
    beyond, lost = (y < low if lower_is_bad else y > high), np.isnan(y)
    axes.plot(x[beyond], np.full(beyond.sum(), at), "v" if lower_is_bad else "^", color=color, markersize=3.2)
    axes.plot(x[lost], np.full(lost.sum(), at), "x", color=DIVERGED, markersize=3.5, markeredgewidth=1.1)
    axes.axvline(x[row.chosen], color=FAINT, linewidth=0.7, linestyle=(0, (2, 2)), zorder=1)
    axes.plot(x[row.chosen], y[row.chosen], "o", markersize=8, fillstyle="none", color=INK, markeredgewidth=1.1)


def _axis(axes: Axes, scale: Scale, values: Values, *, bottom: bool, left: bool) -> None:
    low, high = limits(scale.place(values), pad=0.1)
    axes.set_xlim(low, high)
    axes.set_xticks(*ticks(scale, low, high, most=2))
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.tick_params(labelbottom=bottom, labelleft=left, labelsize=TEXT - 1.5)
