"""What ``experiments.losses`` says: its numbers, tables, charts and verdict."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from experiments.losses_tasks import DELTA, LOST, NOISE, REGRESSION, SMOOTHING
from jaxlab import report, verdict
from jaxlab.report.reading import measure_of
from jaxlab.report.sections import Chart, Number, Section, Series, Table
from jaxlab.tasks.line import INTERCEPT, SLOPE

OUTLIERS, WRONG = 0.2, 0.4
"""The fractions that the answers are given for."""
HUBER = next(name for name in REGRESSION if name.startswith("huber") and name != "huber, delta 1")
ANSWERS = ("mse", "mae", HUBER, "cross_entropy")
"""The losses that the answers are about."""


class Ends(NamedTuple):
    """The lines that runs ended with, and their squared errors on the test."""

    slope: Float[np.ndarray, " seeds"]
    intercept: Float[np.ndarray, " seeds"]
    mse: Float[np.ndarray, " seeds"]


class Centre(NamedTuple):
    """The one number that minimises a loss over clean and spoilt targets: by descent, and in closed form."""

    loss: str
    found: Float[np.ndarray, "2"]
    closed: Float[np.ndarray, "2"]


Found = Mapping[tuple[str, float], report.Study]
Lines = Mapping[float, Mapping[str, Ends]]


def of_kind(found: Found, name: str) -> dict[float, report.Study]:
    """The studies of a kind of target, by fraction."""
    return {fraction: one for (kind, fraction), one in found.items() if kind == name}


def times(a: Ends, b: Ends) -> tuple[float, tuple[float, float]]:
    """The squared error of a as a multiple of b's: geometric mean over the seeds, and its interval."""
    logs = np.log(a.mse / b.mse)
    low, high = np.exp(verdict.t_interval(logs))
    return float(np.exp(logs.mean())), (float(low), float(high))


def verdict_of(found: Found, ends: Lines) -> str:
    """The errors' ratio and the slopes at the answers' fraction, and the accuracy that each loss keeps."""
    lines, many = ends[OUTLIERS], found["classes", WRONG]
    ratio, (low, high) = times(lines["mse"], lines[HUBER])
    measure = measure_of(many)
    answers = of_kind(found, "yes or no")
    said = [f" With {part:.0%} wrong answers to yes or no: {answers[part]['verdict']}" for part in list(answers)[-1:]]
    slopes = {name: one.slope.mean() for name, one in lines.items()}
    kept = ", ".join(f"{arm['name']} {measure.value(arm['report']['mean'])}" for arm in many["arms"])
    return (
        f"With {OUTLIERS:.0%} gross errors among the training targets the squared error's test error is {ratio:,.0f} "
        f"times (95% interval {low:,.0f} to {high:,.0f}) that of {HUBER}. Its slope is {slopes['mse']:.2f} in place of "
        f"{SLOPE:g}; {HUBER} has {slopes[HUBER]:.3f}, mae {slopes['mae']:.3f}. With {WRONG:.0%} wrong labels accuracy "
        f"on digits is {kept}. {many['verdict']}{''.join(said)}"
    )


def numbers_of(found: Found, ends: Lines, centres: list[Centre]) -> list[Number]:
    """Ratio and slopes at the answers' fraction of gross errors, accuracy at that of wrong labels."""
    lines = ends[OUTLIERS]
    ratio, interval = times(lines["mse"], lines[HUBER])
    said = f"squared error on clean test data, {OUTLIERS:.0%} gross errors in training; {HUBER}"
    numbers = [_number("mse / huber", ratio, interval, "times", said)]
    for name, one in lines.items():
        said = f"true: {SLOPE:g}; {OUTLIERS:.0%} gross errors in training"
        numbers.append(_number(f"slope, {name}", one.slope.mean(), verdict.t_interval(one.slope), "", said))
    for arm in found["classes", WRONG]["arms"]:
        percent = 100 * np.array(arm["report"]["test"], np.float64)
        said = f"on clean test data, {WRONG:.0%} wrong labels in training"
        name = f"accuracy, {arm['name']}"
        numbers.append(_number(name, percent.mean(), verdict.t_interval(percent), "%", said))
    worst = max(float(np.abs(one.found / one.closed - 1).max()) for one in centres)
    said = "of the number that minimises mse, mae or msle to mean, median and geometric mean; the worst"
    return [*numbers, _number("centres", worst, None, "relative", said)]


def _number(name: str, value: float, interval: tuple[float, float] | None, unit: str, meaning: str) -> Number:
    ends = None if interval is None else [float(end) if np.isfinite(end) else None for end in interval]
    return {"name": name, "value": float(value), "interval": ends, "unit": unit, "meaning": meaning}


