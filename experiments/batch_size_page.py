"""What was measured of batch sizes, and how the page shows it."""

import dataclasses
import math

import numpy as np
from jaxtyping import Float

from experiments.critical_batch import Law, geometric
from jaxlab import tasks
from jaxlab.report.sections import Chart, Number, Section, Series, Table
from jaxlab.report.show_sections import written
from jaxlab.verdict.measure import enumerate_words


@dataclasses.dataclass(frozen=True)
class Size:
    """One batch size.

    Attributes:
      batch_size: in examples.
      budget: steps that a run may take.
      rate: the learning rate that was chosen.
      at_edge: it is the lowest or highest that was tried.
      steps: to the target, for each report seed; infinite where it was missed.
      seconds_a_step: of one run alone, without evaluations.
      compile_seconds: of its programs.
    """

    batch_size: int
    budget: int
    rate: float
    at_edge: bool
    steps: Float[np.ndarray, " seeds"]
    seconds_a_step: float
    compile_seconds: float


@dataclasses.dataclass(frozen=True)
class Found:
    """One task: its batch sizes (the full batch last), each seed's law, and the noise on the full-batch run.

    Attributes:
      marks: the steps at which the noise scale was measured.
      noise: it, at each mark for each seed.
      losses: on validation data, likewise.
    """

    task: tasks.Task
    sizes: list[Size]
    laws: list[Law]
    marks: list[int]
    noise: Float[np.ndarray, "marks seeds"]
    losses: Float[np.ndarray, "marks seeds"]

    @property
    def fitted(self) -> Float[np.ndarray, " seeds"]:
        """Each seed's critical batch size, from its steps."""
        return np.array([law.batch for law in self.laws])

    @property
    def predicted(self) -> Float[np.ndarray, " seeds"]:
        """Each seed's critical batch size, from its noise: the mean noise scale on the way to the target."""
        return self.noise.mean(axis=0) if self.marks else np.full(len(self.laws), np.nan)

    @property
    def law(self) -> Law:
        """The geometric mean of the seeds' laws."""
        return Law(geometric([law.steps for law in self.laws])[0], geometric(self.fitted.tolist())[0])


def verdict_of(found: list[Found]) -> str:
    """The critical batch sizes, and what the noise scale would have said."""
    fits = [f"{_in_words(one.fitted, ' examples')} on {one.task.name}" for one in found]
    ratios = [f"{_in_words(one.predicted / one.fitted, ' times that')} on {one.task.name}" for one in found]
    said = [
        f"The critical batch size is {enumerate_words(fits)}.",
        f"The noise scale predicts {enumerate_words(ratios)}.",
    ]
    for one in found:
        first, last = one.sizes[0], one.sizes[-1]
        steps = float(np.median(first.steps)) / float(np.median(last.steps))
        if math.isfinite(steps) and steps > 0:
            said.append(
                f"On {one.task.name} the full batch of {last.batch_size:,} needs {steps:.0f} times fewer steps than "
                f"batches of {first.batch_size}, and {last.batch_size / first.batch_size / steps:.0f} times as many "
                f"examples; in seconds the quickest are batches of {_quickest(one).batch_size:,}."
            )
        else:
            said.append(f"On {one.task.name} most runs missed the target with the smallest batches or the full one.")
    return " ".join(said)


def _quickest(one: Found) -> Size:
    return min(one.sizes, key=lambda size: float(np.median(size.steps)) * size.seconds_a_step)


def _in_words(values: Float[np.ndarray, " seeds"], unit: str) -> str:
    mean, (low, high) = geometric(values.tolist())
    if not math.isfinite(mean):
        return "unknown"
    return f"{mean:.3g}{unit} (95% interval {low:.3g} to {high:.3g})"


def numbers(found: list[Found]) -> list[Number]:
    """Fitted, predicted and their ratio, and the law's two ends."""
    return [
        _number(f"{name}, {one.task.name}", values, unit, meaning)
        for one in found
        for name, values, unit, meaning in (
            ("critical batch size", one.fitted, "examples", "fitted to the steps that each batch size needs"),
            ("noise scale", one.predicted, "examples", "the critical batch size that the gradient's noise predicts"),
            ("predicted / fitted", one.predicted / one.fitted, "", "1 where the noise tells all"),
            ("fewest steps", np.array([law.steps for law in one.laws]), "steps", "S_min, with very large batches"),
            (
                "fewest examples",
                np.array([law.examples for law in one.laws]),
                "examples",
                "E_min, with single examples",
            ),
        )
    ]


def _number(name: str, values: Float[np.ndarray, " seeds"], unit: str, meaning: str) -> Number:
    mean, interval = geometric(values.tolist())
    return {"name": name, "value": mean, "interval": list(interval), "unit": unit, "meaning": meaning}


def sections(found: list[Found], target: float) -> list[Section]:
    """One section a task, then how it was done."""
    return [_task(one, target) for one in found] + [_method()]


