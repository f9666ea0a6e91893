"""What does this recipe reach on this task?

    python -m experiments.train
    python -m experiments.train --task fashion_mnist_cnn --seed 1
    python -m experiments.train --task digits_mlp --optimizer lion --hyperparams learning_rate 1e-3 total_steps 1000
    python -m experiments.train --recipe runs/tune/2026-01-31-120000/recipe.json
    python -m experiments.train --layout data=4,fsdp=2 --zero 1
    python -m experiments.train --resume runs/train/2026-01-31-120000
    python -m experiments.train --resume runs/train/2026-01-31-120000 --layout data=-1

Trains one recipe, by default the task's own, and scores it on the test set after the last step. Every stretch
of the run is one compiled program; between two the metrics are logged (log.jsonl) and the state is saved. A
run that was stopped goes on with --resume DIR and ends with the bits that it would have had; under another layout,
on other devices, with the same numbers up to the order of their sums.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from experiments import cli
from experiments.train_log import Log, shown
from jaxlab import report, schedules, tasks, verdict
from jaxlab.core import hyper
from jaxlab.optimizers import Recipe, load_about, load_recipe, save_recipe
from jaxlab.precision import Policy, as_policy
from jaxlab.sharding import Layout
from jaxlab.train import Checkpoints, TrainState, evaluate, init_run, make_run, params_to_evaluate
from jaxlab.train.data import check_length, count, split_sizes
from jaxlab.train.evaluate import diverged
from jaxlab.train.run import validation_indices
from jaxlab.train.stopwatch import Stopwatch


@dataclasses.dataclass(frozen=True)
class Config:
    """What to train."""

    task: str | None = None
    """A built-in task, or your own as package.module:object; by default that of --recipe, else digits_mlp."""
    recipe: Path | None = None
    """A file that experiments.tune wrote: optimizer, schedule, hyperparams, steps and batch size are its own."""
    optimizer: str | None = None
    """By default the task's recipe; with another optimizer or schedule give its hyperparams."""
    schedule: str | None = None
    """Of the learning rate; by default the task's."""
    hyperparams: dict[str, float] = dataclasses.field(default_factory=dict)
    """Numbers in place of the recipe's: --hyperparams learning_rate 0.01 b1 0.95."""
    steps: int | None = None
    """By default the task's; the recipe's lengths are scaled with it."""
    batch_size: int | None = None
    """By default the task's."""
    seed: int = 0
    """Initial parameters, split and batches follow from it."""
    precision: str | None = None
    """float32, bfloat16 or float16 compute, or auto: what suits the device; by default what the task's data have."""
    layout: str | None = None
    """Devices as a mesh with axes data and fsdp, such as data=4,fsdp=2 (-1: all that are left); by default one."""
    zero: int | None = None
    """The stage of ZeRO with --layout, 0 to 3; by default 3 over fsdp, else 0."""
    evaluations: int = 20
    """How often the run is evaluated, logged and saved."""
    out: Path | None = None
    """Where to write; by default runs/train/<time>."""
    resume: Path | None = None
    """A folder of a run that was stopped; all other options but --layout and --zero are that run's."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A configuration, checked and spelled out."""

    config: Config
    task: tasks.Task
    recipe: Recipe
    hyperparams: dict[str, float]
    steps: int
    batch_size: int
    policy: Policy
    layout: Layout | None
    out: Path


