"""How much the tuned hyperparameter matters: a small panel for each arm, all on the same axes."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from jaxlab import verdict
from jaxlab.report.focus import best_part
from jaxlab.report.reading import at_edges, first_range, is_full, measure_of, numbers, tuning_of, tunings
from jaxlab.report.shown import looks, shown_arms
from jaxlab.report.study import Study, Tuning
from jaxlab.report.style import (
    DIVERGED,
    FAINT,
    GRID,
    INK,
    TEXT,
    WIDTH,
    Style,
    add_axes,
    fit,
    new_figure,
    text_width,
)
from jaxlab.report.units import short

_LEFT, _GAP, _ROW, _TITLE, _BOTTOM, _TOP = 0.5, 0.16, 1.12, 0.3, 0.45, 0.28


def sensitivity(study: Study) -> Figure | None:
    """Draws the validation metric against the tuned hyperparameter, usually the learning rate.

    None where nothing was tuned, and where several hyperparameters were varied at once: see
    :func:`~jaxlab.report.slices.slices`.

    Line: mean over the selection seeds, dots: the seeds, band: its 95% bootstrap band, for the eye. A ring marks
    the chosen value, a cross a value at which runs diverged (a small one: not all of them), a triangle one that lies
    beyond the axis. Where the grid was widened, the range that it began with is shaded. Other arms stand behind in
    grey.
    """
    if not tunings(study) or is_full(study):
        return None
    measure, arms, look = measure_of(study), shown_arms(study), looks(study)
    done = [tuning_of(arm) for arm in arms]
    columns = min(2, len(arms))
    rows = -(-len(arms) // columns)
    height = _TOP + rows * (_ROW + _TITLE) + _BOTTOM
    figure = new_figure(height)
    width = (WIDTH - _LEFT - 0.1 - _GAP * (columns - 1)) / columns
    lines = [_line(tuning, measure.factor) for tuning in done]
    window = best_part(np.concatenate([mean for _, mean in lines]), higher_is_better=measure.higher_is_better)
    for i, (arm, tuning) in enumerate(zip(arms, done, strict=True)):
        row, column = divmod(i, columns)
        left = _LEFT + column * (width + _GAP)
        top = _TOP + row * (_ROW + _TITLE) + _TITLE
        axes = add_axes(figure, left, WIDTH - left - width, height - top - _ROW, top)
        for values, mean in lines:
            axes.plot(values, mean, color=GRID, linewidth=0.8, zorder=1)
        if began := first_range(tuning):
            axes.axvspan(*began, color=GRID, alpha=0.45, linewidth=0, zorder=0)
        _panel(axes, tuning, measure.factor, look[arm["name"]], window, lower_is_bad=measure.higher_is_better)
        _name(axes, arm["name"], tuning)
        _axis(axes, done, bottom=i + columns >= len(arms), left=column == 0)
    figure.text(0.02, 1.0 - 0.04 / height, fit(measure.axis("validation"), WIDTH - 0.2), size=TEXT, color=INK, va="top")
    names = dict.fromkeys(tuning["parameter"].replace("_", " ") for tuning in done)
    figure.text(
        0.5,
        0.06 / height,
        fit(f"{', '.join(names)} (log scale)", WIDTH - 0.2),
        size=TEXT,
        color=INK,
        ha="center",
        va="bottom",
    )
    return figure


def _line(tuning: Tuning, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Values in order, and their means."""
    values = numbers(tuning["values"])
    order = np.argsort(values, kind="stable")
    return values[order], factor * numbers(tuning["validation"]).mean(axis=1)[order]


def _panel(
    axes: Axes, tuning: Tuning, factor: float, style: Style, window: tuple[float, float], *, lower_is_bad: bool
) -> None:
    values, mean = _line(tuning, factor)
    seeds = factor * numbers(tuning["validation"])[np.argsort(tuning["values"], kind="stable")]
    band = verdict.bootstrap_band(seeds.T)
    axes.fill_between(values, *band, color=style.color, alpha=0.18, linewidth=0)
    axes.plot(values, mean, color=style.color, linestyle=style.dash, marker=style.marker, markersize=4, linewidth=1.4)
    for column in seeds.T:
        axes.plot(values, column, "o", color=style.color, markersize=2, alpha=0.6, markeredgewidth=0)
    low, high = window
    axes.set_ylim(low, high)
    edge, inward = (low, 1.0) if lower_is_bad else (high, -1.0)
    at = edge + inward * 0.07 * (high - low)
    beyond = mean < low if lower_is_bad else mean > high
    axes.plot(values[beyond], np.full(beyond.sum(), at), "v" if lower_is_bad else "^", color=style.color, markersize=5)
    lost = np.isnan(seeds).sum(axis=1)
    for value, count in zip(values[lost > 0], lost[lost > 0], strict=True):
        size = 5.5 if count == seeds.shape[1] else 3.5
        axes.plot(value, at, "x", color=DIVERGED, markersize=size, markeredgewidth=1.5)
    chosen = int(np.argmin(np.abs(values - tuning["chosen"])))
    axes.axvline(values[chosen], color=FAINT, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
    if np.isfinite(mean[chosen]):
        axes.plot(
            values[chosen], mean[chosen], "o", markersize=10, markerfacecolor="none", color=INK, markeredgewidth=1.2
        )


def _name(axes: Axes, name: str, tuning: Tuning) -> None:
    edge = bool(at_edges(tuning))
    words = f"{short(tuning['chosen'])}{', not tuned' * edge}"
    room = axes.get_position().width * WIDTH - text_width(words, TEXT - 1) - 0.12
    axes.set_title(fit(name, room / 1.08), loc="left", size=TEXT, color=INK, pad=4, weight="bold")
    axes.set_title(words, loc="right", size=TEXT - 1, color=DIVERGED if edge else FAINT, pad=4)


def _axis(axes: Axes, tunings: list[Tuning], *, bottom: bool, left: bool) -> None:
    every = np.concatenate([tuning["values"] for tuning in tunings])
    axes.set_xscale("log")
    axes.set_xlim(every.min() / 1.6, every.max() * 1.6)
    axes.xaxis.set_major_locator(LogLocator(numticks=5))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(labelbottom=bottom, labelleft=left)
