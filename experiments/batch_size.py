"""Which batch size should I use: full batch, mini-batches or single examples?

    python -m experiments.batch_size
    python -m experiments.batch_size --tasks digits_mlp --target 0.15 --batch-sizes 1 16 256

Gradient descent trains to a target on validation data with batches of 1, 4, 16, ... examples and with all examples at
once. For every batch size the learning rate is tuned on the same rates with the same seeds; the rate that arrives most
often, then soonest, is run again on fresh seeds. Steps, examples and seconds to the target are counted. A run that
does not arrive within its budget has infinitely many.

The critical batch size is then found twice: fitted to the steps, and predicted by the gradient noise scale, from the
gradients of single examples along the full-batch run (experiments.critical_batch).

Tasks: digits_softmax, softmax regression on the digits, is convex; digits_mlp is not; any other task will do.

Writes results.json, report.html and the plots. On two CPU cores it takes a minute and a half, half of it compiling.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree
from rich.console import Console

from experiments import batch_size_page as page
from experiments import cli, critical_batch, study
from jaxlab import tasks
from jaxlab.core import hyper
from jaxlab.models import MLP, pure
from jaxlab.optimizers import Recipe
from jaxlab.sweep import History, run_population, seed_keys, use_every_core
from jaxlab.sweep.tuning import best_row
from jaxlab.tasks.classification import Classifier
from jaxlab.train import data as examples_of
from jaxlab.train import make_train_step
from jaxlab.train.run import init_run

BUILD = Recipe("sgd").build
POINTS = 200
"""Evaluations of a run, at most one a step."""
TIMED = 50
"""Steps that are timed."""
SOFTMAX = pure(lambda rngs: MLP((64, 10), rngs=rngs))


@dataclasses.dataclass(frozen=True)
class Config:
    """What to measure."""

    tasks: tuple[str, ...] = ("digits_softmax", "digits_mlp")
    """digits_softmax, built-in tasks, or your own as package.module:object."""
    target: float = 0.2
    """The validation loss to reach."""
    batch_sizes: tuple[int, ...] = ()
    """By default every power of 4 below the number of training examples, and that number; that is always one."""
    learning_rates: tuple[float, ...] = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24)
    """What every batch size tries."""
    full_steps: int = 100
    """Steps that a run may take with the full batch; with a batch size of B it is this + examples / B."""
    examples: int = 4_000
    """See full_steps."""
    selection_seeds: int = 2
    """Seeds that each rate is tried with."""
    report_seeds: int = 16
    """Seeds that the chosen rates are reported on."""
    noise_points: int = 8
    """At how many points of the full-batch run the noise scale is measured."""
    seed: int = 0
    """Another seed, another study: all seeds follow from it."""
    out: Path | None = None
    """Where to write; by default runs/batch_size/<time>."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A configuration, checked and spelled out: each task with its batch sizes, the full batch last."""

    config: Config
    tasks: list[tuple[tasks.Task, list[int]]]
    protocol: study.Protocol
    out: Path


def prepare(config: Config) -> Plan:
    """Checks everything that can be checked without training."""
    use_every_core()
    if not config.tasks:
        raise ValueError("tasks = (): accepted is at least one")
    if not config.learning_rates:
        raise ValueError("learning_rates = (): accepted is at least one")
    for rate in config.learning_rates:
        BUILD({"learning_rate": rate})
    hyper.number("target", config.target, "(0, inf)")
    for name in ("full_steps", "examples", "noise_points"):
        hyper.integer(name, getattr(config, name), at_least=1)
    protocol = study.protocol_of(config.seed, config.selection_seeds, config.report_seeds)
    chosen = []
    for name in dict.fromkeys(config.tasks):
        task = digits_softmax() if name == "digits_softmax" else tasks.get(name)
        full, _ = examples_of.split_sizes(examples_of.count(task.data), task.validation_fraction)
        sizes = config.batch_sizes or [4**i for i in range(16) if 4**i < full]
        sizes = {hyper.integer("batch_sizes", size, at_least=1, at_most=full) for size in sizes}
        chosen.append((task, sorted(sizes | {full})))
    out = cli.new_folder(config.out, "batch_size")
    for task, _ in chosen:
        tasks.check(task, jax.random.key(protocol.selection[0]))
    return Plan(config, chosen, protocol, out)


def softmax_logits(params: PyTree, images: Array, key: Key[Array, ""] | None = None) -> Array:
    """Of images, their pixels in a row, by a linear model."""
    return SOFTMAX.apply(params, images.reshape(images.shape[0], -1), key)


SOFTMAX_LOSS = Classifier(softmax_logits)


def digits_softmax() -> tasks.Task:
    """Softmax regression on the digits: a convex task."""
    return dataclasses.replace(
        tasks.get("digits_mlp"),
        name="digits_softmax",
        description="scikit-learn's digits: 1,797 images of 8 x 8 pixels, 10 classes; softmax regression, convex",
        init=SOFTMAX.init,
        loss=SOFTMAX_LOSS,
    )


