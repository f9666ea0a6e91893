"""Which loss should I use, and what if some of my training data are wrong?

    python -m experiments.losses
    python -m experiments.losses --outliers 0 0.05 0.4 --report-seeds 30

Every loss where it belongs: numbers (the noisy line y = 2x + 1), yes or no (breast cancer), classes (digits). A growing
part of the training targets is spoilt: gross errors in numbers, wrong labels. Validation data are as wrong as training
data, as they would be; test data are clean. At every fraction each loss tunes its learning rate on the same values with
the same seeds, by a metric that is no arm's own loss, and is reported on fresh seeds. What is right or wrong is
data, so that all fractions share a loss's compiled program.

Last, what the mean squared logarithmic error aims at; some texts call it log loss for regression, which is another
thing than the classifiers' log loss.

Writes results.json, report.html and the plots. On two CPU cores it takes about two minutes.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float
from rich.console import Console
from sklearn.datasets import load_diabetes

from experiments import cli, losses_page, losses_tasks, study
from experiments.losses_page import Centre, Ends
from jaxlab import losses, report, tasks
from jaxlab.core import hyper
from jaxlab.optimizers import Recipe
from jaxlab.sweep import use_every_core
from jaxlab.train.stopwatch import Stopwatch

RECIPE = Recipe("adam", "cosine")
EVALUATIONS = 10
OUTLIERS, WRONG = losses_page.OUTLIERS, losses_page.WRONG


@dataclasses.dataclass(frozen=True)
class Config:
    """What to spoil, and how to train."""

    losses: tuple[str, ...] = ()
    """By name; by default all. The answers' are always among them."""
    outliers: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3)
    """Fractions of gross errors among the numbers; 0.2 is always one."""
    flipped: tuple[float, ...] = (0.0, 0.3)
    """Fractions of wrong answers to yes or no."""
    wrong: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6)
    """Fractions of wrong labels among the classes; 0.4 is always one."""
    steps: int = 400
    """Of every run."""
    selection_seeds: int = 3
    """Seeds that each rate is tried with."""
    report_seeds: int = 15
    """Seeds that the chosen rates are reported on."""
    seed: int = 0
    """Another seed, another study: all seeds follow from it."""
    out: Path | None = None
    """Where to write; by default runs/losses/<time>."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of target with its losses.

    Attributes:
      task: ``(loss, fraction) -> task``.
      losses: names of the arms.
      rates: that every arm tries. Those of the line start where every loss arrives within the run: else the squared
        error would do best by not arriving.
      question: of a study, with a place for the fraction.
    """

    task: Callable[[str, float], tasks.Task]
    losses: tuple[str, ...]
    rates: tuple[float, ...]
    question: str


KINDS = {
    "numbers": Kind(
        losses_tasks.line,
        tuple(losses_tasks.REGRESSION),
        (0.05, 0.1, 0.2, 0.4, 0.8),
        "Which loss finds the line when {:.0%} of the targets are gross errors?",
    ),
    "yes or no": Kind(
        losses_tasks.breast_cancer,
        tuple(losses_tasks.BINARY),
        (0.001, 0.003, 0.01, 0.03, 0.1),
        "Which loss tells malignant from benign when {:.0%} of the answers are wrong?",
    ),
    "classes": Kind(
        losses_tasks.digits,
        tuple(losses_tasks.MANY),
        (0.0003, 0.001, 0.003, 0.01, 0.03),
        "Which loss learns digits when {:.0%} of the labels are wrong?",
    ),
}


@dataclasses.dataclass(frozen=True)
class Plan:
    """A configuration, checked and spelled out: arms by kind and fraction."""

    config: Config
    arms: Mapping[tuple[str, float], list[study.Arm]]
    protocol: study.Protocol
    out: Path


def prepare(config: Config) -> Plan:
    """Checks everything that can be checked without training."""
    use_every_core()
    steps = hyper.integer("steps", config.steps, at_least=EVALUATIONS)
    protocol = study.protocol_of(config.seed, config.selection_seeds, config.report_seeds, evaluations=EVALUATIONS)
    fractions = {
        "numbers": _fractions("outliers", config.outliers, "[0, 1)", OUTLIERS),
        "yes or no": _fractions("flipped", config.flipped, "[0, 0.5)"),
        "classes": _fractions("wrong", config.wrong, "[0, 0.9)", WRONG),
    }
    known = [loss for kind in KINDS.values() for loss in kind.losses]
    wanted = {*(hyper.one_of("losses", loss, known) for loss in config.losses or known), *losses_page.ANSWERS}
    arms = {
        (name, fraction): [arm_of(kind, loss, fraction, steps) for loss in kind.losses if loss in wanted]
        for name, kind in KINDS.items()
        for fraction in fractions[name]
        if wanted.intersection(kind.losses)
    }
    return Plan(config, arms, protocol, cli.new_folder(config.out, "losses"))