def sections_of(found: Found, ends: Lines, centres: list[Centre]) -> list[Section]:
    """Numbers, classes, yes or no, and what each loss aims at."""
    return [
        {
            "title": "Numbers: gross errors",
            "text": [
                (
                    f"The line y = {SLOPE:g}x + {INTERCEPT:g} with noise {NOISE:g}. A gross error is a target that "
                    f"lost its sign and its decimal point: it is multiplied by {LOST:g}. The squared error follows "
                    "such targets, because it pulls in proportion to the error. The absolute error pulls with the same "
                    "force however far away a target is; Huber's loss and log cosh do so beyond a size of their own, "
                    f"1 unless said otherwise. Here 1 is ten times the noise; {DELTA:.2g} is 1.345 times the noise, "
                    "the classical choice."
                ),
                (
                    "Validation data are as wrong as training data. So rates are chosen by the absolute error: the "
                    "squared error would choose what follows the gross errors."
                ),
            ],
            "tables": [_lines(ends)],
            "charts": [_chart(of_kind(found, "numbers"), "outliers", "Gross errors among the targets", y_log=True)],
        },
        {
            "title": "Classes: wrong labels",
            "text": [
                (
                    "A wrong label is any other class, each as likely. The network has room to learn wrong labels by "
                    "heart; a rate that is too small to do so can then be the best one, and tuning finds it. "
                    f"Label smoothing takes {SMOOTHING:g} of the weight off every label, in training alone."
                )
            ],
            "tables": [_kept(of_kind(found, "classes"))],
            "charts": [_chart(of_kind(found, "classes"), "wrong-labels", "Wrong labels among ten classes")],
        },
        *([_answers(of_kind(found, "yes or no"))] if of_kind(found, "yes or no") else []),
        _centres(centres),
    ]


def _answers(studies: Mapping[float, report.Study]) -> Section:
    return {
        "title": "Yes or no: wrong answers",
        "text": [
            (
                "A linear model has no room to learn by heart. Log loss is the classifiers' one; the hinge losses of "
                "support vector machines ask for a margin only; the focal loss looks away from what is learnt."
            )
        ],
        "tables": [_kept(studies)],
        "charts": [],
    }


def _lines(ends: Lines) -> Table:
    rows: list[list[str | float | None]] = []
    for name in next(iter(ends.values())):
        cells = [(one[name].slope.mean(), one[name].mse.mean()) for one in ends.values()]
        rows.append([name, *(f"{slope:.3f} ({error:.2g})" for slope, error in cells)])
    return {
        "title": f"Recovered slope (true: {SLOPE:g}), and in brackets the squared error on clean test data (noise "
        f"alone: {NOISE**2:g}), by the fraction of gross errors in training. Means of the seeds.",
        "columns": ["Loss", *(f"{fraction:.0%}" for fraction in ends)],
        "rows": rows,
    }


def _kept(studies: Mapping[float, report.Study]) -> Table:
    first = next(iter(studies.values()))
    measure = measure_of(first)
    rows: list[list[str | float | None]] = []
    for place, arm in enumerate(first["arms"]):
        entries = [one["arms"][place] for one in studies.values()]
        cells = [
            f"{measure.value(one['report']['mean'])} at {one['hyperparams']['learning_rate']:g}" for one in entries
        ]
        rows.append([arm["name"], *cells])
    return {
        "title": f"Test {measure.name} at the best learning rate, by the fraction that is wrong in training. "
        "Intervals and verdicts stand in the studies below.",
        "columns": ["Loss", *(f"{fraction:.0%}" for fraction in studies)],
        "rows": rows,
    }


def _chart(studies: Mapping[float, report.Study], name: str, title: str, *, y_log: bool = False) -> Chart:
    first = next(iter(studies.values()))
    measure = measure_of(first)
    series: list[Series] = []
    for place, arm in enumerate(first["arms"]):
        tests = [np.array(one["arms"][place]["report"]["test"], np.float64) for one in studies.values()]
        bands = [verdict.t_interval(test) if len(test) > 1 else (test[0], test[0]) for test in tests]
        series.append(
            {
                "name": arm["name"],
                "x": [100 * fraction for fraction in studies],
                "y": [float(test.mean()) * measure.factor for test in tests],
                "low": [low * measure.factor for low, _ in bands],
                "high": [high * measure.factor for _, high in bands],
            }
        )
    return {
        "name": name,
        "title": title,
        "caption": "Clean test data, each loss with its best rate; mean and 95% interval.",
        "x": "% of the training targets that are wrong",
        "y": measure.axis("test"),
        "y_log": y_log,
        "series": series,
    }


def _centres(centres: list[Centre]) -> Section:
    names = {"mse": "mean", "mae": "median", "msle": "geometric mean of 1 + y, less 1"}
    rows: list[list[str | float | None]] = []
    for one in centres:
        cells = [f"{value:.2f}" for pair in zip(one.found, one.closed, strict=True) for value in pair]
        rows.append([one.loss, names[one.loss], *cells, f"{one.closed[1] / one.closed[0]:.2f}"])
    return {
        "title": "Positive numbers: what the squared logarithmic error aims at",
        "text": [
            (
                "Some texts name a log loss for regression, the difference of logarithms. That is the mean squared "
                "logarithmic error, msle: it punishes ratios, 20 for 10 like 2,000 for 1,000, and belongs to positive "
                "targets that span orders of magnitude. The log loss of classification is another thing, the negative "
                "logarithm of a probability; it has no use for numbers."
            )
        ],
        "tables": [
            {
                "title": "The one number that minimises each loss over the disease progression of 442 diabetes "
                "patients (25 to 346), found by descent and in closed form; then with one target in ten ten times "
                "too large, and how far that moves it.",
                "columns": ["Loss", "Aims at", "Clean", "Closed form", "Spoilt", "Closed form, spoilt", "Moved, times"],
                "rows": rows,
            }
        ],
        "charts": [],
    }
