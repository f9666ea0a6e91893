"""Does every method of gradient descent find the least-squares line?

    python -m experiments.linear_regression
    python -m experiments.linear_regression --methods "full batch: Adam" "single examples: cosine"

The data are the 800 training points of the task ``line``, y = 2x + 1 with noise; the answer is known in closed form.
Every method starts from the same random lines and is compared with the closed form of these same points, computed
in float64. Each tunes its learning rate on a small grid with its own seeds, and is reported on fresh ones.

What is measured is the excess loss: how far the mean squared error lies above the least one, as a part of it. It
is computed in float64 from the parameters, as a quadratic form of their distance, so that nothing cancels; the
training itself is in float32. With the full batch a method has arrived when the excess is below 1e-6. With
mini-batches the gradient is noisy, and a method has arrived when every run ends below 1e-2.

Writes results.json, report.html and the plots. On two CPU cores it takes about a minute, most of it compiling.
"""

import dataclasses
import time
from pathlib import Path

import numpy as np
from jaxtyping import Array, Float, PyTree
from rich.console import Console

from experiments import cli, study
from experiments.line_methods import BATCHES, FULL, MINI, PENALTY, SINGLE, Line, Method, closed_form, methods_of, train
from jaxlab import tasks, verdict
from jaxlab.core import hyper
from jaxlab.report.sections import Chart, Number, Section
from jaxlab.tasks.line import INTERCEPT, SLOPE
from jaxlab.train.stopwatch import Stopwatch

ARRIVED = {FULL: 1e-6, MINI: 1e-2, SINGLE: 1e-2}
"""The excess loss below which a method has found the line."""
NEAR = 1e-2
"""The excess loss that the tables count steps to."""
POINTS = 120
"""Of a curve in a chart."""


@dataclasses.dataclass(frozen=True)
class Config:
    """What to train."""

    methods: tuple[str, ...] = ()
    """By name; by default all."""
    full_steps: int = 600
    """Steps with the full batch."""
    mini_steps: int = 2_000
    """Steps with mini-batches."""
    single_steps: int = 16_000
    """Steps with single examples."""
    batch_size: int = 32
    """Of a mini-batch."""
    selection_seeds: int = 3
    """Seeds that each rate is tried with."""
    report_seeds: int = 5
    """Seeds that the chosen rates are reported on."""
    seed: int = 0
    """Another seed, another study: all seeds follow from it."""
    out: Path | None = None
    """Where to write; by default runs/linear_regression/<time>."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A configuration, checked and spelled out."""

    config: Config
    data: PyTree[Array]
    methods: list[Method]
    protocol: study.Protocol
    out: Path


def prepare(config: Config) -> Plan:
    """Checks everything that can be checked without training."""
    protocol = study.protocol_of(config.seed, config.selection_seeds, config.report_seeds)
    lengths = {FULL: "full_steps", MINI: "mini_steps", SINGLE: "single_steps"}
    steps = {batch: hyper.integer(name, getattr(config, name), at_least=10) for batch, name in lengths.items()}
    task = tasks.get("line")
    examples = task.data["x"].shape[0]
    hyper.integer("batch_size", config.batch_size, at_least=2, at_most=examples - 1)
    sizes: dict[str, int] = {FULL: examples, MINI: config.batch_size, SINGLE: 1}
    known = {method.name: method for method in methods_of(steps, sizes, closed_form(task.data).least)}
    chosen = [hyper.one_of("methods", name, known) for name in dict.fromkeys(config.methods or known)]
    out = cli.new_folder(config.out, "linear_regression")
    return Plan(config, task.data, [known[name] for name in chosen], protocol, out)


