"""How many steps does curvature save?

    python -m experiments.second_order
    python -m experiments.second_order --starts 20 --steps 30000

Newton's method, Gauss-Newton, L-BFGS, heavy-ball momentum, Adam and gradient descent on rotated quadratics of
20 dimensions with condition numbers from 1 to a million, and on Rosenbrock's valley, each from the same starts.
Counted are the steps until the value lies 1e-6 of its start above the minimum. First-order methods have their
learning rate chosen on a grid, for each problem, as the one that gets there first on average over the starts;
curvature methods run at their default rate of 1, and momentum on a quadratic has the best constants there are.
A run that does not get there within the steps counts as never, and is never left out.

Writes results.json, report.html and the plots. About a minute on two CPU cores.
"""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from experiments import cli
from jaxlab import tasks, verdict
from jaxlab.core import hyper
from jaxlab.core.space import LogUniform, grid
from jaxlab.optimizers import Recipe
from jaxlab.sweep import seed_keys
from jaxlab.train import init_run, make_run
from jaxlab.train.stopwatch import Stopwatch

QUADRATICS = ("quadratic_1", "quadratic_1e2", "quadratic_1e4", "quadratic_1e6")
VALLEY = "rosenbrock"
TARGET = 1e-6
SPREAD = 0.2
"""Standard deviation of the starts around Rosenbrock's classical one."""
CURVATURE_STEPS = {"newton": 200, "gauss_newton": 200, "lbfgs": 3_000}
"""What methods that use curvature are given."""

RATES = {
    "gradient_descent": LogUniform(1e-4, 1.98),
    "momentum": LogUniform(1e-4, 1.0),
    "adam": LogUniform(1e-3, 3.0),
}
COST = {
    "newton": "1 gradient, n Hessian products, an eigendecomposition",
    "gauss_newton": "1 gradient, n Jacobian products, a singular value decomposition",
    "lbfgs": "1 to 2 gradients",
    "momentum": "1 gradient",
    "adam": "1 gradient",
    "gradient_descent": "1 gradient",
}


@dataclasses.dataclass(frozen=True)
class Config:
    """How long, from how many starts."""

    methods: tuple[str, ...] = tuple(COST)
    """Which to compare."""
    starts: int = 10
    """Starting points, the same for all methods."""
    steps: int = 10_000
    """What first-order methods are given."""
    points: int = 12
    """Learning rates on the grid of a first-order method."""
    seed: int = 0
    """Another seed, other starts."""
    out: Path | None = None
    """Where to write; by default runs/second_order/<time>."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A configuration, checked."""

    config: Config
    out: Path


def prepare(config: Config) -> Plan:
    """Checks everything that can be checked without training."""
    if not config.methods:
        raise ValueError("methods = []: accepted is at least one")
    for method in config.methods:
        hyper.one_of("methods", method, COST)
    hyper.integer("starts", config.starts, at_least=2)
    hyper.integer("steps", config.steps, at_least=100)
    hyper.integer("points", config.points, at_least=1)
    hyper.integer("seed", config.seed, at_least=0, at_most=2**16)
    return Plan(config, cli.new_folder(config.out, "second_order"))


@dataclasses.dataclass(frozen=True)
class Descent:
    """One method on one problem, at its best rate.

    Attributes:
      rate: chosen, or 1.
      steps: of each start, until the target; infinite where it was not reached.
      gaps: of each start after each step, as a part of the gap at the start.
    """

    rate: float
    steps: np.ndarray
    gaps: np.ndarray


def run(plan: Plan) -> None:
    """Descends from all starts by all methods, counts, writes the page."""
    console, clock, began = Console(), Stopwatch(), time.perf_counter()
    config = plan.config
    keys = seed_keys([config.seed * 1_000 + i for i in range(config.starts)])
    quadratics, valley = [tasks.get(name) for name in QUADRATICS], tasks.get(VALLEY)
    found: dict[str, dict[str, Descent]] = {}
    for method in dict.fromkeys(config.methods):
        console.print(f"{method} ...", end=" ")
        steps = CURVATURE_STEPS.get(method, config.steps)
        found[method] = descend(method, quadratics, keys, steps, rates_of(method, config.points), clock)
        found[method] |= descend(method, [valley], keys, steps, rates_of(method, config.points), clock)
        console.print(", ".join(f"{problem}: {said(one.steps)}" for problem, one in found[method].items()))
    results = cli.findings(
        "second_order",
        "How many steps does curvature save?",
        config,
        answer(found),
        seconds=time.perf_counter() - began,
        compile_seconds=clock.compiling,
        numbers=[number_of(method, problem, one) for method, row in found.items() for problem, one in row.items()],
        sections=sections_of(found, config),
    )
    plan.out.mkdir(parents=True, exist_ok=True)
    cli.finish(results, plan.out, console)


