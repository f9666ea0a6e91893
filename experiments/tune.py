"""What is the best recipe for this task within a budget?

    python -m experiments.tune
    python -m experiments.tune --task digits_cnn --optimizers adamw lion --trials 64
    python -m experiments.tune --budget-minutes 10
    python -m experiments.tune --resume runs/tune/2026-01-31-120000

Searches every hyperparameter of an optimizer's published space, by default with Optuna's TPE, in rounds: a round's
points are proposed from the rounds before it and trained as one population, each with the same selection seeds; at a
quarter and at half of the steps the worse half is ended. The best of many trials is lucky as well as good, so the first
few are trained again with fresh selection seeds; the best mean validation metric of these is the recipe. It alone is
trained anew with report seeds that the search never saw, beside the task's default recipe, and scored once on test
data; a paired t test says whether the difference is real.

Trials are kept in a database (study.db in the results' folder, or --storage URL for any that Optuna knows). Several
processes may work on one: each takes rounds that nobody works on, and all end when all trials are finished. What was
killed goes on with --resume DIR and ends with the results that it would have had.

Writes recipe.json (for experiments.train --recipe, or jaxlab.optimizers.load_recipe), results.json, report.html and
the plots. On two CPU cores the default (digits, an MLP, 32 trials of 1,000 steps) takes half a minute, most of it
compiling.
"""

import dataclasses
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import jax
import tyro
from rich.console import Console

from experiments import cli, study
from experiments import tune_page as page
from experiments.compare import timing_of
from experiments.tune_rounds import Budget, Job, finish
from jaxlab import tasks
from jaxlab.core import hyper
from jaxlab.optimizers import Recipe, save_recipe
from jaxlab.report.results import plain
from jaxlab.sweep import use_every_core
from jaxlab.sweep.final import Final, chosen_of, finals_of
from jaxlab.sweep.protocol import SEEDS
from jaxlab.sweep.search import SAMPLERS, Search, Trial
from jaxlab.sweep.storage import Stage, Storage

TRIALS = 32
"""Of each optimizer, where neither their number nor a budget is given."""


@dataclasses.dataclass(frozen=True)
class Config:
    """What to tune."""

    task: str = "digits_mlp"
    """A built-in task, or your own as package.module:object."""
    optimizers: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["--optimizer"])] = ()
    """Those to search, each with as many trials; by default the task's own."""
    schedule: str = "cosine"
    """Of the learning rate, over the whole run."""
    warmup: float = 0.05
    """The part of the steps in which the rate rises from 0."""
    steps: int | None = None
    """Training steps; by default the task's."""
    batch_size: int | None = None
    """Examples a step; by default the task's."""
    trials: int | None = None
    """Of each optimizer; by default 32, or as many as the budget allows."""
    round_size: int = 8
    """Trials a round: proposed together, trained as one population."""
    budget_minutes: float | None = None
    """Plans the number of rounds into this time, from what the first round takes."""
    sampler: str = "tpe"
    """tpe learns from earlier rounds; halton, sobol and random do not."""
    halving: bool = True
    """End the worse half of a round at a quarter, and of the rest at half of the steps."""
    selection_seeds: int = 2
    """Seeds that each trial is trained with."""
    finalists: int = 4
    """So many of the best trials of each optimizer are trained again with fresh selection seeds, and choose."""
    seeds: int = 5
    """Report seeds of the chosen recipe, and of the default one."""
    margin: float | None = None
    """Differences of the test metric below this do not matter: then the two recipes can be called equivalent."""
    evaluations: int = 20
    """Of a run."""
    layout: Annotated[
        str, tyro.conf.arg(help="vmap, map (members of a population one after the other), how many at a time, or auto.")
    ] = "vmap"
    storage: str | None = None
    """Where trials are kept: any URL that Optuna takes; by default study.db beside the results."""
    study_name: str | None = None
    """Of the trials in the storage; by default tune/<task>."""
    seed: int = 0
    """Another seed, another study: all seeds and proposals follow from it."""
    out: Path | None = None
    """Where to write; by default runs/tune/<time>."""
    resume: Path | None = None
    """A folder of a run that was stopped; all other options are that run's."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A configuration, checked and spelled out: a search for each optimizer, and the default recipe as an arm."""

    config: Config
    task: tasks.Task
    searches: list[Search]
    default: study.Arm
    protocol: study.Protocol
    out: Path