def prepare(config: Config) -> Plan:
    """Checks everything that can be checked without training."""
    if (folder := config.resume) is not None:
        config = cli.saved_config(config, beside=("layout", "zero"))
        if config.recipe is not None:
            # The run's own copy: the file that it was given may be another one by now.
            config = dataclasses.replace(config, recipe=folder / "recipe.json")
    task = task_of(config)
    steps = hyper.integer("steps", task.steps if config.steps is None else config.steps, at_least=1)
    batch_size = hyper.integer(
        "batch_size", task.batch_size if config.batch_size is None else config.batch_size, at_least=1
    )
    hyper.integer("evaluations", config.evaluations, at_least=1)
    hyper.integer("seed", config.seed, at_least=0, at_most=2**32 - 1)
    policy = as_policy(config.precision)
    if config.precision == "auto":
        # What was chosen is what the run remembers: it goes on in it wherever it is resumed.
        config = dataclasses.replace(config, precision=policy.compute)
    recipe = dataclasses.replace(
        task.recipe,
        optimizer=config.optimizer or task.recipe.optimizer,
        schedule=config.schedule or task.recipe.schedule,
    )
    own = task.default_hyperparams(steps)
    if recipe.optimizer != task.recipe.optimizer or recipe.schedule != task.recipe.schedule:
        # What is left of the task's numbers are the lengths of its schedule, if that is kept.
        lengths = ("warmup_steps", *schedules.get(recipe.schedule).parameters)
        kept = lengths if recipe.schedule == task.recipe.schedule else ()
        own = {name: number for name, number in own.items() if name in kept}
    hyperparams = recipe.hyperparams({**own, **config.hyperparams})
    tasks.check_optimizer(task, recipe)
    check_length(steps, batch_size)
    layout = layout_of(config, batch_size)
    out = config.resume or cli.new_folder(config.out, "train")
    tasks.check(task, jax.random.key(config.seed))
    return Plan(config, task, recipe, hyperparams, steps, batch_size, policy, layout, out)


def task_of(config: Config) -> tasks.Task:
    """The task; with ``config.recipe`` that file's recipe stands in for the task's own."""
    if config.recipe is None:
        return tasks.get(config.task or "digits_mlp")
    (recipe, numbers), about = load_recipe(config.recipe), load_about(config.recipe)
    for name in ("optimizer", "schedule"):
        given, own = getattr(config, name), getattr(recipe, name)
        if given not in (None, own):
            raise ValueError(f"{name} = {given!r}: accepted beside recipe = {str(config.recipe)!r} is its own, {own!r}")
    task = tasks.get(config.task or about.get("task", "digits_mlp"))
    steps, batch_size = (
        hyper.integer(f"{config.recipe}: about.{name}", about.get(name, getattr(task, name)), at_least=1)
        for name in ("steps", "batch_size")
    )
    return dataclasses.replace(task, recipe=recipe, hyperparams=numbers, steps=steps, batch_size=batch_size)


def layout_of(config: Config, batch_size: int) -> Layout | None:
    """The layout, if there is one, that divides the batch."""
    if config.layout is None:
        if config.zero is not None:
            raise ValueError(f"zero = {config.zero}: accepted beside a layout, such as --layout data=-1")
        return None
    layout = Layout(config.layout, zero=config.zero)
    if layout.axes.keys() - {"data", "fsdp"}:
        raise ValueError(f"layout = {config.layout!r}: accepted are axes data and fsdp; a task has rules for no other")
    layout.batch_shardings(jax.ShapeDtypeStruct((batch_size,), int), what=f"batch_size = {batch_size}: a batch")
    return layout