def rates_of(method: str, points: int) -> list[float]:
    """The learning rates that a method is tried with."""
    return grid(RATES[method], points) if method in RATES else [1.0]


def descend(
    method: str,
    problems: Sequence[tasks.Task],
    keys: jax.Array,
    steps: int,
    rates: Sequence[float],
    clock: Stopwatch,
) -> dict[str, Descent]:
    """All problems, rates and starts of a method as one compiled program; the best rate of each problem.

    The problems share one loss: what tells one quadratic from another is its data.
    """
    build, loss = Recipe(method).build, problems[0].loss
    descent = make_run(loss, build, batch_size=1, steps=steps)

    def gaps_of(params: Any, numbers: Mapping[str, Any], data: Any) -> jax.Array:
        state = init_run(lambda _: params, build, numbers, key=jax.random.key(0))
        return descent(state, data)[1]["gap"]

    starts = [[start_of(task, key) for key in keys] for task in problems]
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[one for row in starts for one in row])
    params = jax.tree.map(lambda leaf: leaf.reshape(len(problems), len(keys), *leaf.shape[1:]), params)
    data = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[task.data for task in problems])
    numbers = [numbers_of(method, task, rates) for task in problems]
    stacked = {name: jnp.array([row[name] for row in numbers], jnp.float32) for name in numbers[0]}

    over_starts = jax.vmap(gaps_of, in_axes=(0, None, None))
    over_rates = jax.vmap(over_starts, in_axes=(None, 0, None))
    every = jax.jit(jax.vmap(over_rates, in_axes=(0, 0, 0)))
    gaps = np.asarray(clock.run(every, params, stacked, data), np.float64)
    return {
        task.name: best_of([float(x) for x in row["learning_rate"]], gaps[i])
        for i, (task, row) in enumerate(zip(problems, numbers, strict=True))
    }


def start_of(task: tasks.Task, key: jax.Array) -> Any:
    """A start of a problem: its own, and around the one point of a problem that has no other."""
    params = task.init(key)
    if task.name != VALLEY:
        return params
    moved = SPREAD * jax.random.normal(key, (len(params),))
    return {name: leaf + moved[i] for i, (name, leaf) in enumerate(sorted(params.items()))}


def numbers_of(method: str, task: tasks.Task, rates: Sequence[float]) -> dict[str, list[float]]:
    """The hyperparameters of each rate; momentum on a quadratic has the one best pair, the task's own."""
    if method == "momentum" and task.name != VALLEY:
        return {name: [value] * len(rates) for name, value in task.default_hyperparams().items()}
    momentum = {"momentum": [0.95] * len(rates)} if method == "momentum" else {}
    return {"learning_rate": list(rates), **momentum}


def best_of(rates: Sequence[float], gaps: np.ndarray) -> Descent:
    """The rate that reaches the target first: by most starts, then in the fewest steps, then the deepest.

    Args:
      gaps: [rates, starts, steps].
    """
    relative = gaps / gaps[:, :, :1]
    reached = np.where(np.isfinite(relative), relative, np.inf) <= TARGET
    steps = np.where(reached.any(axis=2), reached.argmax(axis=2), np.inf)
    last = np.where(np.isfinite(relative[:, :, -1]), relative[:, :, -1], np.inf)

    def merit(i: int) -> tuple[float, float, float]:
        some = np.isfinite(steps[i])
        return (-float(some.sum()), float(steps[i][some].mean()) if some.any() else 0.0, float(np.median(last[i])))

    best = min(range(len(rates)), key=merit)
    return Descent(rates[best], steps[best], relative[best])


def said(steps: np.ndarray) -> str:
    """Steps in words."""
    middle = np.median(steps)
    return f"{middle:,.0f}" if np.isfinite(middle) else "never"