def prepare(config: Config) -> Plan:
    """Checks everything that can be checked without training."""
    use_every_core()
    if config.resume is not None:
        config = cli.saved_config(config)
    hyper.number("warmup", config.warmup, "[0, 1)")
    hyper.one_of("sampler", config.sampler, SAMPLERS)
    for name in ("round_size", "trials", "finalists"):
        if getattr(config, name) is not None:
            hyper.integer(name, getattr(config, name), at_least=1)
    if config.budget_minutes is not None:
        hyper.number("budget_minutes", config.budget_minutes, "(0, inf)")
    protocol = study.protocol_of(
        config.seed, config.selection_seeds, config.seeds, evaluations=config.evaluations, margin=config.margin
    )
    if config.selection_seeds * (1 + config.round_size) >= SEEDS // 2:
        raise ValueError(
            f"selection_seeds = {config.selection_seeds} with round_size = {config.round_size}: accepted are fewer "
            f"than {SEEDS // 2} seeds in all, those of the final among them"
        )
    out = config.resume or cli.new_folder(config.out, "tune")
    task = tasks.get(config.task)
    steps = hyper.integer("steps", task.steps if config.steps is None else config.steps, at_least=1)
    size = task.batch_size if config.batch_size is None else config.batch_size
    timing = timing_of(config.schedule, steps, config.warmup)
    searches = []
    for name in dict.fromkeys(config.optimizers or (task.recipe.optimizer,)):
        recipe = Recipe(name, config.schedule, task.recipe.static if name == task.recipe.optimizer else ())
        tasks.check_optimizer(task, recipe)
        # What is found must fit a file.
        json.dumps(dict(recipe.static))
        searches.append(
            Search(
                task=task,
                recipe=recipe,
                space=recipe.info.search_space,
                hyperparams=timing,
                seeds=protocol.selection,
                steps=steps,
                batch_size=size,
                evaluations=config.evaluations,
                round_size=config.round_size,
                sampler=config.sampler,
                seed=config.seed,
                halving=config.halving,
                layout=int(config.layout) if config.layout.isdigit() else config.layout,
            )
        )
    numbers = task.default_hyperparams(steps)
    default = study.recipe_arm("default", task, task.recipe, {}, numbers, steps=steps, batch_size=size)
    tasks.check(task, jax.random.key(protocol.selection[0]))
    plan = Plan(config, task, searches, default, protocol, out)
    if config.storage is not None:
        open_stages(plan)  # What is wrong with it is said now.
    return plan


def open_stages(plan: Plan) -> tuple[Storage, list[Stage]]:
    """The storage, and in it the trials of each optimizer."""
    config = plan.config
    storage = Storage(config.storage or f"sqlite:///{(plan.out / 'study.db').absolute()}")
    higher = plan.task.higher_is_better
    return storage, [
        storage.stage(
            f"{name_of(plan)}/{search.recipe.optimizer}", search.identity, search.space, higher_is_better=higher
        )
        for search in plan.searches
    ]


def name_of(plan: Plan) -> str:
    """What all that this study keeps in a storage begins with."""
    return plan.config.study_name or f"tune/{plan.task.name}"


