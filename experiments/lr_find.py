"""Which learning rates are worth trying?

    python -m experiments.lr_find
    python -m experiments.lr_find --task digits_cnn --optimizers momentum adamw lion

The range test (Smith 2015): a run in which the learning rate rises in equal factors from very low to very high, a
little at every step. At first nothing happens, then the loss falls, then it explodes. Where it begins to fall and
where it is lowest are the ends of what is worth trying; where it falls most, and a tenth of where the run diverges,
are two usual suggestions. Every run is one compiled program, its seeds side by side; intervals are over the seeds.

It is a hint, cheap and rough: it knows nothing of the schedule, of how long a rate is kept or of generalisation. Tuning
decides: experiments.tune for one recipe, experiments.compare for several.

Writes results.json, report.html and the plot. On two CPU cores it takes 15 seconds, most of them compiling.
"""

import dataclasses
import time
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float
from rich.console import Console

from experiments import cli
from experiments.critical_batch import geometric
from jaxlab import tasks
from jaxlab.core import hyper
from jaxlab.core.space import grid
from jaxlab.optimizers import Recipe
from jaxlab.report.sections import Chart, Number, Section, Series, Table
from jaxlab.sweep import seed_keys
from jaxlab.sweep.range_test import RangeTest, check_rates, range_test
from jaxlab.train.data import check_length
from jaxlab.verdict.measure import enumerate_words

LANDMARKS = (
    ("begins to fall", "begins", "where a tenth of the fall is done: the lower end of what is worth trying"),
    ("falls most", "steepest", "where the loss falls most for a factor of the rate: the first suggestion"),
    ("lowest", "lowest", "where the loss is lowest: the upper end of what is worth trying"),
    ("tenth of divergence", "tenth", "a tenth of the rate at which the run diverges: the second suggestion"),
)
POINTS = 200
"""Of the chart's lines, at most."""


@dataclasses.dataclass(frozen=True)
class Config:
    """What to test."""

    task: str = "digits_mlp"
    """A built-in task, or your own as package.module:object."""
    optimizers: tuple[str, ...] = ("sgd", "momentum", "adamw", "lion")
    """Each by itself, its other numbers at their defaults."""
    low: float = 1e-6
    """The rate at the first step."""
    high: float = 100.0
    """The rate at the last step."""
    steps: int = 400
    """Of each run: some 50 for each factor of 10."""
    batch_size: int | None = None
    """Examples a step; by default the task's."""
    seeds: int = 5
    """Runs of each optimizer."""
    seed: int = 0
    """Another seed, other runs."""
    out: Path | None = None
    """Where to write; by default runs/lr_find/<time>."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A configuration, checked and spelled out."""

    config: Config
    task: tasks.Task
    recipes: list[Recipe]
    batch_size: int
    out: Path


def prepare(config: Config) -> Plan:
    """Checks everything that can be checked without training."""
    if not config.optimizers:
        raise ValueError("optimizers = (): accepted is at least one")
    check_rates(config.low, config.high)
    hyper.integer("steps", config.steps, at_least=2)
    hyper.integer("seeds", config.seeds, at_least=1)
    hyper.integer("seed", config.seed, at_least=0, at_most=2**32 - 1 - config.seeds)
    task = tasks.get(config.task)
    given = task.batch_size if config.batch_size is None else config.batch_size
    batch_size = hyper.integer("batch_size", given, at_least=1)
    check_length(config.steps, batch_size)
    recipes = [Recipe(name) for name in dict.fromkeys(config.optimizers)]
    for recipe in recipes:
        tasks.check_optimizer(task, recipe)
    out = cli.new_folder(config.out, "lr_find")
    tasks.check(task, jax.random.key(config.seed))
    return Plan(config, task, recipes, batch_size, out)


def run(plan: Plan) -> None:
    """Tests every optimizer, writes the page."""
    console, began, config = Console(), time.perf_counter(), plan.config
    plan.out.mkdir(parents=True, exist_ok=True)
    keys = seed_keys(range(config.seed, config.seed + config.seeds))
    tests = {}
    for recipe in plan.recipes:
        tests[recipe.optimizer] = range_test(
            plan.task,
            recipe,
            keys,
            low=config.low,
            high=config.high,
            steps=config.steps,
            batch_size=plan.batch_size,
        )
        console.print(f"{recipe.optimizer}: {_worth_trying(tests[recipe.optimizer])}", highlight=False)
    results = cli.findings(
        "lr_find",
        "Which learning rates are worth trying?",
        config,
        verdict_of(plan.task, tests),
        seconds=time.perf_counter() - began,
        compile_seconds=sum(test.compile_seconds for test in tests.values()),
        numbers=numbers(tests),
        sections=[_found(plan, tests), _method(plan)],
    )
    cli.finish(results, plan.out, console)


def landmark(test: RangeTest, name: str) -> Float[np.ndarray, " seeds"]:
    """A landmark's rate for each seed, NaN where its run has none."""
    return test.diverges / 10 if name == "tenth" else getattr(test, name)