def run(plan: Plan) -> None:
    """Tunes and reports every batch size, fits the law, measures the noise, writes the page."""
    console, began = Console(), time.perf_counter()
    plan.out.mkdir(parents=True, exist_ok=True)
    found = []
    with study.progress_bar(console) as bar:
        total = bar.add_task(
            "", total=sum(2 * _budget(plan.config, size)[0] for _, sizes in plan.tasks for size in sizes)
        )
        for task, sizes in plan.tasks:
            measured = []
            for size in sizes:
                bar.update(total, description=f"{task.name}, {size}")
                measured.append(measure(task, size, plan, functools.partial(study.advance, bar, total)))
            bar.update(total, description=f"{task.name}, noise")
            found.append(_found(task, measured, plan))
    results = cli.findings(
        "batch_size",
        "Which batch size should I use: full batch, mini-batches or single examples?",
        plan.config,
        page.verdict_of(found),
        seconds=time.perf_counter() - began,
        compile_seconds=sum(size.compile_seconds for one in found for size in one.sizes),
        numbers=page.numbers(found),
        sections=page.sections(found, plan.config.target),
    )
    cli.finish(results, plan.out, console)


def measure(task: tasks.Task, size: int, plan: Plan, progress: Callable[[], Any]) -> page.Size:
    """One batch size: its rate tuned on the selection seeds, its steps to the target on the report seeds."""
    config, seeds = plan.config, plan.protocol
    steps, every = _budget(config, size)
    rates = np.array(sorted(set(config.learning_rates)))
    places = max(len(rates) * len(seeds.selection), len(seeds.report))

    def population(values: Float[np.ndarray, " members"], of: Sequence[int]) -> History:
        return run_population(
            task,
            BUILD,
            {"learning_rate": values},
            seed_keys(of),
            steps=steps,
            eval_every=every,
            batch_size=size,
            capacity=places,
            progress=progress(),
        )

    tuning = population(np.repeat(rates, len(seeds.selection)), list(seeds.selection) * len(rates))
    tried = steps_to(tuning, config.target).reshape(len(rates), -1)
    best = best_row(tried, higher_is_better=False)
    report = population(np.full(len(seeds.report), rates[best]), seeds.report)
    return page.Size(
        batch_size=size,
        budget=steps,
        rate=float(rates[best]),
        at_edge=best in (0, len(rates) - 1),
        steps=steps_to(report, config.target),
        seconds_a_step=_seconds_a_step(task, size),
        compile_seconds=tuning.compile_seconds + report.compile_seconds,
    )


def steps_to(history: History, target: float) -> Float[np.ndarray, " members"]:
    """The steps after which each member's validation loss was first at the target or below; infinite if never."""
    there = history.validation["loss"] <= target
    return np.where(there.any(axis=1), history.steps[there.argmax(axis=1)], np.inf)


def _budget(config: Config, size: int) -> tuple[int, int]:
    """Steps of a run, and between two evaluations, which divide them."""
    steps = config.full_steps + config.examples // size
    every = max(1, steps // POINTS)
    return -(-steps // every) * every, every


def _found(task: tasks.Task, sizes: list[page.Size], plan: Plan) -> page.Found:
    """The law of each report seed, and the noise scale at equally spaced steps of its full-batch run."""
    seeds, full = plan.protocol.report, sizes[-1]
    laws = [
        critical_batch.fit(
            [size.batch_size for size in sizes], [size.steps[i] for size in sizes], [size.budget for size in sizes]
        )
        for i in range(len(seeds))
    ]
    _, every = _budget(plan.config, full.batch_size)
    marks, noise, losses = _marks(full, plan.config.noise_points, every), [], []
    for mark in marks:
        history = run_population(
            task,
            BUILD,
            {"learning_rate": full.rate},
            seed_keys(seeds),
            steps=mark,
            eval_every=every,
            batch_size=full.batch_size,
            capacity=max(len(set(plan.config.learning_rates)) * len(plan.protocol.selection), len(seeds)),
        )
        there = jax.device_put((history.states.params, history.states.key), jax.local_devices()[0])
        noise.append(np.asarray(critical_batch.noise_of(task, *there)))
        losses.append(history.validation["loss"][:, -1])
    return page.Found(task, sizes, laws, marks, np.array(noise).reshape(-1, len(seeds)), np.array(losses))


def _marks(full: page.Size, points: int, every: int) -> list[int]:
    """The middles of equal parts of the full-batch run, up to the step at which half of the seeds have arrived."""
    typical = float(np.median(full.steps))
    if not np.isfinite(typical):
        return []
    middles = (np.arange(points) + 0.5) / points * typical
    return sorted({max(1, round(middle / every)) * every for middle in middles})


def _seconds_a_step(task: tasks.Task, size: int) -> float:
    """What a step of one run takes by itself, the quickest of several."""
    step = make_train_step(task.loss, BUILD)
    state = init_run(task.init, BUILD, {"learning_rate": 0.0}, key=jax.random.key(0))
    batch = examples_of.take(task.data, jnp.arange(size))
    taken = []
    for _ in range(TIMED + 1):  # the first compiles
        start = time.perf_counter()
        state, _ = jax.block_until_ready(step(state, batch))
        taken.append(time.perf_counter() - start)
    return min(taken[1:])


if __name__ == "__main__":
    cli.main(Config, prepare, run, __doc__)
