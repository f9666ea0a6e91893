"""What a search of k trials finds on average: how much tuning each arm needs."""

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxlab.report.focus import limits, near
from jaxlab.report.labels import EndLabel, end_labels
from jaxlab.report.reading import measure_of, numbers
from jaxlab.report.shown import looks, shown_arms
from jaxlab.report.study import Study
from jaxlab.report.style import (
    LINE_HEIGHT,
    NAME,
    add_axes,
    fit,
    new_figure,
    text_width,
    write_x_name,
    write_y_name,
)


def best_of(study: Study) -> Figure | None:
    """Draws the expected best validation metric of k trials against k.

    A line begins where every k trials hold one that finished. None where no arm has such numbers, or one trial
    each.
    """
    measure, arms = measure_of(study), shown_arms(study)
    lines = {arm["name"]: measure.factor * numbers(arm.get("measures", {}).get("best_of", [])) for arm in arms}
    most = max(line.size for line in lines.values())
    if most < 2 or not np.isfinite(np.concatenate(list(lines.values()))).any():
        return None
    look = looks(study)
    right = 0.45 + max(text_width(fit(name, NAME)) for name in lines)
    figure = new_figure(max(2.6, 0.85 + LINE_HEIGHT * len(lines)))
    axes = add_axes(figure, left=0.55, right=right, bottom=0.45, top=0.35)
    low, high = _window(list(lines.values()), higher_is_better=measure.higher_is_better)
    axes.set_ylim(low, high)
    axes.set_xlim(1.0 - 0.02 * most, most * 1.02)
    labels = []
    for name, line in lines.items():
        style, every = look[name], max(1, line.size // 8)
        trials = np.arange(1, line.size + 1)
        axes.plot(
            trials,
            line,
            color=style.color,
            linestyle=style.dash,
            marker=style.marker,
            markersize=4,
            markevery=every,
            linewidth=1.4,
        )
        # An arm of which nothing finished stands at the bottom, with a cross.
        found = line.size > 0 and bool(np.isfinite(line[-1]))
        worst = low if measure.higher_is_better else high
        last = float(line[-1]) if found else worst
        labels.append(EndLabel(fit(name, NAME), float(np.clip((last - low) / (high - low), 0, 1)), style, not found))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    write_x_name(axes, "trials of a search")
    write_y_name(axes, measure.axis("expected best validation"))
    end_labels(axes, labels)
    return figure


def _window(lines: list[Float[np.ndarray, " trials"]], *, higher_is_better: bool) -> tuple[float, float]:
    """What searches of at least a quarter of the trials find, without arms that are far off."""
    late = [line[line.size // 4 :] for line in lines if line.size and np.isfinite(line[-1])]
    gains = float(np.median([np.ptp(part[np.isfinite(part)]) for part in late]))
    shown = near(np.array([part[-1] for part in late]), gains, higher_is_better=higher_is_better)
    return limits(np.concatenate([part for part, close in zip(late, shown, strict=True) if close]))