def answer(found: Mapping[str, Mapping[str, Descent]]) -> str:
    """The verdict."""

    def needs(problem: str) -> str:
        first, *others = ((method, said(row[problem].steps)) for method, row in found.items())
        return ", ".join([f"{first[0]} needs {first[1]} steps", *(f"{method} {steps}" for method, steps in others)])

    return (
        f"At a condition of a million {needs(QUADRATICS[-1])}. In Rosenbrock's valley {needs(VALLEY)}. A step of "
        "newton or gauss_newton costs as many gradients as there are parameters: with millions of them lbfgs and the "
        "first-order methods remain."
    )


def number_of(method: str, problem: str, one: Descent) -> dict[str, Any]:
    """One cell of the table of steps, with the t interval over the starts."""
    lost = int(np.isinf(one.steps).sum())
    missed = f"; {lost} of {one.steps.size} starts did not get there" if lost else ""
    return {
        "name": f"{method} on {problem}",
        "value": float(one.steps.mean()) if not lost else None,
        "interval": verdict.t_interval(one.steps) if not lost else [None, None],
        "unit": "steps",
        "meaning": f"mean steps to a millionth of the gap at the start, learning rate {one.rate:.3g}{missed}",
    }


def sections_of(found: Mapping[str, Mapping[str, Descent]], config: Config) -> list[dict[str, Any]]:
    """The table, and a chart of the way down for each kind of problem."""
    problems = [*QUADRATICS, VALLEY]
    rows = [[method, *(said(found[method][p].steps) for p in problems), COST[method]] for method in found]
    rates = [[method, *(found[method][p].rate for p in problems)] for method in found]
    steps = {
        "title": f"Median steps over {config.starts} starts until the gap is a millionth of that at the start",
        "columns": ["method", *problems, "a step costs"],
        "rows": rows,
    }
    chosen = {"title": "Learning rates", "columns": ["method", *problems], "rows": rates}
    growth = {
        "name": "condition",
        "title": "Steps against the condition number",
        "caption": "Quadratics of 20 dimensions, median over the starts; a line ends where runs no longer arrive. "
        "Gradient descent pays the condition itself, momentum its root, Newton nothing.",
        "x": "condition number",
        "y": "steps",
        "x_log": True,
        "y_log": True,
        "series": [line for method in found if (line := growth_of(method, found[method])) is not None],
    }
    charts = [growth, *(way_down(problem, found) for problem in (QUADRATICS[2], VALLEY))]
    adam = (
        "Adam and RMSprop are sometimes called second-order methods. They are not: their averages hold the squares of "
        "gradients, coordinate by coordinate, and on a rotated quadratic no coordinate is an eigenvector. The table "
        "shows what real curvature is worth where it can be had."
    )
    starts = (
        f"Rosenbrock's function has one classical start; the starts here lie around it, with a deviation of {SPREAD}."
    )
    words = [adam, starts]
    return [{"title": "Steps to the minimum", "text": words, "tables": [steps, chosen], "charts": charts}]


def growth_of(method: str, row: Mapping[str, Descent]) -> dict[str, Any] | None:
    """Median steps against the condition, where there are any."""
    medians = [float(np.median(row[problem].steps)) for problem in QUADRATICS]
    points = [
        (condition, steps) for condition, steps in zip((1.0, 1e2, 1e4, 1e6), medians, strict=True) if steps < np.inf
    ]
    if not points:
        return None
    return {"name": method, "x": [x for x, _ in points], "y": [max(steps, 1.0) for _, steps in points]}


def way_down(problem: str, found: Mapping[str, Mapping[str, Descent]]) -> dict[str, Any]:
    """The median gap against the step, on a few steps evenly spread on a log axis."""
    series = []
    for method, row in found.items():
        middle = np.median(row[problem].gaps, axis=0)
        shown = np.unique(np.geomspace(1, middle.size, 60).astype(int)) - 1
        # Below the target lies rounding.
        end = int(np.argmax(middle[shown] <= TARGET)) + 1 if (middle[shown] <= TARGET).any() else shown.size
        x, y = shown[:end] + 1, np.maximum(middle[shown[:end]], TARGET / 10)
        series.append({"name": method, "x": x.tolist(), "y": y.tolist()})
    return {
        "name": f"way-{problem}",
        "title": f"The way down: {problem}",
        "caption": "Median over the starts of the gap, as a part of that at the start; each method at its best rate.",
        "x": "step",
        "y": "gap over the gap at the start",
        "x_log": True,
        "y_log": True,
        "level": ["target", TARGET],
        "series": series,
    }


if __name__ == "__main__":
    cli.main(Config, prepare, run, __doc__)