def verdict_of(task: tasks.Task, tests: dict[str, RangeTest]) -> str:
    """What is worth trying, then what to try first."""
    ranges = [f"{_worth_trying(test)} with {name}" for name, test in tests.items()]
    first = [f"{_rate(test, 'steepest')} with {name}" for name, test in tests.items()]
    return (
        f"On {task.name} the loss falls at learning rates from {enumerate_words(ranges)}. "
        f"Try first, where it falls most: {enumerate_words(first)}. "
        "This is a hint from a few hundred steps; tuning decides."
    )


def _worth_trying(test: RangeTest) -> str:
    low, high = (geometric(landmark(test, name).tolist())[0] for name in ("begins", "lowest"))
    return f"{low:.2g} to {high:.2g}" if np.isfinite([low, high]).all() else "none to none"


def _rate(test: RangeTest, name: str) -> str:
    mean, (low, high) = geometric(landmark(test, name).tolist())
    if not np.isfinite(mean):
        return "nothing"
    return f"{mean:.2g} (95% interval {low:.2g} to {high:.2g})" if high < np.inf else f"{mean:.2g} (one seed)"


def numbers(tests: dict[str, RangeTest]) -> list[Number]:
    """Each optimizer's landmarks: geometric means over the seeds with t intervals of the logarithms."""
    found: list[Number] = []
    for optimizer, test in tests.items():
        for name, of, meaning in LANDMARKS:
            mean, interval = geometric(landmark(test, of).tolist())
            found.append(
                {
                    "name": f"{name}, {optimizer}",
                    "value": mean,
                    "interval": list(interval),
                    "unit": "learning rate",
                    "meaning": meaning,
                }
            )
    return found


def _found(plan: Plan, tests: dict[str, RangeTest]) -> Section:
    lost = [
        f"{name} in {count} of {plan.config.seeds}"
        for name, test in tests.items()
        if (count := int(np.isnan(test.steepest).sum()))
    ]
    advice = (
        "Below the first rate nothing is learned in a few steps; above that of the lowest loss the run undoes what it "
        "has learned. Common practice takes the rate where the loss falls most, or a tenth of that at which the run "
        "diverges, and tunes around it; a schedule that warms up and decays stands a higher peak."
    )
    noise = [f"The loss never fell by more than its noise: {enumerate_words(lost)} runs."] if lost else []
    return {
        "title": f"Learning rates on {plan.task.name}",
        "text": [advice, *noise],
        "tables": [_table(tests)],
        "charts": [_chart(tests)],
    }


def _table(tests: dict[str, RangeTest]) -> Table:
    rows: list[list[str | float | None]] = []
    for name, test in tests.items():
        published = grid(Recipe(name).info.search_space["learning_rate"], 2)
        rates = [geometric(landmark(test, of).tolist())[0] for _, of, _ in LANDMARKS]
        diverged = int(np.isfinite(test.diverges).sum())
        shown = [f"{rate:.2g}" if np.isfinite(rate) else None for rate in rates]
        rows.append([name, *shown, f"{diverged} of {test.diverges.size}", f"{published[0]:.2g} to {published[1]:.2g}"])
    columns = ["optimizer", *(name for name, _, _ in LANDMARKS), "diverged", "range that papers search"]
    return {"title": "Learning rates, geometric means over the seeds", "columns": columns, "rows": rows}


def _chart(tests: dict[str, RangeTest]) -> Chart:
    series: list[Series] = []
    for name, test in tests.items():
        chosen = np.unique(np.linspace(0, test.rates.size - 1, POINTS).round().astype(int))
        # Beyond twice the rate at which the last run diverged there is nothing to see.
        chosen = chosen[~(test.rates[chosen] > 2 * test.diverges.max())]
        curves = test.smoothed[:, chosen]
        series.append(
            {
                "name": name,
                "x": test.rates[chosen].tolist(),
                "y": curves.mean(axis=0).tolist(),
                "low": curves.min(axis=0).tolist(),
                "high": curves.max(axis=0).tolist(),
            }
        )
    return {
        "name": "range-test",
        "title": "Training loss while the rate rises",
        "caption": "Smoothed; mean over the seeds, band from the lowest to the highest. A line ends a "
        "little after the last of its runs has diverged.",
        "x": "learning rate",
        "y": "training loss",
        "series": series,
        "x_log": True,
    }


def _method(plan: Plan) -> Section:
    config = plan.config
    test = (
        f"{config.seeds} runs of each optimizer, {config.steps} steps of {plan.batch_size} examples, the rate rising "
        f"from {config.low:g} to {config.high:g} in equal factors; all other numbers at the optimizer's defaults. A "
        "step's loss is that of its batch before the step. It is smoothed by a Gaussian with a standard deviation of a "
        "tenth of a decade of the rate, its slope by one of a quarter. A run has diverged where half of what it "
        "gained is lost again, or the loss is not a finite number."
    )
    warning = (
        "What such a test cannot say: which rate is best after many steps, under a schedule, with another weight "
        "decay, or on validation data. The rates rise while the parameters improve, so the answer moves with the "
        "number of steps; and intervals hold the noise of initial parameters and batches alone."
    )
    return {
        "title": "How it was measured, and what it leaves open",
        "text": [test, warning],
        "tables": [],
        "charts": [],
    }


if __name__ == "__main__":
    cli.main(Config, prepare, run, __doc__)
