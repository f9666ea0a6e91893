"""How many bits does training need?

    python -m experiments.precision
    python -m experiments.precision --seeds 20 --arms bfloat16 "float16, loss scale"
    python -m experiments.precision --task my_package.my_module:task --margin 0.01

The task's own recipe trains in float32, in bfloat16, and in float16 with and without a loss scale, parameters and
optimizer state in float32; then with parameters that are bfloat16, too, rounded to the nearest, stochastically, and
with Kahan's compensation. All arms have the same seeds (initial parameters, batches) and the same hyperparameters:
asked is whether precision changes what a recipe does, not which recipe is best.

Judged is the final loss, the mean training loss of the last tenth of the steps, against float32's: paired t tests and
two one-sided tests at 5%, each with Holm's correction over the arms. The margin of the digits is a tenth of what half
the learning rate changes, in a trial on other seeds. Two arms are negative controls, which such a test must tell from
float32: bfloat16 parameters rounded to the nearest, and float16 without a loss scale where the loss is 16,384 times
smaller, as the gradients of larger models are, so that most of them are below the smallest number of float16.

Then what it costs: bytes of parameters, optimizer state and the step's temporaries, and the time of a step, all arms
in turn, round by round. What saves time on an accelerator costs time on most CPUs, which compute in float32 whatever
they are given.

Writes results.json, report.html and the plots. It took 12 minutes on two CPU cores with seven times as much other work
(``benchmarks/results/cpu-2-cores/precision.json``), 3 minutes of them its own.
"""

import dataclasses
import time
from pathlib import Path

import jax
from rich.console import Console

from experiments import cli, precision_page
from experiments.precision_runs import Ends, Step, arms, judge, times
from experiments.storage_runs import BASE, LATE, MARGINS, STEPS, Arm, task_of, train
from jaxlab import tasks
from jaxlab.core import hyper
from jaxlab.sweep import seed_keys, use_every_core


@dataclasses.dataclass(frozen=True)
class Config:
    """On what, and how often."""

    task: str = "digits_cnn"
    """What to train: digits_cnn, small_gpt, another built-in task, or your own as package.module:object."""
    arms: tuple[str, ...] = ()
    """How to train; by default in all ways. Float32 is always among them."""
    margin: float | None = None
    """Differences of the final loss below this do not matter; digits_cnn and small_gpt have theirs."""
    seeds: int = 10
    """The same for all arms."""
    steps: int | None = None
    """Of every run, a multiple of 10; by default 300 on digits_cnn, 150 on small_gpt, or the task's own."""
    rounds: int = 11
    """Of the timing, at least 8; 0 times nothing."""
    seed: int = 1
    """Another seed, other runs. The margins and the small loss were set on the runs of seed 0."""
    out: Path | None = None
    """Where to write; by default runs/precision/<time>."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A configuration, checked and spelled out."""

    config: Config
    task: tasks.Task
    arms: dict[str, Arm]
    margin: float
    steps: int
    out: Path


def prepare(config: Config) -> Plan:
    """Checks everything that can be checked without training."""
    use_every_core()
    task = task_of(config.task) if config.task in STEPS else tasks.get(config.task)
    known = arms(task.recipe.build)
    for label in config.arms:
        hyper.one_of("arms", label, known)
    margin = MARGINS.get(config.task) if config.margin is None else config.margin
    if margin is None:
        raise ValueError(f"margin = None: accepted for task {task.name!r} is a number, such as 0.01")
    hyper.number("margin", margin, "(0, inf)")
    hyper.integer("seeds", config.seeds, at_least=2)
    steps = STEPS.get(config.task, task.steps) if config.steps is None else config.steps
    if hyper.integer("steps", steps, at_least=LATE) % LATE:
        raise ValueError(f"steps = {steps}: accepted is a multiple of {LATE}")
    hyper.integer("seed", config.seed, at_least=0, at_most=2**16)
    if config.rounds:
        hyper.integer("rounds", config.rounds, at_least=8)
    out = cli.new_folder(config.out, "precision")
    if config.task not in STEPS:
        tasks.check(task, jax.random.key(config.seed))
    chosen = {label: arm for label, arm in known.items() if label in (BASE, *(config.arms or known))}
    return Plan(config, task, chosen, margin, steps, out)


def run(plan: Plan) -> None:
    """Trains all arms, times their steps, writes the page."""
    console, began, config = Console(), time.perf_counter(), plan.config
    keys = seed_keys([config.seed * 1_000 + i for i in range(config.seeds)])
    found, compiling = {}, 0.0
    for label, arm in plan.arms.items():
        history = train(plan.task, plan.steps, arm, keys, every=plan.steps // LATE)
        found[label] = Ends(history.steps, history.train_loss, history.test, history.skipped)
        compiling += history.compile_seconds
        final, skipped = history.train_loss[:, -1].mean(), history.skipped.sum()
        console.print(f"{label}: {final:.4f}, {skipped} steps left out", highlight=False)
    compiled = {label: Step(plan.task, plan.steps, arm) for label, arm in plan.arms.items()}
    costs = {label: step.cost() for label, step in compiled.items()}
    seconds = times(compiled, config.rounds) if config.rounds else {}
    page = precision_page.Page(plan.task, plan.margin, found, judge(found, plan.margin), costs, seconds)
    results = cli.findings(
        "precision",
        "How many bits does training need?",
        config,
        page.answer(),
        seconds=time.perf_counter() - began,
        compile_seconds=compiling,
        numbers=page.numbers(),
        sections=page.sections(),
    )
    plan.out.mkdir(parents=True, exist_ok=True)
    cli.finish(results, plan.out, console)


if __name__ == "__main__":
    cli.main(Config, prepare, run, __doc__)
