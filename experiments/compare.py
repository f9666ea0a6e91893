"""Which optimizer should I use on this task?

    python -m experiments.compare
    python -m experiments.compare --task digits_cnn --optimizers momentum adamw --report-seeds 10

Every optimizer tunes its learning rate on the same number of grid points within the range that papers used,
with the same steps, selection seeds and schedule; the rate with the best mean validation metric is trained
anew with report seeds that tuning never saw, and scored once on test data. Report seeds are shared: with a
seed, every optimizer starts from the same parameters, trains on the same split and sees the same batches. All
pairs are compared by paired t tests with Holm's correction.

Writes results.json, report.html and the plots. On two CPU cores the default (digits, an MLP, seven
optimizers, eight rates, 1,000 steps) takes about a minute.
"""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from experiments import cli
from jaxlab import report, schedules, tasks, verdict
from jaxlab.core import hyper
from jaxlab.core.space import grid
from jaxlab.optimizers import Recipe
from jaxlab.sweep import History, Tuning, run_population, seed_keys, tune, use_every_core
from jaxlab.train.data import check_length

SEEDS = 10_000
"""Each study has so many seeds of its own: the first half to select with, the second to report."""
DEFAULT = ("sgd", "momentum", "rmsprop", "adagrad", "adam", "adamw", "lion")


@dataclasses.dataclass(frozen=True)
class Config:
    """What to compare."""

    task: str = "digits_mlp"
    """A built-in task, or your own as package.module:object."""
    optimizers: tuple[str, ...] = DEFAULT
    """The arms."""
    learning_rates: tuple[float, ...] = ()
    """The grid, for every optimizer; by default each optimizer's published range."""
    points: int = 8
    """Grid points in the published range."""
    schedule: str = "cosine"
    """Of the learning rate, over the whole run."""
    warmup: float = 0.05
    """The part of the steps in which the rate rises from 0."""
    steps: int | None = None
    """Training steps; by default the task's."""
    batch_size: int | None = None
    """Examples a step; by default the task's."""
    selection_seeds: int = 3
    """Seeds that each rate is tried with."""
    report_seeds: int = 5
    """Seeds that the chosen rates are reported on."""
    seed: int = 0
    """Another seed, another study: all seeds follow from it."""
    margin: float | None = None
    """Differences of the test metric below this do not matter: then arms can be called equivalent."""
    evaluations: int = 20
    """Points of the learning curves."""
    layout: Annotated[str, tyro.conf.arg(help="vmap, or map: members of a population one after the other.")] = "vmap"
    out: Path | None = None
    """Where to write; by default runs/compare/<time>."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A configuration, checked and spelled out."""

    config: Config
    task: tasks.Task
    arms: dict[str, tuple[Recipe, list[float]]]
    timing: dict[str, float]
    steps: int
    every: int
    selection: list[int]
    report: list[int]
    out: Path


