"""The fair protocol, as data: what every arm of a comparison shares, and what is its own.

Each arm is tuned with equally many trials (selection seeds counted) of equally many steps, on validation data. The
point with the best mean is trained anew with report seeds that tuning never saw, and scored once on test data. A seed
fixes initial parameters, the split into training and validation, and the batches: arms share them seed by seed, and a
report seed draws all three anew.
"""

import dataclasses
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxlab import tasks
from jaxlab.core import hyper
from jaxlab.core.space import SearchSpace
from jaxlab.optimizers import Recipe
from jaxlab.sweep import layout as layouts
from jaxlab.sweep.fingerprint import fingerprint, given_identity
from jaxlab.sweep.tuning import check_points, count_of
from jaxlab.train.data import check_length
from jaxlab.train.state import Build

SEEDS = 10_000
"""Each study has so many seeds of its own: the first half to select with, the second to report."""


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What all arms of a study share.

    Attributes:
      selection, report: seeds; none is in both.
      evaluations: points of the learning curves.
      layout: how members of a population are trained, see :func:`~jaxlab.sweep.run_population`.
      margin: differences of the test metric below it do not matter; None where nobody has said.

    Raises:
      ValueError: a seed that would select and report.
    """

    selection: tuple[int, ...]
    report: tuple[int, ...]
    evaluations: int = 20
    layout: str | int = "vmap"
    margin: float | None = None

    def __post_init__(self) -> None:
        for name, seeds in (("selection", self.selection), ("report", self.report)):
            for seed in seeds:
                hyper.integer(f"{name} seed", seed, at_least=0, at_most=2**32 - 1)
            if not seeds or len(set(seeds)) < len(seeds):
                raise ValueError(f"{name} = {seeds}: accepted is at least one seed, and each once")
        hyper.integer("evaluations", self.evaluations, at_least=1)
        layouts.check(self.layout)
        both = sorted(set(self.selection) & set(self.report))
        if both:
            raise ValueError(f"seeds {both} are for selection and report: accepted are seeds of one purpose")


def protocol_of(
    seed: int,
    selection_seeds: int,
    report_seeds: int,
    *,
    evaluations: int = 20,
    layout: str | int = "vmap",
    margin: float | None = None,
) -> Protocol:
    """A study's protocol from its seed and how many seeds each stage has.

    Raises:
      TypeError, ValueError: a number out of its range.

    >>> protocol_of(1, 2, 3).report
    (15000, 15001, 15002)
    """
    hyper.integer("selection_seeds", selection_seeds, at_least=1, at_most=SEEDS // 2)
    hyper.integer("report_seeds", report_seeds, at_least=1, at_most=SEEDS // 2)
    hyper.integer("seed", seed, at_least=0, at_most=2**32 // SEEDS - 1)
    if margin is not None:
        hyper.number("margin", margin, "(0, inf)")
    first = SEEDS * seed
    return Protocol(
        selection=tuple(first + i for i in range(selection_seeds)),
        report=tuple(first + SEEDS // 2 + i for i in range(report_seeds)),
        evaluations=evaluations,
        layout=layout,
        margin=margin,
    )


@dataclasses.dataclass(frozen=True)
class Arm:
    """A recipe before its tuning.

    Attributes:
      name: in tables and plots.
      task: what it trains on. Arms of a study may differ in their losses; test data and metric are the same.
      build: ``hyperparams -> GradientTransformation``; one function for arms of one structure shares programs.
      points: what is tuned: hyperparameter to values, one for each trial; empty where nothing is.
      hyperparams: all other numbers.
      steps, batch_size: of a run.
      extra: trials after the first, of one hyperparameter: where its first values point to, see
        :func:`~jaxlab.sweep.tuning.second_look`.
      space: where the points come from, for the storage's record.
      optimizer, schedule, static, reference, state_bytes_per_param: for the record.

    Raises:
      TypeError, ValueError: whatever ``build`` refuses of any point; points that are not equally many; a second look at
        several hyperparameters or at fewer than two values.
    """

    name: str
    task: tasks.Task
    build: Build
    points: Mapping[str, Sequence[float]]
    hyperparams: Mapping[str, float]
    steps: int
    batch_size: int
    extra: int = 0
    space: SearchSpace | None = None
    optimizer: str = ""
    schedule: str = "constant"
    static: tuple[tuple[str, Any], ...] = ()
    reference: str = ""
    state_bytes_per_param: float = 0.0

    def __post_init__(self) -> None:
        if self.points:
            object.__setattr__(self, "points", check_points(self.points))
        for point in self.trials() or [{}]:
            self.build({**self.hyperparams, **point})
        if hyper.integer("extra", self.extra, at_least=0) and (len(self.points) != 1 or count_of(self.points) < 2):
            raise ValueError(f"extra = {self.extra}: accepted is 0, or one hyperparameter with at least two values")
        hyper.integer("steps", self.steps, at_least=1)
        hyper.integer("batch_size", self.batch_size, at_least=1)
        check_length(self.steps, self.batch_size)

    def trials(self) -> list[dict[str, float]]:
        """The points, one by one."""
        return [dict(zip(self.points, values, strict=True)) for values in zip(*self.points.values(), strict=True)]

    @property
    def total_trials(self) -> int:
        """Points that tuning tries, those of the second look among them."""
        return count_of(self.points) + self.extra


def recipe_arm(
    name: str,
    task: Any,
    recipe: Recipe,
    points: Mapping[str, Sequence[float]],
    hyperparams: Mapping[str, float] | None = None,
    *,
    steps: int | None = None,
    batch_size: int | None = None,
    extra: int = 0,
) -> Arm:
    """An arm that a :class:`~jaxlab.optimizers.Recipe` describes; the optimizer's defaults are filled in.

    Raises:
      TypeError, ValueError: whatever the recipe refuses of any point; counts below 1; an optimizer that cannot
        take a step on the task.
    """
    task = tasks.as_task(task)
    tasks.check_optimizer(task, recipe)
    numbers, trials = dict(hyperparams or {}), check_points(points) if points else {}
    first = {parameter: values[0] for parameter, values in trials.items()}
    # What the optimizer takes for granted is on the record, too.
    known = recipe.hyperparams({**numbers, **first})
    return Arm(
        name=name,
        task=task,
        build=recipe.build,
        points=trials,
        hyperparams={key: number for key, number in known.items() if key not in trials},
        steps=hyper.integer("steps", task.steps if steps is None else steps, at_least=1),
        batch_size=hyper.integer("batch_size", task.batch_size if batch_size is None else batch_size, at_least=1),
        extra=extra,
        space=recipe.info.search_space,
        optimizer=recipe.optimizer,
        schedule=recipe.schedule,
        static=recipe.static,
        reference=recipe.info.reference,
        state_bytes_per_param=recipe.info.state_bytes_per_param,
    )


def places_of(arm: Arm, protocol: Protocol) -> tuple[int, int]:
    """Places in the programs of an arm's first trials, and of what follows: second look and report."""
    selection = len(protocol.selection)
    return places_for(count_of(arm.points) * selection, arm.extra * selection, len(protocol.report))