def choose(excess: Float[np.ndarray, "rates seeds steps"], arrived: float) -> int:
    """The rate that is near soonest, among those that stay well within what counts as arrived.

    They must be within half of it through the last tenth of the run, with every seed; if none is, the rate with
    the least excess there is chosen.
    """
    late = excess[:, :, -excess.shape[2] // 10 :].max(axis=(1, 2))
    late = np.where(np.isfinite(late), late, np.inf)
    settled = late <= arrived / 2
    if not settled.any():
        return int(late.argmin())
    return int(np.where(settled, [np.mean(steps_to_near(rows)) for rows in excess], np.inf).argmin())


def steps_to_near(excess: Float[np.ndarray, "seeds steps"]) -> Float[np.ndarray, " seeds"]:
    """After how many steps each run is near for the first time; infinite where it never is."""
    near = excess <= NEAR
    return np.where(near.any(axis=1), near.argmax(axis=1), np.inf)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a method reached with its chosen rate on the report seeds."""

    method: Method
    rate: float
    optimum: Line
    ends: Float[np.ndarray, "seeds 2"]
    excess: Float[np.ndarray, "seeds steps"]

    @property
    def distances(self) -> Float[np.ndarray, " seeds"]:
        """Of slope and intercept from the optimum, Euclidean."""
        return np.linalg.norm(self.ends - self.optimum.theta, axis=1)

    @property
    def reached(self) -> bool:
        """Whether every run ended within what counts as arrived."""
        return bool((self.excess[:, -1] <= ARRIVED[self.method.batch]).all())


def outcome(method: Method, plan: Plan, clock: Stopwatch) -> Outcome:
    """Trains one method, chooses its rate, and keeps what the report seeds did with it."""
    optimum = closed_form(plan.data, method.l1, method.l2)
    way = train(method, plan.data, (*plan.protocol.selection, *plan.protocol.report), clock)
    excess, select = optimum.excess(way), len(plan.protocol.selection)
    best = choose(excess[:, :select], ARRIVED[method.batch])
    return Outcome(method, method.rates[best], optimum, way[best, select:, -1], excess[best, select:])


def numbers_of(outcomes: list[Outcome], line: Line) -> list[Number]:
    """The answers in numbers: counts and the closed form, and of each kind of batch the method that ends farthest."""

    def exact(name: str, value: float, unit: str, meaning: str) -> Number:
        return Number(name=name, value=float(value), interval=None, unit=unit, meaning=meaning)

    def mean(name: str, values: Float[np.ndarray, " seeds"], unit: str, meaning: str) -> Number:
        interval: list[float | None] = [end if np.isfinite(end) else None for end in verdict.t_interval(values)]
        return Number(name=name, value=float(values.mean()), interval=interval, unit=unit, meaning=meaning)

    found = [
        exact("methods", len(outcomes), "methods", "trained"),
        exact("methods that arrived", sum(one.reached for one in outcomes), "methods", "with every seed"),
        exact("slope", line.theta[0], "", "of the least-squares line, in closed form"),
        exact("intercept", line.theta[1], "", "of the least-squares line, in closed form"),
        exact("uncertainty", line.deviation, "", "how far the least-squares line is from the true one, by its errors"),
    ]
    for batch, some in grouped(outcomes):
        worst = max(some, key=lambda one: one.distances.max())
        meaning = f"of the method that ends farthest ({worst.method.label}), mean of the seeds"
        found.append(mean(f"distance, {batch}", worst.distances, "", meaning))
        found.append(mean(f"excess loss, {batch}", worst.excess[:, -1], "of the least", meaning))
    return found


def grouped(outcomes: list[Outcome]) -> list[tuple[str, list[Outcome]]]:
    """Outcomes by what a batch holds."""
    groups = [(batch, [one for one in outcomes if one.method.batch == batch]) for batch in BATCHES]
    return [(batch, some) for batch, some in groups if some]


def verdict_of(outcomes: list[Outcome], line: Line) -> str:
    """How many arrived, and the worst distances."""
    missed = [one.method.name for one in outcomes if not one.reached]
    count = f"All {len(outcomes)}" if not missed else f"{len(outcomes) - len(missed)} of {len(outcomes)}"
    far = [f"{max(one.distances.max() for one in some):.1e} ({batch})" for batch, some in grouped(outcomes)]
    return (
        f"{count} methods reach the least-squares line, slope {line.theta[0]:.4f} and intercept {line.theta[1]:.4f}"
        f"{'' if not missed else '; not ' + ', '.join(missed)}. The farthest end of any run lies {', '.join(far)} from "
        f"the method's closed form, which the noise of the data itself leaves uncertain by {line.deviation:.1e}."
    )


def section_of_line(line: Line) -> Section:
    """What all methods look for."""
    return {
        "title": "The line in closed form",
        "text": [
            (
                "It solves the normal equations, in float64, for the points that every method trains on. The excess "
                f"loss is (J - J*) / J*, where J* = {line.least:.6f} is the least mean squared error of any line. "
                f"Methods with a penalty ({PENALTY} times the absolute values, or half the squares, of slope and "
                "intercept) are measured against the closed form of their own objective."
            )
        ],
        "tables": [
            {
                "title": "The true line, and the one that fits the points best.",
                "columns": ["Line", "Slope", "Intercept"],
                "rows": [
                    ["True", f"{SLOPE:.6f}", f"{INTERCEPT:.6f}"],
                    ["Least squares", *(f"{value:.6f}" for value in line.theta)],
                ],
            }
        ],
        "charts": [],
    }


def section_of(batch: str, outcomes: list[Outcome]) -> Section:
    """A table of all methods with such batches, and their ways as curves."""
    first = outcomes[0].method
    plain = [one for one in outcomes if not one.method.l1 and not one.method.l2]
    descents = [one for one in plain if one.method.optimizer in ("gradient_descent", "sgd")]
    others = [one for one in plain if one not in descents]
    name = batch.replace(" ", "_").replace("-", "_")
    charts = [
        chart_of(f"{name}_{part}", f"{batch.capitalize()}: {part}", some, ARRIVED[batch])
        for part, some in (("step sizes", descents), ("optimizers", [*descents[:1], *others] if others else []))
        if some
    ]
    return {
        "title": f"{batch.capitalize()}: {first.steps:,} steps, {first.batch_size} a batch",
        "text": [f"A method has arrived when the excess loss of every run ends below {ARRIVED[batch]:.0e}."],
        "tables": [
            {
                "title": f"Worst of {len(outcomes[0].ends)} seeds; slope and intercept are those of the worst.",
                "columns": ["Method", "Schedule", "Rate", "Steps to 1%", "Slope", "Intercept", "Distance", "Excess"],
                "rows": [row_of(one) for one in outcomes],
            }
        ],
        "charts": charts,
    }


def row_of(one: Outcome) -> list[str | float | None]:
    """A method's row."""
    worst = int(one.distances.argmax())
    steps = float(np.median(steps_to_near(one.excess)))
    return [
        one.method.label,
        one.method.schedule.replace("_", " "),
        f"{one.rate:g}",
        steps if np.isfinite(steps) else "not near",
        *(f"{value:.6f}" for value in one.ends[worst]),
        float(one.distances[worst]),
        float(one.excess[:, -1].max()),
    ]


def chart_of(name: str, title: str, outcomes: list[Outcome], arrived: float) -> Chart:
    """The excess against the steps, on logarithmic axes."""
    steps = outcomes[0].method.steps
    at = np.unique(np.geomspace(1, steps, POINTS).round().astype(int))
    return {
        "name": name.replace(" ", "_"),
        "title": title,
        "caption": "Excess loss on all training points, median of the seeds.",
        "x": "Steps",
        "y": "Excess loss, part of the least",
        "x_log": True,
        "y_log": True,
        "level": ["arrived", arrived],
        "series": [
            {"name": one.method.label, "x": at.tolist(), "y": np.median(one.excess[:, at], axis=0).tolist()}
            for one in outcomes
        ],
    }


def run(plan: Plan) -> None:
    """Trains every method, writes the page."""
    console, clock, began = Console(), Stopwatch(), time.perf_counter()
    plan.out.mkdir(parents=True, exist_ok=True)
    outcomes = []
    for method in plan.methods:
        outcomes.append(outcome(method, plan, clock))
        worst = outcomes[-1].distances.max()
        console.print(f"{method.name}: rate {outcomes[-1].rate:g}, distance {worst:.1e}", highlight=False)
    line = closed_form(plan.data)
    results = cli.findings(
        "linear_regression",
        "Does every method of gradient descent find the least-squares line?",
        plan.config,
        verdict_of(outcomes, line),
        seconds=time.perf_counter() - began,
        compile_seconds=clock.compiling,
        numbers=numbers_of(outcomes, line),
        sections=[section_of_line(line), *(section_of(batch, some) for batch, some in grouped(outcomes))],
    )
    cli.finish(results, plan.out, console)


if __name__ == "__main__":
    cli.main(Config, prepare, run, __doc__)
