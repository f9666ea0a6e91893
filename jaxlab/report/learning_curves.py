"""The validation metric on the way: a line for each arm, a band over its seeds."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxlab import verdict
from jaxlab.report.focus import limits, near
from jaxlab.report.labels import EndLabel, end_labels
from jaxlab.report.reading import measure_of, numbers
from jaxlab.report.shown import looks, shown_arms
from jaxlab.report.study import Arm, Study
from jaxlab.report.style import (
    DIVERGED,
    LINE_HEIGHT,
    NAME,
    add_axes,
    fit,
    new_figure,
    text_width,
    write_x_name,
    write_y_name,
)


class Curve(NamedTuple):
    """The mean over all seeds, up to where the first of them diverged."""

    name: str
    steps: Float[np.ndarray, " points"]
    mean: Float[np.ndarray, " points"]
    low: Float[np.ndarray, " points"]
    high: Float[np.ndarray, " points"]
    diverged: bool


def learning_curves(study: Study) -> Figure:
    """Draws the validation metric against the training step.

    A line ends with a cross where the first of the arm's seeds diverges, because the mean of those that
    live on would look better than the arm is. Bands are 95% bootstrap bands, for the eye. The axis shows
    the part in which the arms differ; the first steps and arms far off may lie outside.
    """
    measure, arms, look = measure_of(study), shown_arms(study), looks(study)
    curves = [_curve(arm, measure.factor) for arm in arms]
    right = 0.45 + max(text_width(fit(arm["name"], NAME)) for arm in arms)
    figure = new_figure(max(3.0, 0.85 + LINE_HEIGHT * len(arms)))
    axes = add_axes(figure, left=0.5, right=right, bottom=0.45, top=0.35)
    low, high = _window(curves, higher_is_better=measure.higher_is_better)
    labels = []
    for i, curve in enumerate(curves):
        style = look[curve.name]
        every = max(1, curve.steps.size // 5)
        axes.fill_between(curve.steps, curve.low, curve.high, color=style.color, alpha=0.15, linewidth=0)
        axes.plot(
            curve.steps,
            curve.mean,
            color=style.color,
            linestyle=style.dash,
            marker=style.marker,
            markersize=4,
            markevery=(i * every // len(arms), every),
            linewidth=1.4,
        )
        if curve.diverged and curve.steps.size:
            axes.plot(curve.steps[-1], curve.mean[-1], "x", color=DIVERGED, markersize=7, markeredgewidth=2, zorder=5)
        last = curve.mean[-1] if curve.steps.size and not curve.diverged else low if measure.higher_is_better else high
        labels.append(
            EndLabel(fit(curve.name, NAME), float(np.clip((last - low) / (high - low), 0, 1)), style, curve.diverged)
        )
    axes.set_ylim(low, high)
    axes.set_xlim(0, max(arm["curves"]["steps"][-1] for arm in arms))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    write_x_name(axes, "training step")
    write_y_name(axes, measure.axis("validation"))
    end_labels(axes, labels)
    return figure


def _curve(arm: Arm, factor: float) -> Curve:
    rows = factor * numbers(arm["curves"]["validation"])
    finite = np.isfinite(rows).all(axis=0)
    end = rows.shape[1] if finite.all() else int(finite.argmin())
    low, high = verdict.bootstrap_band(rows[:, :end])
    diverged = end < rows.shape[1] or arm["report"]["diverged"] > 0
    return Curve(arm["name"], numbers(arm["curves"]["steps"])[:end], rows[:, :end].mean(axis=0), low, high, diverged)


def _window(curves: list[Curve], *, higher_is_better: bool) -> tuple[float, float]:
    """From the best seen to the worst that arms near the best had after a quarter of the run, within reason."""
    sign = 1.0 if higher_is_better else -1.0
    whole = [curve for curve in curves if curve.steps.size and not curve.diverged]
    if not whole:
        return limits(np.concatenate([curve.mean for curve in curves]))
    finals = np.array([sign * curve.mean[-1] for curve in whole])
    spread = float(np.median([np.ptp([curve.low[-1], curve.high[-1]]) for curve in whole])) / 2.0
    shown = [curve for curve, close in zip(whole, near(finals, spread, higher_is_better=True), strict=True) if close]
    late = [sign * edge[curve.steps.size // 4 :] for curve in shown for edge in (curve.low, curve.high)]
    top = max(float(part.max()) for part in late)
    finals = np.array([sign * curve.mean[-1] for curve in shown])
    reach = max(4.0 * float(finals.max() - finals.min()), 20.0 * spread)
    bottom = min(float(part.min()) for part in late)
    bottom = max(bottom, top - reach) if reach > 0.0 else bottom
    low, high = limits(sign * np.array([bottom, top]))
    return low, high