def places_for(first: int, second: int, report: int) -> tuple[int, int]:
    """The same from the numbers of runs.

    One program serves all unless it were larger than needed by a factor of four: a place costs time, another program
    costs its compilation. A rule of sizes alone, so that a study that is run again compiles the same.

    >>> places_for(18, 6, 5), places_for(24, 0, 5)
    ((18, 18), (24, 5))
    """
    small = max(second, report)
    one = max(first, small)
    return (first, small) if first >= 4 * small else (one, one)


def identity_of(arm: Arm, protocol: Protocol) -> dict[str, Any]:
    """What an arm's trials are of: trials that were made of anything else are not its own."""
    return {
        **task_identity(arm.task),
        "optimizer": arm.optimizer,
        "schedule": arm.schedule,
        "static": repr(arm.static),
        "points": {name: list(values) for name, values in arm.points.items()},
        "extra": arm.extra,
        "hyperparams": dict(arm.hyperparams),
        "steps": arm.steps,
        "batch_size": arm.batch_size,
        "evaluations": protocol.evaluations,
        "selection_seeds": list(protocol.selection),
    }


def task_identity(task: tasks.Task) -> dict[str, Any]:
    """What a run's numbers depend on, of its task: its data, its split, and what its model and loss compute."""
    return {
        "program": _program(task),
        "task": task.name,
        "metric": task.metric,
        "higher_is_better": task.higher_is_better,
        "data": fingerprint((task.data, task.test)),
        **given_identity(task),
        "validation_fraction": task.validation_fraction,
    }


def _program(task: tasks.Task) -> str:
    """A checksum of what a task's ``init`` and ``loss`` compute: another model under the same name is another task."""
    key = jax.random.key(0)
    params = jax.eval_shape(task.init, key)
    batch = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *np.shape(leaf)[1:]), leaf.dtype), task.data)
    text = f"{jax.make_jaxpr(task.init)(key)}{jax.make_jaxpr(task.loss)(params, batch, key)}"
    # Functions that a program names by their place in memory are at another in each process.
    return f"{zlib.crc32(re.sub('0x[0-9a-f]+', '', text).encode()):08x}"