def _task(one: Found, target: float) -> Section:
    name = one.task.name
    edges = [f"{size.batch_size:,}" for size in one.sizes if size.at_edge]
    done = (
        f"{one.task.description}. Gradient descent to a validation loss of {target:g} with {len(one.laws)} seeds. "
        "Steps are the median over the seeds, with the fewest and the most. Seconds are those steps times the time of "
        "one step of one run alone, the quickest of several, without evaluations."
    )
    words = [done]
    if edges:
        words.append(
            f"The learning rate of batch size {enumerate_words(edges)} is the lowest or the highest that was tried: a "
            "better one may lie beyond."
        )
    return {
        "title": f"Batch sizes on {name}",
        "text": words,
        "tables": [_table(one)],
        "charts": [_steps(one), _examples(one), *([_noise(one)] if one.marks else [])],
    }


def _table(one: Found) -> Table:
    rows: list[list[str | float | None]] = []
    for size in one.sizes:
        middle = float(np.median(size.steps))
        rows.append(
            [
                f"{size.batch_size:,}",
                size.rate,
                middle,
                f"{written(_shown(size.steps.min()))} to {written(_shown(size.steps.max()))}",
                middle * size.batch_size,
                middle * size.seconds_a_step,
                f"{int(np.isinf(size.steps).sum())} of {size.steps.size}",
            ]
        )
    columns = ["batch size", "learning rate", "steps", "fewest to most", "examples", "seconds", "missed"]
    return {"title": f"To the target on {one.task.name}", "columns": columns, "rows": rows}


def _shown(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _steps(one: Found) -> Chart:
    sizes = _sizes(one)
    return _chart(
        one,
        "steps",
        "steps to the target",
        "Both axes logarithmic. Few steps are saved beyond the critical batch size.",
        [_measured(one, np.ones_like(sizes)), _law(one, np.ones(200))],
    )


def _examples(one: Found) -> Chart:
    sizes = _sizes(one)
    return _chart(
        one,
        "examples",
        "examples to the target",
        "Both axes logarithmic. Below the critical batch size few are wasted.",
        [_measured(one, sizes), _law(one, np.geomspace(sizes[0], sizes[-1], 200))],
    )


def _chart(one: Found, what: str, axis: str, caption: str, series: list[Series]) -> Chart:
    return {
        "name": f"{what}-{one.task.name.replace('.', '-').replace(':', '-')}",
        "title": f"{axis.capitalize()} by batch size, {one.task.name}",
        "caption": f"{caption} Median over the seeds, band from the fewest to the most; the law is the seeds' mean.",
        "x": "batch size (examples)",
        "y": axis,
        "series": series,
        "x_log": True,
        "y_log": True,
    }


def _sizes(one: Found) -> Float[np.ndarray, " sizes"]:
    return np.array([size.batch_size for size in one.sizes], np.float64)


def _measured(one: Found, factor: Float[np.ndarray, " sizes"]) -> Series:
    columns = [[reduce(size.steps) for size in one.sizes] for reduce in (np.median, np.min, np.max)]
    middle, low, high = ((np.array(column) * factor).tolist() for column in columns)
    return {"name": "measured", "x": _sizes(one).tolist(), "y": middle, "low": low, "high": high, "kind": "points"}


def _law(one: Found, factor: Float[np.ndarray, " 200"]) -> Series:
    x = np.geomspace(one.sizes[0].batch_size, one.sizes[-1].batch_size, 200)
    return {"name": f"law, B_crit = {one.law.batch:.3g}", "x": x.tolist(), "y": (one.law.steps_at(x) * factor).tolist()}


def _noise(one: Found) -> Chart:
    return {
        "name": f"noise-{one.task.name.replace('.', '-').replace(':', '-')}",
        "title": f"Noise scale along the full-batch run, {one.task.name}",
        "caption": "Mean over the seeds, band from the lowest to the highest. It grows as the gradient shrinks: the "
        "closer to the optimum, the larger a useful batch.",
        "x": "training steps with the full batch",
        "y": "gradient noise scale (examples)",
        "series": [
            {
                "name": "noise scale",
                "x": [float(mark) for mark in one.marks],
                "y": one.noise.mean(axis=1).tolist(),
                "low": one.noise.min(axis=1).tolist(),
                "high": one.noise.max(axis=1).tolist(),
            }
        ],
        "y_log": True,
        "level": [f"fitted: {one.law.batch:.3g}", one.law.batch],
    }


def _method() -> Section:
    law = (
        "With batches of B examples a run needs S = S_min (1 + B_crit / B) steps and E = B S examples (McCandlish et "
        "al. 2018). The law is fitted for each seed by least squares of the logarithms of its steps; a run that missed "
        "the target pulls the law up to its budget. Intervals are 95% t intervals over the seeds' logarithms. They "
        "hold for the learning rates that were chosen, which are the same for all seeds."
    )
    noise = (
        "The noise scale is the variance of one example's gradient, summed over all parameters, over the squared norm "
        "of the mean gradient. It is computed from the gradients of all training examples one by one, at equally "
        "spaced steps of each seed's full-batch run, and averaged over them: where every step takes the most it can, "
        "that mean is B_crit. It knows nothing of the curvature, and epochs draw without replacement, which makes "
        "small batches less noisy than the theory has it."
    )
    return {"title": "How it was measured", "text": [law, noise], "tables": [], "charts": []}
