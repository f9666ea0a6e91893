"""What the page about precision shows."""

import dataclasses
import math
import statistics
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.precision_runs import CONTROLS, SCALED, Cost, Ends, farthest
from experiments.storage_page import ratio
from experiments.storage_runs import BASE, LEVEL
from jaxlab import tasks, verdict
from jaxlab.core.hyper import arithmetic_dtype
from jaxlab.report import environment


@dataclasses.dataclass(frozen=True)
class Page:
    """All that was found.

    Attributes:
      found: each arm's ends.
      judged: each arm but float32, against it.
      costs: each arm's bytes.
      seconds: each arm's time of a step, round by round; empty where nothing was timed.
    """

    task: tasks.Task
    margin: float
    found: Mapping[str, Ends]
    judged: Mapping[str, verdict.Comparison]
    costs: Mapping[str, Cost]
    seconds: Mapping[str, list[float]]

    def answer(self) -> str:
        """Which arms do as well as float32, which do not, and whether the comparison could tell."""
        tried = [label for label in self.judged if label not in CONTROLS]
        alike = [label for label in tried if self.judged[label].verdict == "equivalent"]
        first = f"{len(alike)} of {len(tried)} ways to train in 16 bits end at float32's loss on {self.task.name}"
        words = [f"{first}, within {self.margin:g}: {'; '.join(alike)}." if alike else f"{first}."]
        words += [f"{label}: {self._words(label)}." for label in tried if label not in alike]
        for label in CONTROLS:
            if label in self.judged:
                told = self.judged[label].verdict == "worse"
                what = "and so it should be" if told else "so nothing follows: this comparison is blind to what it does"
                words.append(f"{label}, a negative control: {self._words(label)}, {what}.")
        if SCALED in self.found:
            skipped, steps = int(self.found[SCALED].skipped.sum()), self._steps()
            words.append(f"With its loss scale float16 left out {skipped} of {steps} steps.")
        return " ".join(words)

    def numbers(self) -> list[dict[str, Any]]:
        """Each arm's difference to float32, its bytes, and the time of its step."""
        found = []
        for label, one in self.judged.items():
            found.append(
                {
                    "name": f"{label}, final loss",
                    "value": _finite(one.difference),
                    "interval": [_finite(end) for end in one.interval],
                    "unit": self._unit(),
                    "meaning": f"less that of float32: {one.verdict} at a margin of {self.margin:g}",
                }
            )
        for label, cost in self.costs.items():
            meaning = "parameters and optimizer state"
            kept = {"value": cost.parameter + cost.state, "interval": None, "unit": "bytes", "meaning": meaning}
            found.append({"name": f"{label}, a parameter", **kept})
        for label in [label for label in self.seconds if label != BASE]:
            middle, interval = ratio(self.seconds, label)
            meaning = "median of the paired ratios"
            spent = {"value": middle, "interval": list(interval), "unit": "times float32", "meaning": meaning}
            found.append({"name": f"{label}, a step", **spent})
        return found

    def sections(self) -> list[dict[str, Any]]:
        """Where the arms ended, and what they cost."""
        return [self._ends(), self._costs()]

    def _ends(self) -> dict[str, Any]:
        base = self.found[BASE]
        spread = base.loss[:, -1].std(ddof=1)
        judged = (
            f"Every arm trains {self.task.name} {len(base.skipped)} times for {base.steps[-1]} steps, on the same "
            "seeds and with the same hyperparameters. Judged is the final loss, the mean training loss of the last "
            f"tenth of the steps; float32's has a standard deviation of {spread:.5f} over the seeds. An arm is "
            "equivalent where two one-sided paired t tests show its mean difference to float32 within the margin of "
            f"{self.margin:g}, set beforehand. Tests are at {1 - LEVEL:.0%} over all arms (Holm's correction); each "
            f"interval is the paired t test's for its arm alone, {LEVEL:.0%}."
        )
        controls = (
            "Float16 has no loss scale where none is named. The negative controls are there to be told from float32: "
            "bfloat16 parameters rounded to the nearest, which lose every step that is less than half a unit in their "
            "last place, and float16 with a loss so small that most gradients are below its smallest number, 6e-8."
        )
        rows = []
        for label, ends in self.found.items():
            one = self.judged.get(label)
            difference = f"{one.difference:+.5f} ({one.interval[0]:+.5f} to {one.interval[1]:+.5f})" if one else "-"
            tested = [_finite(ends.test[name].mean()) for name in self._tested()]
            final, skipped = _finite(ends.loss[:, -1].mean()), float(ends.skipped.sum())
            rows.append([self._name(label), final, difference, one.verdict if one else "-", *tested, skipped])
        columns = ["arm", "final loss", "less float32's", "verdict", *(f"test {name}" for name in self._tested())]
        table = {"title": "By arm", "columns": [*columns, f"left out, of {self._steps()} steps"], "rows": rows}
        text = [judged, *[controls] * any(label in self.judged for label in CONTROLS)]
        return {"title": "Where they end", "text": text, "tables": [table], "charts": [self._far(), self._curves()]}

    def _far(self) -> dict[str, Any]:
        reach = {label: farthest(self.found, label) for label in self.judged}
        shown = {label: far for label, far in reach.items() if far is not None}
        places = list(range(len(shown)))
        return {
            "name": "distance",
            "title": "How far from float32's the final loss may be",
            "caption": "The farther end of the 90% interval of the mean difference. A bar that ends before the margin "
            "is an arm that two one-sided tests find equivalent, if they look at it alone.",
            "x": self._unit(),
            "y": "arm",
            "rows": [_short(label) for label in shown],
            "series": [
                {"name": "farthest that it may be", "x": list(shown.values()), "y": places},
                {"name": "margin", "x": [self.margin] * len(shown), "y": places, "kind": "points"},
            ],
        }

    def _curves(self) -> dict[str, Any]:
        series = [
            {"name": _short(label), "x": ends.steps.tolist(), "y": [_finite(y) for y in ends.loss.mean(0)]}
            for label, ends in self.found.items()
        ]
        caption = "Each point is the mean of a tenth of the steps, up to there, and of the seeds."
        names = {"name": "loss", "title": "Training loss", "caption": caption, "x": "step", "y": self._unit()}
        positive = not any((ends.loss <= 0).any() for ends in self.found.values())
        return {**names, "y_log": positive, "series": series}

    def _costs(self) -> dict[str, Any]:
        kept = (
            "Bytes of parameters and optimizer state are kept from step to step; temporaries are what the compiled "
            f"step of one run needs besides, as XLA planned it for this machine. Optimizer arithmetic is "
            f"{arithmetic_dtype()} in all arms."
        )
        here = (
            "Most CPUs compute in float32 whatever they are given and convert before and after: what saves time on an "
            "accelerator costs time here."
        )
        timed = (
            "Times are medians of rounds in which all arms take their turns; the last column is the median of the "
            "rounds' ratios, with an interval of at least 95% from order statistics."
        )
        rows = []
        for label, cost in self.costs.items():
            row = [label, cost.parameter, cost.state, cost.temporaries / 2**20]
            if self.seconds:
                middle, (low, high) = ratio(self.seconds, label)
                times = "1" if label == BASE else f"{middle:.2f} ({low:.2f} to {high:.2f})"
                row += [1e3 * statistics.median(self.seconds[label]), times]
            rows.append(row)
        columns = ["arm", "bytes of a parameter", "of its state", "temporaries, MiB"]
        columns += ["ms a step", "times float32's"] * bool(self.seconds)
        places = list(range(len(self.costs)))
        chart = {
            "name": "bytes",
            "title": "Bytes kept for each parameter",
            "caption": "",
            "x": "bytes",
            "y": "arm",
            "rows": [_short(label) for label in self.costs],
            "series": [
                {"name": "the parameter", "x": [cost.parameter for cost in self.costs.values()], "y": places},
                {"name": "its optimizer state", "x": [cost.state for cost in self.costs.values()], "y": places},
            ],
        }
        table = {"title": "Bytes and time", "columns": columns, "rows": rows}
        text = [kept, *[here] * (environment()["backend"] == "cpu"), *[timed] * bool(self.seconds)]
        return {"title": "What they cost", "text": text, "tables": [table], "charts": [chart]}

    def _words(self, label: str) -> str:
        one = self.judged[label]
        return f"{one.verdict} ({one.difference:+.4f})" if math.isfinite(one.difference) else f"{one.verdict}, diverged"

    def _name(self, label: str) -> str:
        return f"{label} (control)" if label in CONTROLS else label

    def _tested(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(("loss", self.task.metric)))

    def _unit(self) -> str:
        return "nats" if self.task.metric in ("accuracy", "bits_per_byte") else "loss"

    def _steps(self) -> str:
        ends = self.found[BASE]
        return f"{len(ends.skipped) * int(ends.steps[-1]):,}"


def _short(label: str) -> str:
    """An arm's name as a chart has room for it."""
    return label.replace("bfloat16 parameters", "bf16 par.")


def _finite(value: float | np.floating) -> float | None:
    return float(value) if math.isfinite(value) else None
