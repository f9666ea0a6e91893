"""Which optimizer should I use on this task?

    python -m experiments.compare
    python -m experiments.compare --task digits_cnn --optimizers momentum adamw --seeds 10
    python -m experiments.compare --optimizers all
    python -m experiments.compare --tasks digits_mlp breast_cancer --horizons 300 1000 --board full --trials 16
    python -m experiments.compare --task my_package.my_module:task --budget-minutes 10
    python -m experiments.compare --resume runs/compare/2026-01-31-120000

Every optimizer has the same trials, with the same selection seeds and steps. On the one-knob board they tune the
learning rate alone, within the range that papers used, and all else is as published: three quarters of the rates lie on
a grid, the last quarter where the grid points to, beyond its end if the best is there. On the full board every
hyperparameter of the search space is drawn together, from a Halton sequence. The point with the best mean validation
metric is trained anew with report seeds that tuning never saw, and scored once on test data. Seeds are shared: with a
seed, every optimizer starts from the same parameters, trains on the same split and sees the same batches. All pairs are
compared by paired t tests with Holm's correction. Every horizon is a study of its own, tuned anew.

Writes results.json, report.html and the plots. On two CPU cores the default (digits, an MLP, eight optimizers, eight
rates, 1,000 steps) takes about a minute; all forty optimizers took 18 minutes on a busy machine, 7 of them compilation.
Of more than twelve the plots show the best seven, the tables all. Arms that miss the task's target stand on the page
with what their authors say of that. What is finished is kept in study.db, so a run that was stopped goes on with
--resume; several processes share the work of one study through --storage, any URL that Optuna takes.
"""

import dataclasses
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import tyro
from rich.console import Console
from rich.markup import escape

from experiments import budget, cli, roster, study
from jaxlab import report, schedules, sweep, tasks, verdict
from jaxlab.core import hyper
from jaxlab.core.space import grid
from jaxlab.optimizers import Recipe
from jaxlab.sweep import Storage, sample, use_every_core

DEFAULT = ("sgd", "momentum", "rmsprop", "adagrad", "adam", "adamw", "adafactor", "lion")
Board = Literal["one-knob", "full"]


@dataclasses.dataclass(frozen=True)
class Config:
    """What to compare."""

    tasks: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["--task"])] = ("digits_mlp",)
    """Built-in tasks, or your own as package.module:object; a study for each."""
    optimizers: tuple[str, ...] = DEFAULT
    """The arms; "all" stands for every optimizer that can train the task."""
    board: Board = "one-knob"
    """Tune the learning rate alone, or everything in the published search space."""
    trials: int = 8
    """Points that each arm tries: learning rates, or on the full board values of all."""
    selection_seeds: int = 3
    """Seeds that each trial is run with."""
    seeds: int = 5
    """Seeds that the chosen points are reported on."""
    horizons: Annotated[tuple[int, ...], tyro.conf.arg(aliases=["--steps"])] = ()
    """Training steps, a study for each; by default the task's."""
    budget_minutes: float | None = None
    """Plan trials and seeds into this time; then they need not be given."""
    learning_rates: tuple[float, ...] = ()
    """The whole grid, for every optimizer; by default each optimizer's published range."""
    schedule: str = "cosine"
    """Of the learning rate, over the whole run."""
    warmup: float = 0.05
    """The part of the steps in which the rate rises from 0."""
    batch_size: int | None = None
    """Examples a step; by default the task's."""
    seed: int = 0
    """Another seed, another study: all seeds follow from it."""
    margin: float | None = None
    """Differences of the test metric below this do not matter: then arms can be called equivalent."""
    evaluations: int = 20
    """Points of the learning curves."""
    layout: Annotated[
        str,
        tyro.conf.arg(
            help="auto (what a short trial finds fastest; with --storage vmap), vmap, map (members of a population one "
            "after the other), or how many at a time. Layouts differ by rounding."
        ),
    ] = "auto"
    storage: str | None = None
    """Where finished trials are kept: an Optuna storage URL; by default study.db in the output folder."""
    study_name: str = "compare"
    """Of this study within the storage."""
    out: Path | None = None
    """Where to write; by default runs/compare/<time>."""
    resume: Path | None = None
    """A folder of a comparison that was stopped; all other options are that one's."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A configuration, checked and spelled out."""

    config: Config
    studies: list[list[study.Arm]]
    protocol: study.Protocol
    storage: Storage | None
    out: Path
    left_out: dict[str, dict[str, str]]
    budget: str | None = None