def run(plan: Plan) -> None:
    """Trains in stretches, scores the test set, writes the page."""
    console = Console()
    task, config = plan.task, plan.config
    console.print(f"[bold]{task.name}[/]: {task.description}")
    console.print(f"{plan.recipe.optimizer}, {plan.recipe.schedule}: {shown(plan.hyperparams)}")
    if config.precision is not None:
        console.print(f"precision: {plan.policy}")
    if config.resume is None:
        plan.out.mkdir(parents=True, exist_ok=True)
        if config.recipe is not None:
            own = load_about(config.recipe) | {"steps": plan.steps, "batch_size": plan.batch_size}
            save_recipe(plan.out / "recipe.json", plan.recipe, plan.hyperparams, **own)
        cli.remember(plan.out, config, "experiments.train")

    clock = Stopwatch()
    data, test = jax.device_put((task.data, task.test), plan.layout and plan.layout.everywhere)
    every = max(1, plan.steps // config.evaluations)
    # One compiled program, or two where the steps are no multiple of a stretch.
    stretch_of = functools.cache(
        lambda steps: make_run(
            task.loss,
            plan.recipe.build,
            batch_size=plan.batch_size,
            steps=steps,
            total_steps=plan.steps,
            validation_fraction=task.validation_fraction,
            policy=plan.policy,
            layout=plan.layout,
        )
    )
    validate = jax.jit(lambda state, data: evaluate(task.loss, params_to_evaluate(state), data, held_out(task, state)))
    state = init_run(
        task.initial,
        plan.recipe.build,
        plan.hyperparams,
        key=jax.random.key(config.seed),
        policy=plan.policy,
        layout=plan.layout,
        frozen=task.which_frozen,
    )
    with Checkpoints(plan.out / "checkpoints") as checkpoints:
        log = Log(plan.out / "log.jsonl", console, plan.steps)
        if config.resume is not None and checkpoints.steps():
            state = checkpoints.restore(state)
            past = checkpoints.note()
            clock.compiling, clock.running = past["compiling"], past["running"]
            log.go_back_to(int(state.step))
            before, now = past.get("layout", lies(None)), lies(plan.layout)
            if before != now:
                console.print(f"now {now}, until here {before}")
        while (done := int(state.step)) < plan.steps:
            length, skipped = min(every, plan.steps - done), int(state.skipped)
            state, metrics = clock.run(stretch_of(length), state, data)
            checked = jax.device_get(clock.run(validate, state, data))
            lost = diverged(checked["loss"], int(state.skipped) - skipped, length)
            log.add(
                int(state.step),
                {
                    "loss": float(np.mean(metrics["loss"])),
                    **{name: float(metrics[name][-1]) for name in ("learning_rate", "grad_norm", "skipped")},
                    **{f"validation_{name}": np.nan if lost else float(value) for name, value in checked.items()},
                },
            )
            spent = {"compiling": clock.compiling, "running": clock.running}
            checkpoints.save(int(state.step), state, note={**spent, "layout": lies(plan.layout)})
    score = jax.jit(lambda state, test: evaluate(task.loss, params_to_evaluate(state), test))
    scores = clock.run(score, state, test)
    results = summarize(plan, log.records, {name: float(value) for name, value in scores.items()}, clock)
    console.print(f"[bold]{results['verdict']}[/]")
    console.print(f"{report.write(results, plan.out)} ({results['seconds']['total']:.0f} s)")


def lies(layout: Layout | None) -> str:
    """The layout in words."""
    if layout is None:
        return "on one device"
    return f"laid out over {','.join(f'{name}={size}' for name, size in layout.axes.items())}, ZeRO-{layout.zero}"


def held_out(task: tasks.Task, state: TrainState) -> jax.Array:
    """The examples that this run does not train on."""
    pool = count(task.data)
    training, _ = split_sizes(pool, task.validation_fraction)
    return validation_indices(state.key, pool=pool, training=training)


def summarize(
    plan: Plan, records: list[dict[str, float]], scores: dict[str, float], clock: Stopwatch
) -> dict[str, Any]:
    """The run in the form of results.json."""
    task = plan.task
    # A run that had broken down at its last evaluation has no score, whatever its model says.
    finished = np.isfinite(records[-1][f"validation_{task.metric}"])
    score = scores[task.metric] if finished else np.nan
    measure = verdict.Measure(task.metric, task.unit, task.higher_is_better)
    arm = {
        "name": plan.recipe.optimizer,
        "optimizer": plan.recipe.optimizer,
        "schedule": plan.recipe.schedule,
        "reference": plan.recipe.info.reference,
        "hyperparams": plan.hyperparams,
        "tuning": None,
        "report": {
            "seeds": [plan.config.seed],
            "test": [score],
            "mean": score,
            "interval": [None, None],
            "diverged": int(not np.isfinite(score)),
        },
        "curves": {
            "steps": [int(record["step"]) for record in records],
            "validation": [[record[f"validation_{task.metric}"] for record in records]],
            "train_loss": [[record["loss"] for record in records]],
        },
        "cost": {
            "seconds_tuning": 0.0,
            "seconds_report": clock.compiling + clock.running,
            "compile_seconds": clock.compiling,
            "state_bytes_per_param": plan.recipe.info.state_bytes_per_param,
        },
    }
    return {
        "schema": report.SCHEMA,
        "experiment": "train",
        "question": f"What does {plan.recipe.optimizer} reach on {task.name}?",
        "command": cli.remembered(plan.out)["command"],
        "environment": report.environment(),
        "config": dataclasses.asdict(plan.config) | {"steps": plan.steps, "batch_size": plan.batch_size},
        "task": report.task_entry(task),
        "arms": [arm],
        "comparisons": [],
        "verdict": f"{plan.recipe.optimizer} reaches a test {measure.name} of {measure.value(score)} with one seed.",
        "seconds": {"total": clock.compiling + clock.running, "compile": clock.compiling},
    }


if __name__ == "__main__":
    cli.main(Config, prepare, run, __doc__)
