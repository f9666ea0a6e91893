"""Curves of a run that goes on, in a notebook: drawn anew in one place."""

import importlib
import itertools
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from jaxlab.core import hyper
from jaxlab.report.plots import to_png
from jaxlab.report.style import INK, TEXT, styles

SECONDS = 2.0
"""Between two drawings at least, for one takes a tenth of a second from the run."""


class Point(NamedTuple):
    """A step, when it was told, and its metric."""

    step: int
    time: float
    value: float


class LivePlot:
    """A metric and the speed of a run against its steps, while it goes on.

    Each :meth:`line` is what :func:`~jaxlab.train.fit` takes as ``on_metrics``. A run that was stopped goes on in
    another line.

    Args:
      metric: which of the step's metrics.
      name: of the metric, on its axis.
      steps: of the whole run.
      per_step: what a step works through, such as tokens.
      rate: what that is in a second, on the axis.

    Raises:
      ValueError: counts below 1.

    >>> plot = LivePlot("loss", "loss", steps=3, per_step=32, rate="examples a second")
    >>> told = plot.line("first half")
    >>> for step, loss in enumerate((2.0, 1.5, 1.2), start=1):
    ...     told(step, {"loss": loss})
    >>> plot.values("first half"), plot.median_rate > 0
    ([2.0, 1.5, 1.2], True)
    """

    def __init__(self, metric: str, name: str, *, steps: int, per_step: int, rate: str) -> None:
        self.metric, self.name, self.rate = metric, name, rate
        self.steps = hyper.integer("steps", steps, at_least=1)
        self.per_step = hyper.integer("per_step", per_step, at_least=1)
        self._lines: dict[str, list[Point]] = {}
        self._place: Any = None
        self._drawn = 0.0

    def line(self, label: str) -> Callable[[int, Mapping[str, float]], None]:
        """What takes the metrics of a stretch of the run: ``(step, metrics)``.

        Raises:
          ValueError: a label that another line has.
        """
        if label in self._lines:
            raise ValueError(f"label = {label!r}: accepted is one that no other line has")
        points = self._lines[label] = []

        def told(step: int, metrics: Mapping[str, float]) -> None:
            points.append(Point(step, time.perf_counter(), metrics[self.metric]))
            if self._place is not None and points[-1].time - self._drawn > SECONDS:
                self.draw()

        return told

    def show(self) -> None:
        """From now on the plot is in the cell that runs."""
        shown = importlib.import_module("IPython.display")
        self._place = shown.display(self._image(), display_id=True)

    def draw(self) -> None:
        """Draws what has been told so far; at the end of a stretch its last steps, too."""
        if self._place is not None:
            self._place.update(self._image())
        self._drawn = time.perf_counter()

    def values(self, label: str) -> list[float]:
        """The metric on a line."""
        return [point.value for point in self._lines[label]]

    @property
    def median_rate(self) -> float:
        """What is worked through in a second, in the middle of all; NaN before three steps were told.

        The first step of a line, in which programs are compiled, ends where the first of these stretches begins.
        """
        found = sorted(rate for points in self._lines.values() for _, rate in self._rates(points))
        return found[len(found) // 2] if found else float("nan")

    def figure(self) -> Figure:
        """The plot of what has been told so far."""
        figure = Figure(figsize=(10.0, 3.3), layout="constrained", facecolor="white")
        for axes, name in zip(figure.subplots(1, 2), (self.name, self.rate), strict=True):
            axes.set_xlim(0, self.steps)
            axes.set_xlabel("step", color=INK)
            axes.set_title(name, size=TEXT + 1, color=INK, loc="left")
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(visible=True, alpha=0.3)
        value, speed = figure.axes
        look = styles(list(self._lines))
        for label, points in self._lines.items():
            style = look[label]
            value.plot([p.step for p in points], [p.value for p in points], color=style.color, label=label)
            rates = self._rates(points)
            speed.plot([step for step, _ in rates], [rate for _, rate in rates], color=style.color)
        speed.set_ylim(bottom=0)
        if self._lines:
            value.legend(frameon=False)
        return figure

    def _rates(self, points: list[Point]) -> list[tuple[int, float]]:
        """Of each stretch between two points, some fifty in all, for single steps are told early or late.

        Without the last point: metrics are told one step late, so a run's last two come together.
        """
        points = points[: -1 : max(1, len(points) // 50)]
        return [
            (after.step, self.per_step * (after.step - before.step) / (after.time - before.time))
            for before, after in itertools.pairwise(points)
            if after.time > before.time
        ]

    def _image(self) -> Any:
        return importlib.import_module("IPython.display").Image(data=to_png(self.figure(), dpi=90))
