"""How much smaller can a trained model be, and what is lost?

    python -m experiments.compress
    python -m experiments.compress --task digits_mlp --sparsities 0.5 0.8 0.95
    python -m experiments.compress --task my_package.my_module:task --margin 0.01

Each seed trains the task's own recipe: the dense model; the same pruned on the way, its smallest weights set to zero on
the cubic schedule of Zhu and Gupta (2017) while it learns; and a smaller model, alone and with the dense one as its
teacher. Dense and pruned models are then rounded to 8 bits, a scale for each output. Two controls show what the
schedule is worth: the highest sparsity all at once where the schedule ends, with the same steps left to recover, and
the finished dense model cut without any.

Judged is the metric on the test set against the dense model's: paired t tests over seeds and two one-sided tests
within a margin set beforehand (half a point of accuracy; 0.02 bits a byte), with Holm's correction over the arms. All
arms have the dense model's hyperparameters, steps, seeds and batches; none was tuned for what is done to it.

Sizes are those of files that were written (``DIR/models``), in which zeros take a bit and other weights their bytes.
The time of a call is a ratio measured in turn, round by round.

Writes results.json, report.html, the plots and the first seed's models. It took 2 minutes on two CPU cores
(``benchmarks/results/cpu-2-cores/compress.json``). There 8 bits alone lost nothing on either task (3.3 and 3.7 times
smaller), half of the digits' weights could go besides (4.6 times smaller), and what was pruned while it learnt was
better than what was cut afterwards; the small transformer, trained for 500 steps only, lost 0.05 bits with half.
"""

import dataclasses
import time
from pathlib import Path

import jax
import optax
from rich.console import Console

from experiments import cli, compress_page
from experiments.compress_runs import Plan, compress, numbers_of
from experiments.compress_tasks import SETTINGS, setting_of, task_of
from jaxlab import tasks
from jaxlab.core import hyper
from jaxlab.modifiers import prune
from jaxlab.sweep import use_every_core


@dataclasses.dataclass(frozen=True)
class Config:
    """On what, and how much."""

    task: str | None = None
    """digits_mlp, small_gpt, another built-in task, or your own as package.module:object; by default the first two."""
    sparsities: tuple[float, ...] = (0.5, 0.75, 0.9)
    """Fractions of every matrix that are pruned."""
    margin: float | None = None
    """Differences of the metric below this do not matter; digits_mlp and small_gpt have theirs."""
    seeds: int | None = None
    """The same for all arms; by default 20 on digits_mlp, 6 on small_gpt, 5 elsewhere."""
    steps: int | None = None
    """Of every run; by default 1,000 on digits_mlp, 500 on small_gpt, or the task's own."""
    rounds: int = 21
    """Of the timing, at least 8; 0 times nothing."""
    seed: int = 1
    """Another seed, other runs."""
    out: Path | None = None
    """Where to write; by default runs/compress/<time>."""


@dataclasses.dataclass(frozen=True)
class Plans:
    """A configuration, checked and spelled out."""

    config: Config
    plans: tuple[Plan, ...]
    out: Path


def prepare(config: Config) -> Plans:
    """Checks everything that can be checked without training."""
    use_every_core()
    if not config.sparsities or len(set(config.sparsities)) < len(config.sparsities):
        raise ValueError(f"sparsities = {config.sparsities}: accepted are one or several different numbers in (0, 1)")
    for sparsity in config.sparsities:
        hyper.number("sparsities", sparsity, "(0, 1)")
    if config.rounds != 0 and config.rounds < 8:
        raise ValueError(f"rounds = {config.rounds}: accepted is 0, or a whole number of at least 8")
    hyper.integer("seed", config.seed, at_least=0, at_most=2**16)
    out = cli.new_folder(config.out, "compress")
    names = tuple(SETTINGS) if config.task is None else (config.task,)
    return Plans(config, tuple(plan_of(config, task_of(name)) for name in names), out)


def plan_of(config: Config, task: tasks.Task) -> Plan:
    """What is done on one task."""
    setting = setting_of(task)
    margin = setting.margin if config.margin is None else config.margin
    if margin is None:
        raise ValueError(f"margin = None: accepted for task {task.name!r} is a number, such as 0.01")
    hyper.number("margin", margin, "(0, inf)")
    seeds = hyper.integer("seeds", setting.seeds if config.seeds is None else config.seeds, at_least=2)
    steps = hyper.integer("steps", setting.steps if config.steps is None else config.steps, at_least=25)
    if task.name not in SETTINGS:
        tasks.check(task, jax.random.key(config.seed))
    params = jax.eval_shape(task.init, jax.random.key(0))
    if not jax.eval_shape(prune(optax.set_to_zero(), 0.5, 1, 1, 0).init, params).masks:
        raise ValueError(f"task {task.name!r} has no matrix to prune: accepted is one with hidden layers")
    numbers_of(task, steps)
    return Plan(task, setting, tuple(sorted(config.sparsities)), seeds, steps, margin, config.rounds)


def run(plans: Plans) -> None:
    """Compresses on every task, writes the page."""
    console, began = Console(), time.perf_counter()

    def say(line: str) -> None:
        console.print(f"{line} ({time.perf_counter() - began:.0f} s so far)", highlight=False)

    found = [compress(plan, plans.config.seed, plans.out / "models" / plan.task.name, say) for plan in plans.plans]
    page = [compress_page.Page(one) for one in found]
    results = cli.findings(
        "compress",
        "How much smaller can a trained model be, and what is lost?",
        plans.config,
        " ".join(one.answer() for one in page),
        seconds=time.perf_counter() - began,
        compile_seconds=sum(one.compiling for one in found),
        numbers=[number for one in page for number in one.numbers()],
        sections=[section for one in page for section in one.sections()],
    )
    cli.finish(results, plans.out, console)


if __name__ == "__main__":
    cli.main(Config, prepare, run, __doc__)