def prepare(config: Config) -> Plan:
    """Checks everything that can be checked without training."""
    use_every_core()
    if config.resume is not None:
        config = cli.saved_config(config)
    hyper.number("warmup", config.warmup, "[0, 1)")
    for name, values in (("tasks", config.tasks), ("optimizers", config.optimizers)):
        if not values:
            raise ValueError(f"{name} = []: accepted is at least one")
    hyper.one_of("board", config.board, ("one-knob", "full"))
    if config.board == "full" and config.learning_rates:
        raise ValueError("learning_rates: accepted on the one-knob board; the full one draws from the search space")
    if config.budget_minutes is not None:
        hyper.number("budget_minutes", config.budget_minutes, "(0, inf)")
        if config.storage is not None:
            raise ValueError("budget_minutes with storage: accepted is one of them; a shared study has one plan")
    protocol = study.protocol_of(
        config.seed,
        config.selection_seeds,
        config.seeds,
        evaluations=config.evaluations,
        layout=layout_of(config),
        margin=config.margin,
    )
    out = config.resume or cli.new_folder(config.out, "compare")
    found, left_out = [], {}
    for name in dict.fromkeys(config.tasks):
        task = tasks.get(name)
        names, left_out[task.name] = roster.expand(config.optimizers, task, config.schedule)
        found += [
            [arm_of(optimizer, task, steps, config) for optimizer in names]
            for steps in dict.fromkeys(config.horizons or (task.steps,))
        ]
        tasks.check(task, jax.random.key(protocol.selection[0]))
    studies = [name_of(config, arms) for arms in found]
    if len(set(studies)) < len(studies):
        raise ValueError(f"tasks and horizons make studies named {studies}: accepted are tasks of different names")
    storage = None
    if config.storage is not None or (config.resume is not None and (out / "study.db").exists()):
        storage = Storage(config.storage or f"sqlite:///{out / 'study.db'}")
        for arms in found:
            sweep.check_storage(arms, protocol, storage, name=name_of(config, arms))
    plan = cli.remembered(out).get("plan") if config.resume is not None else None
    return Plan(config, found, protocol, storage, out, left_out, plan)


def layout_of(config: Config) -> str | int:
    """A layout as the command line has it; several processes cannot each try, so a shared study has no trial."""
    text = config.layout
    if text == "auto" and config.storage is not None:
        return "vmap"
    return int(text) if text.isascii() and text.isdecimal() else text


def name_of(config: Config, arms: list[study.Arm]) -> str:
    """A study's name within the storage."""
    return f"{config.study_name}/{arms[0].task.name}/{arms[0].steps}"


def arm_of(optimizer: str, task: tasks.Task, steps: int, config: Config) -> study.Arm:
    """An optimizer with the points that it is tuned on."""
    recipe = Recipe(optimizer, config.schedule)
    points, extra = points_of(recipe, config)
    steps = hyper.integer("horizons", steps, at_least=1)
    timing = timing_of(config.schedule, steps, config.warmup)
    return study.recipe_arm(
        optimizer, task, recipe, points, timing, steps=steps, batch_size=config.batch_size, extra=extra
    )


