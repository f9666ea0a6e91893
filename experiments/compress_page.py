"""What the page about smaller models shows."""

import dataclasses
import math
import statistics
from typing import Any

import numpy as np

from benchmarks.side_by_side import median_interval
from experiments.compress_runs import (
    ALONE,
    ALPHA,
    DENSE,
    DISTILLED,
    INT8,
    LEVEL,
    TEMPERATURE,
    Arm,
    Found,
    pruned_name,
)
from jaxlab import verdict
from jaxlab.report import environment


@dataclasses.dataclass(frozen=True)
class Page:
    """What was found on one task, in words, tables and charts."""

    found: Found

    @property
    def task(self) -> str:
        """Its name, which all titles begin with."""
        return self.found.plan.task.name

    def answer(self) -> str:
        """The smallest file that does as well as the dense model, what 8 bits alone do, and what the controls say."""
        found, arms = self.found, self.found.arms
        fine = [name for name, one in found.judged.items() if one.verdict in ("equivalent", "better")]
        smallest = min(fine, key=lambda name: arms[name].file, default=None)
        margin = self._value(found.plan.margin)
        if smallest is None:
            words = [f"On {self.task} no smaller model is shown to be within {margin} of the dense one."]
        else:
            as_good = f"On {self.task} the smallest file that is as good as the dense one, within {margin}, is"
            words = [f"{as_good} {self._times(smallest)} times smaller: {smallest}."]
        if smallest != INT8:
            words.append(f"8 bits alone: {self._times(INT8)} times smaller, {self._words(INT8)}.")
        least = min(found.judged, key=lambda name: arms[name].file)
        if least != smallest:
            words.append(f"The smallest of all, {least}: {self._times(least)} times smaller, {self._words(least)}.")
        for one in found.pairs.values():
            if "cut" not in one.b:
                words.append(f"{one.a} against {one.b}: {self._said(one)}.")
        return " ".join(words)

    def numbers(self) -> list[dict[str, Any]]:
        """Each arm's loss of quality, the size of its file, and the time of a call."""
        numbers = []
        for name, one in self.found.judged.items():
            numbers.append(
                {
                    "name": f"{self.task}, {name}, {self._metric()}",
                    "value": _finite(one.difference),
                    "interval": [_finite(end) for end in one.interval],
                    "unit": self.found.plan.task.unit,
                    "meaning": f"less the dense model's: {one.verdict} at a margin of {self.found.plan.margin:g}",
                }
            )
            size = {"value": _ratio(self.found, name), "interval": None, "unit": "times smaller than the dense file"}
            numbers.append({"name": f"{self.task}, {name}, file", **size, "meaning": f"{self._bytes(name):,} bytes"})
        for name in self.found.seconds:
            if name != DENSE:
                middle, interval = self._speed(name)
                spent = {"value": middle, "interval": list(interval), "unit": "times the dense model's time"}
                numbers.append({"name": f"{self.task}, {name}, a call", **spent, "meaning": "paired medians"})
        return numbers

    def sections(self) -> list[dict[str, Any]]:
        """What is lost for what size, what the schedule is worth, how long a call takes."""
        return [self._lost(), self._controls(), *[self._speeds()] * bool(self.found.seconds)]

    def _lost(self) -> dict[str, Any]:
        plan, arms = self.found.plan, self.found.arms
        rows: list[list[Any]] = []
        for name, arm in arms.items():
            one = self.found.judged.get(name)
            if name != DENSE and one is None:
                continue
            rows.append(
                [name, *self._measured(name), one.verdict if one else "-", round(arm.zeros, 3), *self._sizes(name)]
            )
        columns = ["model", f"test {self._metric()}", "less the dense one's", "verdict", "zeros"]
        table = {"title": "By model", "columns": [*columns, "file, kB", "times smaller", "memory, kB"], "rows": rows}
        judged = (
            f"{plan.task.description[:1].upper()}{plan.task.description[1:]}. Every model is trained on the same "
            f"{plan.seeds} seeds for {plan.steps:,} steps "
            "with the dense model's hyperparameters. It is equivalent where two one-sided paired t tests show its mean "
            f"difference to the dense one within {self._value(plan.margin)}, set beforehand. Tests are at "
            f"{1 - LEVEL:.0%} over all models (Holm's correction); each interval is the paired t test's for its model "
            f"alone, {LEVEL:.0%}."
        )
        sizes = (
            "Files hold all bytes of a matrix, or, where that is less, a bit for each weight and the bytes of those "
            "that are not zero; 8-bit weights have 4 more bytes for each output. In memory a zero takes the room of "
            "any weight: what a call reads is dense. Matrices are pruned, not embeddings, heads and biases; 8 bits are "
            "for all that have two axes."
        )
        text = [judged, sizes]
        if DISTILLED in arms:
            text.append(
                f"The smaller model has {arms[ALONE].memory / arms[DENSE].memory:.0%} of the weights. Distilled, "
                f"{ALPHA:.0%} of its loss is the divergence from its own seed's dense model at a temperature of "
                f"{TEMPERATURE:g}; neither number was tuned."
            )
        return {
            "title": f"{self.task}: what is lost for what size",
            "text": text,
            "tables": [table],
            "charts": [self._chart()],
        }

    def _chart(self) -> dict[str, Any]:
        sparsities = self.found.plan.sparsities
        lines = {
            DENSE: [DENSE],
            INT8: [INT8],
            "pruned": [pruned_name(s) for s in sparsities],
            "pruned, int8": [f"{pruned_name(s)}, int8" for s in sparsities],
            **{name: [name] for name in (ALONE, DISTILLED) if name in self.found.arms},
        }
        series = []
        for label, names in lines.items():
            means, low, high = zip(*(self._interval(name) for name in names), strict=True)
            sizes = [self._bytes(name) / 1e3 for name in names]
            kind = {} if len(names) > 1 else {"kind": "points"}
            series.append({"name": label, "x": sizes, "y": means, "low": low, "high": high, **kind})
        return {
            "name": f"{self.task}-size",
            "title": f"{self.task}: {self._metric()} against the size of the file",
            "caption": f"Means over seeds and their {LEVEL:.0%} t intervals; of pruned models "
            f"{', '.join(f'{100 * s:g}%' for s in sparsities)} of each matrix, from right to left. The intervals hold "
            "what seeds share; differences, in the table, are known better.",
            "x": "kB",
            "y": self._axis(),
            "series": [{key: list(v) if isinstance(v, tuple) else v for key, v in one.items()} for one in series],
        }

    def _controls(self) -> dict[str, Any]:
        plan = self.found.plan
        most = max(plan.sparsities)
        rows = []
        for one in self.found.pairs.values():
            means = [_finite(self.found.arms[name].metric.mean()) for name in (one.a, one.b)]
            rows.append([f"{one.a} / {one.b}", *means, self._difference(one), one.verdict])
        columns = ["pair", "first", "second", "difference", "verdict of the first"]
        text = (
            f"{pruned_name(most, 'at once').capitalize()} is pruned in one step where the schedule ends, three fifths "
            "of the way, and has as many steps left to recover. Cut models are the dense ones with their smallest "
            "weights set to zero after training. Each pair is a question of its own, at 5%."
        )
        series = []
        for label, how in (("pruned on the way", "pruned"), ("cut after training", "cut")):
            names = [pruned_name(s, how) for s in plan.sparsities]
            means, low, high = zip(*(self._interval(name) for name in names), strict=True)
            x = [100 * s for s in plan.sparsities]
            series.append({"name": label, "x": x, "y": [*means], "low": [*low], "high": [*high]})
        mean, low, high = self._interval(pruned_name(most, "at once"))
        series.append(
            {"name": "at once", "x": [100 * most], "y": [mean], "low": [low], "high": [high], "kind": "points"}
        )
        chart = {
            "name": f"{self.task}-sparsity",
            "title": f"{self.task}: {self._metric()} against sparsity",
            "caption": f"Means over seeds and their {LEVEL:.0%} t intervals; the line across is the dense model.",
            "x": "% of each matrix that is zero",
            "y": self._axis(),
            "series": series,
        }
        dense = _finite(self.found.arms[DENSE].metric.mean())
        chart |= {} if dense is None else {"level": ["dense", dense]}
        table = {"title": "Pairs", "columns": columns, "rows": rows}
        title = f"{self.task}: what the schedule and the teacher are worth"
        return {"title": title, "text": [text], "tables": [table], "charts": [chart]}

    def _speeds(self) -> dict[str, Any]:
        rows = []
        for name, seconds in self.found.seconds.items():
            middle, (low, high) = self._speed(name)
            ratio = "1" if name == DENSE else f"{middle:.2f} ({low:.2f} to {high:.2f})"
            rows.append([name, 1e3 * statistics.median(seconds), ratio])
        backend = environment()["backend"]
        timed = (
            f"One evaluation of {self.found.plan.setting.speed_batch} examples, all models in turn, round by round, on "
            f"this {'CPU' if backend == 'cpu' else backend.upper()}: the median, and the median of the rounds' ratios "
            "with an interval of at least 95% from order statistics."
        )
        why = (
            "A product with zeros takes as long as any other: zeros here and there make files smaller, not calls "
            "shorter. 8-bit weights are turned into floats inside the compiled program, which pays where reading "
            "weights is what takes the time: large models, small batches, accelerators."
        )
        table = {"title": "Time of a call", "columns": ["model", "ms", "times the dense one's"], "rows": rows}
        return {"title": f"{self.task}: how long a call takes", "text": [timed, why], "tables": [table], "charts": []}

    def _measured(self, name: str) -> list[Any]:
        one = self.found.judged.get(name)
        return [_finite(self._arm(name).metric.mean()), "-" if one is None else self._difference(one)]

    def _difference(self, one: verdict.Comparison) -> str:
        return f"{one.difference:+.4f} ({one.interval[0]:+.4f} to {one.interval[1]:+.4f})"

    def _interval(self, name: str) -> tuple[float | None, float | None, float | None]:
        values = self._arm(name).metric
        if not np.isfinite(values).all():
            return None, None, None
        low, high = verdict.t_interval(values.tolist(), LEVEL)
        return float(values.mean()), float(low), float(high)

    def _sizes(self, name: str) -> list[float]:
        return [self._bytes(name) / 1e3, _ratio(self.found, name), self._arm(name).memory / 1e3]

    def _arm(self, name: str) -> Arm:
        return self.found.arms[name]

    def _bytes(self, name: str) -> int:
        return self._arm(name).file

    def _times(self, name: str) -> str:
        return f"{_ratio(self.found, name):.3g}"

    def _words(self, name: str) -> str:
        return self._said(self.found.judged[name])

    def _said(self, one: verdict.Comparison) -> str:
        if not math.isfinite(one.difference):
            return f"{one.verdict}, runs diverged"
        return f"{one.verdict} ({one.difference:+.4f} {self._metric()})"

    def _speed(self, name: str) -> tuple[float, tuple[float, float]]:
        seconds = self.found.seconds
        ratios = [own / base for own, base in zip(seconds[name], seconds[DENSE], strict=True)]
        return statistics.median(ratios), median_interval(ratios)

    def _metric(self) -> str:
        return self.found.plan.task.metric.replace("_", " ")

    def _value(self, x: float) -> str:
        return f"{x:g} {self._metric()}"

    def _axis(self) -> str:
        return f"{self._metric()}, {self.found.plan.task.unit}" if self.found.plan.task.unit else self._metric()


def _ratio(found: Found, name: str) -> float:
    """How many times smaller than the dense model's its file is."""
    return found.arms[DENSE].file / found.arms[name].file if found.arms[name].file else math.nan


def _finite(value: float | np.floating) -> float | None:
    return float(value) if math.isfinite(value) else None
