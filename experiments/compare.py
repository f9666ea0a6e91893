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
from pathlib import Path
from typing import Annotated

import jax
import tyro
from rich.console import Console

from experiments import cli, study
from jaxlab import report, schedules, tasks
from jaxlab.core import hyper
from jaxlab.core.space import grid
from jaxlab.optimizers import Recipe
from jaxlab.sweep import use_every_core

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
    arms: list[study.Arm]
    protocol: study.Protocol
    steps: int
    out: Path


def prepare(config: Config) -> Plan:
    """Checks everything that can be checked without training."""
    use_every_core()
    if not config.optimizers:
        raise ValueError("optimizers = []: accepted is at least one")
    hyper.number("warmup", config.warmup, "[0, 1)")
    hyper.integer("points", config.points, at_least=1)
    protocol = study.protocol_of(
        config.seed,
        config.selection_seeds,
        config.report_seeds,
        evaluations=config.evaluations,
        layout=config.layout,
        margin=config.margin,
    )
    out = cli.new_folder(config.out, "compare")
    task = tasks.get(config.task)
    steps = hyper.integer("steps", task.steps if config.steps is None else config.steps, at_least=1)
    timing = timing_of(config.schedule, steps, config.warmup)
    arms = []
    for name in dict.fromkeys(config.optimizers):
        recipe = Recipe(name, config.schedule)
        rates = list(config.learning_rates) or grid(recipe.info.search_space["learning_rate"], config.points)
        arms.append(study.recipe_arm(name, task, recipe, rates, timing, steps=steps, batch_size=config.batch_size))
    tasks.check(task, jax.random.key(protocol.selection[0]))
    return Plan(config, task, arms, protocol, steps, out)


def timing_of(schedule: str, steps: int, warmup: float) -> dict[str, float]:
    """The schedule's lengths and shape for a run of so many steps."""
    timing: dict[str, float] = {
        "total_steps": steps,
        "decay_steps": round(0.2 * steps),
        "transition_steps": max(1.0, steps / 4),
        "every": max(1.0, steps / 3),
        "period": max(1.0, steps / 3),
        "at": round(0.8 * steps),
        "then": 0.0,
        # A rate falls to a hundredth over the run, or, in inverse time, to a fifth.
        "decay_rate": 1.0 if schedule == "inverse_time" else 0.01**0.25,
        "factor": 0.1,
    }
    parameters = schedules.get(schedule).parameters
    warmup_steps = max(1, round(warmup * steps)) if schedule == "inverse_sqrt" else round(warmup * steps)
    return {"warmup_steps": warmup_steps} | {name: value for name, value in timing.items() if name in parameters}


def run(plan: Plan) -> None:
    """Tunes and reports every arm, compares them, writes the page."""
    console, began = Console(), time.perf_counter()
    plan.out.mkdir(parents=True, exist_ok=True)
    console.print(f"[bold]{plan.task.name}[/]: {plan.task.description}")
    found = study.run(f"Which optimizer should I use on {plan.task.name}?", plan.arms, plan.protocol, console)
    console.print(study.table_of(found))
    results = {
        "schema": report.SCHEMA,
        "experiment": "compare",
        "question": found["question"],
        "command": cli.command("experiments.compare"),
        "environment": report.environment(),
        "config": dataclasses.asdict(plan.config) | {"steps": plan.steps},
        "task": found["task"],
        "arms": found["arms"],
        "comparisons": found["comparisons"],
        "verdict": found["verdict"],
        "seconds": {"total": time.perf_counter() - began, "compile": study.compile_seconds(found)},
    }
    cli.finish(results, plan.out, console)


if __name__ == "__main__":
    cli.main(Config, prepare, run, __doc__)