def run(plan: Plan) -> None:
    """Searches, reports the best recipe beside the default one, writes recipe and page."""
    console, began = Console(), time.perf_counter()
    config, task = plan.config, plan.task
    console.print(f"[bold]{task.name}[/]: {task.description}")
    cli.remember(plan.out, config, "experiments.tune")
    command = cli.remembered(plan.out)["command"]
    storage, stages = open_stages(plan)
    tried = searched(plan, storage, stages, console, began)
    finals = finals_of(plan.searches, tried, config.finalists)
    again = tried_again(plan, storage, finals, len(tried[0]), console)
    chosen = chosen_of(finals, again)
    if chosen is None:
        cli.fail(f"every run of every trial diverged on {task.name}: accepted is a task on which some recipe trains")
    search, trial = chosen.search, chosen.trial
    numbers, steps, size = search.numbers(trial.values), search.steps, search.batch_size
    report = study.run(
        f"Is it better than the default recipe of {task.name}?",
        [study.recipe_arm("tuned", task, search.recipe, {}, numbers, steps=steps, batch_size=size), plan.default],
        plan.protocol,
        console,
        noun="recipe",
        storage=storage,
        # Whoever asked for other trials may have chosen another recipe.
        name=f"{name_of(plan)}/report of {search.recipe.optimizer} {trial.point}",
        checkpoints=plan.out / "rounds",
    )
    shutil.rmtree(plan.out / "rounds", ignore_errors=True)
    scores = report["arms"][0]["report"]
    save_recipe(
        plan.out / "recipe.json",
        search.recipe,
        numbers,
        task=config.task,
        steps=steps,
        batch_size=size,
        metric=task.metric,
        validation={"seeds": list(chosen.seeds), "scores": plain(chosen.again.scores)},
        test={"seeds": scores["seeds"], "scores": plain(scores["test"])},
        trials=sum(map(len, tried)),
        command=command,
    )
    results = cli.findings(
        "tune",
        f"What is the best recipe for {task.name} within a budget?",
        config,
        page.verdict_of(chosen, sum(map(len, tried)), report),
        seconds=time.perf_counter() - began,
        compile_seconds=study.compile_seconds(report) + page.compile_seconds([*tried, *again]),
        numbers=page.numbers(chosen, report),
        sections=page.sections(plan.searches, tried, finals, again, chosen),
        studies=[report],
    )
    results["command"] = command
    results["config"] |= {"trials": len(tried[0]), "steps": steps, "batch_size": size, "resume": None, "out": None}
    cli.finish(results, plan.out, console)
    console.print(f"To train it: python -m experiments.train --recipe {plan.out / 'recipe.json'}", highlight=False)


def searched(
    plan: Plan, storage: Storage, stages: Sequence[Stage], console: Console, began: float
) -> list[list[Trial]]:
    """All trials of each optimizer, when they are finished; how many there are is known after the first round."""
    config = plan.config

    def jobs(trials: int) -> list[Job]:
        return [Job(search, stage, trials) for search, stage in zip(plan.searches, stages, strict=True)]

    count = config.trials or TRIALS
    if config.budget_minutes is not None:
        budget = Budget(config.budget_minutes, plan.searches, stages, config.seeds, began)
        finish(jobs(min(config.round_size, config.trials or config.round_size)), plan.out, console, budget.watch)
        count = budget.trials(storage, name_of(plan), config.trials)
        console.print(f"{count} trials of each optimizer fit into {config.budget_minutes:g} minutes")
    return finish(jobs(count), plan.out, console)


def tried_again(
    plan: Plan, storage: Storage, finals: Sequence[Final], count: int, console: Console
) -> list[list[Trial]]:
    """The finalists of each optimizer once more, with fresh seeds."""
    jobs = []
    for final in finals:
        name = f"{name_of(plan)}/{final.search.recipe.optimizer}/final of {count}"
        higher = plan.task.higher_is_better
        stage = storage.stage(name, final.identity, final.search.space, higher_is_better=higher)
        jobs.append(Job(final.search, stage, len(final.finalists), final.points))
    return finish(jobs, plan.out, console)


if __name__ == "__main__":
    cli.main(Config, prepare, run, __doc__)