def points_of(recipe: Recipe, config: Config) -> tuple[dict[str, list[float]], int]:
    """What is tried first, and how many points are kept for the second look."""
    for rate in config.learning_rates:
        hyper.number("learning_rates", rate, "(0, inf)")
    if config.learning_rates:
        return {"learning_rate": list(config.learning_rates)}, 0
    trials = hyper.integer("trials", config.trials, at_least=1, at_most=100_000)
    space = recipe.info.search_space
    if config.board == "full":
        return {name: values.tolist() for name, values in sample(space, trials, "halton", config.seed).items()}, 0
    extra = budget.extra_of(trials)
    return {"learning_rate": grid(space["learning_rate"], trials - extra)}, extra


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
    if plan.config.budget_minutes is not None and plan.config.resume is None:
        plan = within_budget(plan, console)
    config = plan.config
    cli.remember(plan.out, config, "experiments.compare", plan=plan.budget)
    storage = plan.storage or Storage(f"sqlite:///{plan.out / 'study.db'}")
    found = []
    for arms in plan.studies:
        task, steps = arms[0].task, arms[0].steps
        console.print(f"[bold]{escape(task.name)}[/]: {escape(task.description)}")
        console.print(verdict.power_words(config.seeds, len(arms) * (len(arms) - 1) // 2))
        one = study.run(
            f"Which optimizer should I use on {task.name}{f' for {steps:,} steps' if config.horizons else ''}?",
            arms,
            plan.protocol,
            console,
            storage=storage,
            name=name_of(config, arms),
            checkpoints=plan.out / "checkpoints",
        )
        one["board"] = config.board
        console.print(study.table_of(one))
        found.append(one)
    results = {
        "schema": report.SCHEMA,
        "experiment": "compare",
        "command": command_of(plan, found),
        "environment": report.environment(),
        "config": dataclasses.asdict(config) | {"resume": None, "out": None},
        "seconds": {"total": time.perf_counter() - began, "compile": sum(map(study.compile_seconds, found))},
        # A margin stands in the configuration.
        **({key: part for key, part in found[0].items() if key != "margin"} if len(found) == 1 else together(found)),
    }
    results["sections"] = roster.sections(found, plan.left_out)
    if plan.budget is not None:
        results["sections"].append({"title": "The plan", "text": [plan.budget], "tables": [], "charts": []})
    cli.finish(results, plan.out, console)


def command_of(plan: Plan, found: list[report.Study]) -> str:
    """What makes the results again, to the bit: with the layout that was found, since another one rounds otherwise."""
    command, layouts = (
        str(cli.remembered(plan.out)["command"]),
        {one["program"]["layout"] for one in found if "program" in one},
    )
    again = plan.config.layout == "auto" and len(layouts) == 1 and "--layout" not in command
    return f"{command} --layout {layouts.pop()}" if again else command


def within_budget(plan: Plan, console: Console) -> Plan:
    """The same comparison with the trials and seeds that fit into the time."""
    config, arms = plan.config, [arm for arms in plan.studies for arm in arms]
    assert config.budget_minutes is not None
    began = time.perf_counter()
    # A task's first arm stands for the others: what differs between optimizers is small beside the model.
    measured = {}
    for arm in arms:
        if (arm.task.name, arm.batch_size) not in measured:
            measured[arm.task.name, arm.batch_size] = budget.measure(arm, config.evaluations)
    spent = time.perf_counter() - began
    each = [measured[arm.task.name, arm.batch_size] for arm in arms]
    try:
        fits = budget.plan(config.budget_minutes, spent, arms, each)
    except ValueError as error:
        cli.fail(str(error))
    words = fits.words(config.budget_minutes)
    console.print(words)
    chosen = dataclasses.replace(
        config,
        trials=fits.trials,
        selection_seeds=fits.selection_seeds,
        seeds=fits.seeds,
        out=plan.out,
    )
    return dataclasses.replace(prepare(chosen), budget=words)


def together(found: list[report.Study]) -> dict[str, Any]:
    """Several studies as one file, and what they say together."""
    return {
        "question": "Which optimizer should I use, over several tasks or horizons?",
        "task": None,
        "arms": [],
        "comparisons": [],
        "verdict": verdict.over_studies([(arms_of(one), one["comparisons"]) for one in found], "optimizer"),
        "studies": found,
    }


def arms_of(one: report.Study) -> list[str]:
    """The names of a study's arms."""
    return [arm["name"] for arm in one["arms"]]


if __name__ == "__main__":
    cli.main(Config, prepare, run, __doc__)