def _fractions(name: str, given: tuple[float, ...], accepted: str, *always: float) -> list[float]:
    found = {*given, *always}
    if not found:
        raise ValueError(f"{name} = (): accepted is at least one fraction")
    for fraction in found:
        hyper.number(name, fraction, accepted)
    return sorted(found)


def arm_of(kind: Kind, loss: str, fraction: float, steps: int) -> study.Arm:
    """A loss at a fraction."""
    numbers = {"total_steps": steps}
    return study.recipe_arm(
        loss, kind.task(loss, fraction), RECIPE, {"learning_rate": kind.rates}, numbers, steps=steps
    )


def run(plan: Plan) -> None:
    """Tunes, reports and compares at every fraction, writes the page."""
    console, clock, began = Console(), Stopwatch(), time.perf_counter()
    plan.out.mkdir(parents=True, exist_ok=True)
    found, ends = {}, {}
    for (name, fraction), arms in plan.arms.items():
        question = KINDS[name].question.format(fraction)
        one = study.run(question, arms, plan.protocol, console, noun="loss")
        console.print(study.table_of(one))
        found[name, fraction] = one
        if name == "numbers":
            ends[fraction] = {arm.name: ends_of(arm, one, plan.protocol) for arm in arms}
    centres = centres_of(clock)
    results = cli.findings(
        "losses",
        "Which loss should I use, and what if some of my training data are wrong?",
        plan.config,
        losses_page.verdict_of(found, ends),
        seconds=time.perf_counter() - began,
        compile_seconds=clock.compiling + sum(map(study.compile_seconds, found.values())),
        numbers=losses_page.numbers_of(found, ends, centres),
        sections=losses_page.sections_of(found, ends, centres),
        studies=list(found.values()),
    )
    cli.finish(results, plan.out, console)


def ends_of(arm: study.Arm, found: report.Study, protocol: study.Protocol) -> Ends:
    """The lines that the report's runs ended with: the same runs again, in the program that they had."""
    history = study.reported_again(arm, found, protocol)
    layer = history.states.params["dense_0"]
    slope, intercept = (np.asarray(layer[part], np.float64).reshape(-1) for part in ("kernel", "bias"))
    return Ends(slope, intercept, np.asarray(history.test["mse"], np.float64))


def centres_of(clock: Stopwatch, steps: int = 1_000) -> list[Centre]:
    """The one number that minimises each loss over positive targets, clean and with gross errors, by descent."""
    clean = np.asarray(load_diabetes(return_X_y=True, scaled=False)[1], np.float64)
    wrong = clean.copy()
    wrong[losses_tasks.spoilt(len(clean), 0.1)] *= 10
    sets = np.stack([clean, wrong])
    closed: dict[str, tuple[Callable[..., Array], Callable[[np.ndarray], float]]] = {
        "mse": (losses.mse, lambda y: float(np.mean(y))),
        "mae": (losses.mae, lambda y: float(np.median(y))),
        "msle": (losses.msle, lambda y: float(np.expm1(np.mean(np.log1p(y))))),
    }
    return [
        Centre(name, descend(loss, sets, steps, clock), np.array([solve(y) for y in sets]))
        for name, (loss, solve) in closed.items()
    ]


def descend(
    loss: Callable[..., Array], targets: Float[np.ndarray, "sets n"], steps: int, clock: Stopwatch
) -> Float[np.ndarray, " sets"]:
    """The positive number, the same for all targets of a set, that Adam finds."""
    tx = RECIPE.build({"learning_rate": 0.05, "total_steps": steps})

    def one(y: Array) -> Array:
        def height(log: Array) -> Array:
            return loss(jnp.full_like(y, jnp.exp(log)), y)

        def step(carry: tuple[Any, Any], _: None) -> tuple[tuple[Any, Any], None]:
            log, state = carry
            update, state = tx.update(jax.grad(height)(log), state, log)
            return (optax.apply_updates(log, update), state), None

        start = jnp.log(jnp.asarray(100.0))
        (log, _), _ = jax.lax.scan(step, (start, tx.init(start)), length=steps)
        return jnp.exp(log)

    return np.asarray(clock.run(jax.jit(jax.vmap(one)), targets.astype(np.float32)), np.float64)


if __name__ == "__main__":
    cli.main(Config, prepare, run, __doc__)
