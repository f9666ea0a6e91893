"""How few bits can optimizer state have?

    python -m experiments.storage
    python -m experiments.storage --tasks digits_cnn --seeds 20

AdamW keeps its two moments in float32, bfloat16, int8 and int4 (blocks of 32 with a scale each, rounded
stochastically), and, as a negative control, in int8 as one would first write it: 255 even steps between the largest
value of a whole tensor and its negative, rounded to the nearest. Then float32 moments with bfloat16 parameters,
rounded to the nearest, stochastically, and with Kahan's compensation. All arms have the same seeds (initial
parameters, batches) and the same learning rate, the task's own: asked is whether storage changes what a recipe does,
not which recipe is best.

Judged is the final loss, the mean training loss of the last tenth of the steps, by paired t tests against float32:
two one-sided tests at 5% for each arm, with a margin for each task: a tenth of what half the learning rate changes,
in a trial on other seeds. Last, bytes for each parameter, and the time of a step on eight matrices of 1024 x 1024,
all formats in turn, round by round.

Writes results.json, report.html and the plots. It took 32 minutes on two CPU cores with ten times as much other work
(``benchmarks/results/cpu-2-cores/storage.json``).
"""

import dataclasses
import time
from pathlib import Path

from rich.console import Console

from experiments import cli, storage_page
from experiments.storage_runs import BASE, LATE, MARGINS, STEPS, Ends, arms, bytes_of, judge, task_of, times, train
from jaxlab.core import hyper
from jaxlab.sweep import seed_keys, use_every_core


@dataclasses.dataclass(frozen=True)
class Config:
    """On what, and how often."""

    tasks: tuple[str, ...] = tuple(STEPS)
    """Which to train."""
    arms: tuple[str, ...] = ()
    """How to keep state or parameters; by default in all ways. Float32 is always among them."""
    seeds: int = 10
    """The same for all arms."""
    steps: int | None = None
    """Of every run; by default 300 on digits_cnn, 150 on small_gpt."""
    rounds: int = 11
    """Of the timing, at least 8; 0 times nothing."""
    seed: int = 1
    """Another seed, other runs. Margins were set on the runs of seed 0."""
    out: Path | None = None
    """Where to write; by default runs/storage/<time>."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A configuration, checked."""

    config: Config
    out: Path


def prepare(config: Config) -> Plan:
    """Checks everything that can be checked without training."""
    if not config.tasks:
        raise ValueError("tasks = []: accepted is at least one")
    for name in config.tasks:
        hyper.one_of("tasks", name, STEPS)
    for label in config.arms:
        hyper.one_of("arms", label, arms())
    hyper.integer("seeds", config.seeds, at_least=2)
    if config.steps is not None:
        hyper.integer("steps", config.steps, at_least=LATE)
    hyper.integer("seed", config.seed, at_least=0, at_most=2**16)
    if config.rounds:
        hyper.integer("rounds", config.rounds, at_least=8)
    use_every_core()
    return Plan(config, cli.new_folder(config.out, "storage"))


def run(plan: Plan) -> None:
    """Trains all arms on every task, times the steps, writes the page."""
    console, began, config = Console(), time.perf_counter(), plan.config
    keys = seed_keys([config.seed * 1_000 + i for i in range(config.seeds)])
    chosen = {label: arm for label, arm in arms().items() if label in (BASE, *(config.arms or arms()))}
    found, compiling = {}, 0.0
    for name in config.tasks:
        task, steps, ends = task_of(name), config.steps or STEPS[name], Ends({}, {}, {})
        for label, arm in chosen.items():
            history = train(task, steps, arm, keys)
            ends.loss[label], ends.test[label] = history.train_loss[:, -1], history.test["loss"]
            ends.bytes[label] = bytes_of(task, steps, arm)
            compiling += history.compile_seconds
            console.print(f"{name}, {label}: {ends.loss[label].mean():.4f}, {ends.bytes[label]:.3f} bytes of state")
        found[name] = ends
    seconds = times(config.rounds) if config.rounds else {}
    judged = {name: judge(ends, MARGINS[name]) for name, ends in found.items()}
    results = cli.findings(
        "storage",
        "How few bits can optimizer state have?",
        config,
        storage_page.answer(judged, seconds),
        seconds=time.perf_counter() - began,
        compile_seconds=compiling,
        numbers=storage_page.numbers_of(judged, seconds),
        sections=storage_page.sections_of(found, judged, seconds),
    )
    plan.out.mkdir(parents=True, exist_ok=True)
    cli.finish(results, plan.out, console)


if __name__ == "__main__":
    cli.main(Config, prepare, run, __doc__)