def prepare(config: Config) -> Plan:
    """Checks everything that can be checked without training."""
    use_every_core()
    if not config.optimizers:
        raise ValueError("optimizers = []: accepted is at least one")
    hyper.one_of("layout", config.layout, ("vmap", "map"))
    hyper.number("warmup", config.warmup, "[0, 1)")
    for name in ("points", "evaluations"):
        hyper.integer(name, getattr(config, name), at_least=1)
    for name in ("selection_seeds", "report_seeds"):
        hyper.integer(name, getattr(config, name), at_least=1, at_most=SEEDS // 2)
    hyper.integer("seed", config.seed, at_least=0, at_most=2**32 // SEEDS - 1)
    if config.batch_size is not None:
        hyper.integer("batch_size", config.batch_size, at_least=1)
    if config.margin is not None:
        hyper.number("margin", config.margin, "(0, inf)")
    out = cli.new_folder(config.out, "compare")
    task = tasks.get(config.task)
    steps = hyper.integer("steps", task.steps if config.steps is None else config.steps, at_least=1)
    timing = timing_of(config.schedule, steps, config.warmup)
    arms = {}
    for name in dict.fromkeys(config.optimizers):
        recipe = Recipe(name, config.schedule)
        rates = list(config.learning_rates) or grid(recipe.info.search_space["learning_rate"], config.points)
        for rate in rates:
            recipe.hyperparams({"learning_rate": rate, **timing})
        arms[name] = (recipe, rates)
    check_length(steps, config.batch_size or task.batch_size)
    first = SEEDS * config.seed
    tasks.check(task, jax.random.key(first))
    return Plan(
        config=config,
        task=task,
        arms=arms,
        timing=timing,
        steps=steps,
        every=max(1, steps // config.evaluations),
        selection=[first + i for i in range(config.selection_seeds)],
        report=[first + SEEDS // 2 + i for i in range(config.report_seeds)],
        out=out,
    )


def timing_of(schedule: str, steps: int, warmup: float) -> dict[str, float]:
    """The schedule's lengths for a run of so many steps."""
    lengths: dict[str, float] = {
        "total_steps": steps,
        "decay_steps": round(0.2 * steps),
        "transition_steps": steps,
        "every": steps / 3,
    }
    shapes: dict[str, float] = {"decay_rate": 0.01, "factor": 0.1}
    parameters = schedules.get(schedule).parameters
    return {"warmup_steps": round(warmup * steps)} | {
        name: value for name, value in {**lengths, **shapes}.items() if name in parameters
    }


def run(plan: Plan) -> None:
    """Tunes and reports every arm, compares them, writes the page."""
    console, began = Console(), time.perf_counter()
    plan.out.mkdir(parents=True, exist_ok=True)
    console.print(f"[bold]{plan.task.name}[/]: {plan.task.description}")
    found = {}
    with progress_bar(console) as bar:
        total = bar.add_task("", total=2 * len(plan.arms) * plan.steps)
        for name, (recipe, rates) in plan.arms.items():
            bar.update(total, description=f"{name}: tuning")
            tuning = tune_arm(plan, recipe, rates, advance(bar, total))
            bar.update(total, description=f"{name}: report")
            found[name] = (tuning, report_arm(plan, recipe, tuning, advance(bar, total)))
    results = summarize(plan, found, time.perf_counter() - began)
    console.print(table_of(results))
    console.print(f"[bold]{results['verdict']}[/]")
    page = report.write(results, plan.out)
    console.print(
        f"{page} ({results['seconds']['total']:.0f} s, of which {results['seconds']['compile']:.0f} s compiling)"
    )


def tune_arm(plan: Plan, recipe: Recipe, rates: list[float], progress: Callable[[int, int], None]) -> Tuning:
    """All rates with all selection seeds, as one population, on validation data."""
    return tune(
        plan.task,
        recipe,
        rates,
        plan.selection,
        hyperparams=plan.timing,
        steps=plan.steps,
        eval_every=plan.every,
        batch_size=plan.config.batch_size,
        layout=plan.config.layout,
        progress=progress,
    )


def report_arm(plan: Plan, recipe: Recipe, tuning: Tuning, progress: Callable[[int, int], None]) -> History:
    """The chosen rate with all report seeds, on test data, in the program that tuning compiled."""
    return run_population(
        plan.task,
        recipe.build,
        {**plan.timing, "learning_rate": tuning.chosen},
        seed_keys(plan.report),
        steps=plan.steps,
        eval_every=plan.every,
        batch_size=plan.config.batch_size,
        layout=plan.config.layout,
        capacity=tuning.validation.size,
        test=True,
        progress=progress,
    )


def summarize(plan: Plan, found: dict[str, tuple[Tuning, History]], seconds: float) -> dict[str, Any]:
    """All that was found, in the form of results.json."""
    task = plan.task
    scores = {name: history.test[task.metric].tolist() for name, (_, history) in found.items()}
    pairs = verdict.comparisons(scores, task.higher_is_better, plan.config.margin)
    measure = verdict.Measure(task.metric, task.unit, task.higher_is_better)
    compiling = sum(tuning.history.compile_seconds + history.compile_seconds for tuning, history in found.values())
    return {
        "schema": report.SCHEMA,
        "experiment": "compare",
        "question": f"Which optimizer should I use on {task.name}?",
        "command": cli.command("experiments.compare"),
        "environment": report.environment(),
        "config": dataclasses.asdict(plan.config) | {"steps": plan.steps},
        "task": report.task_entry(task),
        "arms": [arm_of(plan, name, *found[name]) for name in plan.arms],
        "comparisons": [dataclasses.asdict(pair) for pair in pairs],
        "verdict": verdict.overall(scores, pairs, measure),
        "seconds": {"total": seconds, "compile": compiling},
    }


def arm_of(plan: Plan, name: str, tuning: Tuning, history: History) -> dict[str, Any]:
    """One optimizer's part of results.json."""
    metric, recipe = plan.task.metric, plan.arms[name][0]
    test = history.test[metric]
    finite = test[np.isfinite(test)]
    before = tuning.history
    return {
        "name": name,
        "optimizer": name,
        "schedule": recipe.schedule,
        "reference": recipe.info.reference,
        "hyperparams": recipe.hyperparams({**plan.timing, "learning_rate": tuning.chosen}),
        "tuning": {
            "parameter": tuning.parameter,
            "values": tuning.values,
            "seeds": tuning.seeds,
            "validation": tuning.validation,
            "chosen": tuning.chosen,
            "at_edge": tuning.at_edge,
        },
        "report": {
            "seeds": plan.report,
            "test": test,
            "mean": finite.mean() if finite.size else None,
            "interval": verdict.t_interval(test),
            "diverged": test.size - finite.size,
        },
        "curves": {
            "steps": history.steps,
            "validation": history.validation[metric],
            "train_loss": history.train_loss,
        },
        "cost": {
            "seconds_tuning": before.compile_seconds + before.run_seconds,
            "seconds_report": history.compile_seconds + history.run_seconds,
            "compile_seconds": before.compile_seconds + history.compile_seconds,
            "state_bytes_per_param": recipe.info.state_bytes_per_param,
        },
    }


def table_of(results: dict[str, Any]) -> Table:
    """The arms, best first."""
    task = results["task"]
    sign = -1 if task["higher_is_better"] else 1
    table = Table(title=f"{task['metric']} on test data, {len(results['arms'][0]['report']['seeds'])} seeds")
    for column in ("optimizer", "learning rate", task["metric"], "95% interval", "diverged"):
        table.add_column(column, justify="left" if column == "optimizer" else "right")
    ranked = sorted(
        results["arms"], key=lambda arm: np.inf if arm["report"]["mean"] is None else sign * arm["report"]["mean"]
    )
    for arm in ranked:
        found = arm["report"]
        mean = "none" if found["mean"] is None else f"{found['mean']:.4g}"
        interval = "{:.4g} to {:.4g}".format(*found["interval"]) if np.isfinite(found["interval"]).all() else "none"
        rate = f"{arm['tuning']['chosen']:.3g}" + (" (edge)" if arm["tuning"]["at_edge"] else "")
        table.add_row(arm["name"], rate, mean, interval, str(found["diverged"]))
    return table


def progress_bar(console: Console) -> Progress:
    """Steps done, time gone, time to go."""
    columns = (TextColumn("{task.description:20}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"))
    return Progress(*columns, TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=console)


def advance(bar: Progress, total: Any) -> Callable[[int, int], None]:
    """Moves the bar to where a population is."""
    start = bar.tasks[total].completed
    return lambda done, _: bar.update(total, completed=start + done)


if __name__ == "__main__":
    cli.main(Config, prepare, run, __doc__)
