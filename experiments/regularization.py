"""What do L1, L2 and dropout do, and how strong should they be?

    python -m experiments.regularization
    python -m experiments.regularization --images 500 --seed 1

Linear models of the diabetes data first. L1 (by proximal steps), L2 and the elastic net are trained at all strengths as
one population, and compared with scikit-learn's Lasso, Ridge and ElasticNet: the same zeros, coefficients within 1e-4
of the largest. The strength is chosen in the two ways that the founding texts name, by cross-validation and by a grid
on one set of validation data, again and again with other shuffles; LassoCV with the same folds must choose the same.

Then a network of 128 hidden features on few images of digits, as the texts build one: L1 on its first layer, L2 on its
second, dropout between them. Every arm tunes its learning rate on the same values; strengths are those of the texts.

Writes results.json, report.html and the plots. On two CPU cores it takes about a minute.
"""

import dataclasses
import time
from pathlib import Path

import numpy as np
from jaxtyping import Float
from rich.console import Console

from experiments import cli, regularized_network, study
from experiments.regularization_page import Linear
from experiments.regularization_paths import (
    PENALTIES,
    Patients,
    bowls_of,
    lasso_cv,
    least_squares,
    outcome,
    shuffles_of,
    subgradient_lasso,
    train,
)
from jaxlab import tasks
from jaxlab.core import hyper
from jaxlab.sweep import use_every_core
from jaxlab.train.stopwatch import Stopwatch


@dataclasses.dataclass(frozen=True)
class Config:
    """What to train."""

    points: int = 36
    """Strengths from 0.001 to 3.2, evenly spread on a logarithmic axis."""
    steps: int = 10_000
    """Full-batch steps of the linear models."""
    folds: int = 5
    """Of the cross-validation."""
    shuffles: int = 10
    """How often the folds are drawn."""
    images: int = 288
    """That the network learns from; all others of the pool validate."""
    network_steps: int = 400
    """Of the network."""
    batch_size: int = 32
    """Images a step."""
    learning_rates: tuple[float, ...] = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
    """That every arm tries."""
    selection_seeds: int = 4
    """Seeds that each rate is tried with."""
    report_seeds: int = 24
    """Seeds that the chosen rates are reported on."""
    margin: float = 0.01
    """Differences of the network's accuracy below this do not matter."""
    seed: int = 0
    """Another seed, another study: all seeds and shuffles follow from it."""
    out: Path | None = None
    """Where to write; by default runs/regularization/<time>."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A configuration, checked and spelled out."""

    config: Config
    diabetes: tasks.Task
    strengths: Float[np.ndarray, " strengths"]
    arms: list[study.Arm]
    protocol: study.Protocol
    out: Path


def prepare(config: Config) -> Plan:
    """Checks everything that can be checked without training."""
    use_every_core()
    points = hyper.integer("points", config.points, at_least=2)
    hyper.integer("steps", config.steps, at_least=1)
    hyper.integer("shuffles", config.shuffles, at_least=2, at_most=1_000)
    if not config.learning_rates:
        raise ValueError("learning_rates = (): accepted is at least one")
    protocol = study.protocol_of(
        config.seed, config.selection_seeds, config.report_seeds, evaluations=10, margin=config.margin
    )
    diabetes, digits = tasks.get("diabetes"), tasks.get("digits_mlp")
    hyper.integer("folds", config.folds, at_least=2, at_most=len(diabetes.data["x"]))
    hyper.integer("images", config.images, at_least=1, at_most=len(digits.data["x"]) - 1)
    arms = regularized_network.arms_of(
        digits, config.images, config.learning_rates, steps=config.network_steps, batch_size=config.batch_size
    )
    out = cli.new_folder(config.out, "regularization")
    return Plan(config, diabetes, np.geomspace(1e-3, 10**0.5, points), arms, protocol, out)


def run(plan: Plan) -> None:
    """Follows the paths, chooses strengths, compares with scikit-learn, trains the network, writes the page."""
    console, clock, began = Console(), Stopwatch(), time.perf_counter()
    plan.out.mkdir(parents=True, exist_ok=True)
    config, patients = plan.config, patients_of(plan.diabetes)
    shuffles = shuffles_of(config.seed, config.shuffles, config.folds)
    outcomes = {}
    for penalty in PENALTIES:
        found = outcome(penalty, patients, plan.strengths, shuffles, config.steps, clock)
        outcomes[penalty.name] = found
        console.print(f"{penalty.name}: within {found.differences.max():.1e} of scikit-learn", highlight=False)
    linear = Linear(
        outcomes=outcomes,
        subgradient=train(subgradient_lasso, plan.strengths, bowls_of(patients, []), config.steps, clock)[0],
        lasso_cv=lasso_cv(patients.x, patients.y, plan.strengths, shuffles),
        free=least_squares(patients),
        folds=config.folds,
    )
    network_study = study.run(
        f"What do L1, L2 and dropout gain a network that learns from {config.images} images?",
        plan.arms,
        plan.protocol,
        console,
        noun="regularization",
    )
    console.print(study.table_of(network_study))
    results = cli.findings(
        "regularization",
        "What do L1, L2 and dropout do, and how strong should they be?",
        config,
        f"{linear.verdict()} {regularized_network.against_none(network_study)}",
        seconds=time.perf_counter() - began,
        compile_seconds=clock.compiling + study.compile_seconds(network_study),
        numbers=[*linear.numbers(), *regularized_network.numbers_of(network_study)],
        sections=[*linear.sections(), regularized_network.section_of(network_study)],
        studies=[network_study],
    )
    cli.finish(results, plan.out, console)


def patients_of(task: tasks.Task) -> Patients:
    """The task's data, as the solvers take them."""
    x, y, test_x, test_y = (
        np.asarray(data[name], np.float64) for data in (task.data, task.test) for name in ("x", "y")
    )
    return Patients(x, y[:, 0], test_x, test_y[:, 0])


if __name__ == "__main__":
    cli.main(Config, prepare, run, __doc__)
