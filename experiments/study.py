"""The protocol of every comparison: equal trials, fresh seeds for the report, all pairs compared.

Each arm tunes one number on the same count of values with the same selection seeds, on validation data. The
value with the best mean is trained anew with report seeds that tuning never saw, and scored once on test data.
Report seeds are shared: with a seed, every arm starts from the same parameters, trains on the same split and sees
the same batches. All pairs are compared by paired t tests with Holm's correction.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from jaxlab import report, tasks, verdict
from jaxlab.core import hyper
from jaxlab.optimizers import Recipe
from jaxlab.sweep import History, Tuning, run_population, seed_keys, tune
from jaxlab.train.data import check_length
from jaxlab.train.state import Build

SEEDS = 10_000
"""Each study has so many seeds of its own: the first half to select with, the second to report."""


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What all arms of a study share.

    Attributes:
      selection, report: seeds.
      evaluations: points of the learning curves.
      layout: how members of a population are trained, see :func:`~jaxlab.sweep.run_population`.
      margin: differences of the test metric below it do not matter; None where nobody has said.
    """

    selection: tuple[int, ...]
    report: tuple[int, ...]
    evaluations: int = 20
    layout: str = "vmap"
    margin: float | None = None


def protocol_of(
    seed: int,
    selection_seeds: int,
    report_seeds: int,
    *,
    evaluations: int = 20,
    layout: str = "vmap",
    margin: float | None = None,
) -> Protocol:
    """A study's protocol from its seed and how many seeds each stage has.

    Raises:
      TypeError, ValueError: a number out of its range.
    """
    hyper.one_of("layout", layout, ("vmap", "map"))
    hyper.integer("evaluations", evaluations, at_least=1)
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
      values: of the number that is tuned; none where nothing is.
      hyperparams: all other numbers.
      parameter: which number is tuned.
      steps, batch_size: of a run.
      optimizer, schedule, reference, state_bytes_per_param: for the record.
    """

    name: str
    task: tasks.Task
    build: Build
    values: tuple[float, ...]
    hyperparams: Mapping[str, float]
    steps: int
    batch_size: int
    parameter: str = "learning_rate"
    optimizer: str = ""
    schedule: str = "constant"
    reference: str = ""
    state_bytes_per_param: float = 0.0

    def __post_init__(self) -> None:
        for value in self.values or (None,):
            self.build(self.hyperparams if value is None else {**self.hyperparams, self.parameter: value})
        check_length(self.steps, self.batch_size)


def recipe_arm(
    name: str,
    task: tasks.Task,
    recipe: Recipe,
    values: Sequence[float],
    hyperparams: Mapping[str, float] | None = None,
    *,
    parameter: str = "learning_rate",
    steps: int | None = None,
    batch_size: int | None = None,
) -> Arm:
    """An arm that a :class:`~jaxlab.optimizers.Recipe` describes; the optimizer's defaults are filled in.

    Raises:
      TypeError, ValueError: whatever the recipe refuses of any value; counts below 1; an optimizer that cannot
        take a step on the task.
    """
    tasks.check_optimizer(task, recipe)
    numbers = dict(hyperparams or {})
    for value in values:
        recipe.hyperparams({**numbers, parameter: value})
    # What the optimizer takes for granted is on the record, too.
    known = recipe.hyperparams({**numbers, parameter: values[0]} if values else numbers)
    return Arm(
        name=name,
        task=task,
        build=recipe.build,
        values=tuple(values),
        hyperparams={key: number for key, number in known.items() if not values or key != parameter},
        steps=hyper.integer("steps", task.steps if steps is None else steps, at_least=1),
        batch_size=hyper.integer("batch_size", task.batch_size if batch_size is None else batch_size, at_least=1),
        parameter=parameter,
        optimizer=recipe.optimizer,
        schedule=recipe.schedule,
        reference=recipe.info.reference,
        state_bytes_per_param=recipe.info.state_bytes_per_param,
    )


def run(
    question: str, arms: Sequence[Arm], protocol: Protocol, console: Console, *, noun: str = "optimizer"
) -> report.Study:
    """Tunes, reports and compares the arms, with a progress bar; returns the study as results.json has it.

    ``noun`` is what the verdict calls an arm.
    """
    entries = []
    with progress_bar(console) as bar:
        total = bar.add_task("", total=sum(arm.steps * (2 if arm.values else 1) for arm in arms))
        for arm in arms:
            bar.update(total, description=f"{arm.name}: tuning")
            tuning = _tune(arm, protocol, advance(bar, total)) if arm.values else None
            bar.update(total, description=f"{arm.name}: report")
            entries.append(_entry(arm, protocol, tuning, _report(arm, protocol, tuning, advance(bar, total))))
    task = arms[0].task
    scores = {entry["name"]: entry["report"]["test"] for entry in entries}
    pairs = verdict.comparisons(scores, task.higher_is_better, protocol.margin)
    measure = verdict.Measure(task.metric, task.unit, task.higher_is_better)
    return {
        "question": question,
        "task": report.task_entry(task),
        "arms": entries,
        "comparisons": [cast("report.Comparison", dataclasses.asdict(pair)) for pair in pairs],
        "verdict": verdict.overall(scores, pairs, measure, noun=noun),
        "margin": protocol.margin,
    }


def compile_seconds(study: report.Study) -> float:
    """What all arms spent in compilation."""
    return sum(arm["cost"]["compile_seconds"] for arm in study["arms"])


def _tune(arm: Arm, protocol: Protocol, progress: Callable[[int, int], None]) -> Tuning:
    """All values with all selection seeds, as one population, on validation data."""
    return tune(
        arm.task,
        arm.build,
        arm.values,
        protocol.selection,
        parameter=arm.parameter,
        hyperparams=arm.hyperparams,
        steps=arm.steps,
        eval_every=_every(arm, protocol),
        batch_size=arm.batch_size,
        layout=protocol.layout,
        progress=progress,
    )


def _report(arm: Arm, protocol: Protocol, tuning: Tuning | None, progress: Callable[[int, int], None]) -> History:
    """The chosen value with all report seeds, on test data, in the program that tuning compiled."""
    return run_population(
        arm.task,
        arm.build,
        _chosen(arm, tuning),
        seed_keys(protocol.report),
        steps=arm.steps,
        eval_every=_every(arm, protocol),
        batch_size=arm.batch_size,
        layout=protocol.layout,
        capacity=tuning.validation.size if tuning is not None else 1,
        test=True,
        progress=progress,
    )


def _chosen(arm: Arm, tuning: Tuning | None) -> dict[str, float]:
    return {**arm.hyperparams} if tuning is None else {**arm.hyperparams, arm.parameter: tuning.chosen}


def _every(arm: Arm, protocol: Protocol) -> int:
    return max(1, arm.steps // protocol.evaluations)


def _entry(arm: Arm, protocol: Protocol, tuning: Tuning | None, history: History) -> Any:
    """An arm's part of results.json."""
    metric = arm.task.metric
    test = history.test[metric]
    finite = test[np.isfinite(test)]
    before = (0.0, 0.0) if tuning is None else (tuning.history.compile_seconds, tuning.history.run_seconds)
    return {
        "name": arm.name,
        "optimizer": arm.optimizer,
        "schedule": arm.schedule,
        "reference": arm.reference,
        "hyperparams": _chosen(arm, tuning),
        "tuning": None
        if tuning is None
        else {
            "parameter": tuning.parameter,
            "values": tuning.values,
            "seeds": tuning.seeds,
            "validation": tuning.validation,
            "chosen": tuning.chosen,
            "at_edge": tuning.at_edge,
        },
        "report": {
            "seeds": list(protocol.report),
            "test": test.tolist(),
            "mean": finite.mean() if finite.size else None,
            "interval": verdict.t_interval(test),
            "diverged": test.size - finite.size,
        },
        "curves": {
            "steps": history.steps,
            "validation": history.validation[metric],
            "train_loss": history.train_loss,
        },
        "cost": {
            "seconds_tuning": sum(before),
            "seconds_report": history.compile_seconds + history.run_seconds,
            "compile_seconds": before[0] + history.compile_seconds,
            "state_bytes_per_param": arm.state_bytes_per_param,
        },
    }


def table_of(study: report.Study) -> Table:
    """The arms, best first, for the terminal."""
    task, arms = study["task"], study["arms"]
    sign = -1 if task["higher_is_better"] else 1
    table = Table(title=f"{task['metric']} on test data, {len(arms[0]['report']['seeds'])} seeds")
    tuned = arms[0]["tuning"] is not None
    names = dict.fromkeys(arm["tuning"]["parameter"].replace("_", " ") for arm in arms if arm["tuning"] is not None)
    columns = ("arm", *([" / ".join(names)] if tuned else []), task["metric"], "95% interval", "diverged")
    for column in columns:
        table.add_column(column, justify="left" if column == "arm" else "right")
    for arm in sorted(arms, key=lambda arm: np.inf if arm["report"]["mean"] is None else sign * arm["report"]["mean"]):
        found, tuning = arm["report"], arm["tuning"]
        mean = "none" if found["mean"] is None else f"{found['mean']:.4g}"
        finite = np.isfinite(np.array(found["interval"], np.float64)).all()
        interval = "{:.4g} to {:.4g}".format(*found["interval"]) if finite else "none"
        chosen = [] if tuning is None else [f"{tuning['chosen']:.3g}" + (" (edge)" if tuning["at_edge"] else "")]
        table.add_row(arm["name"], *chosen, mean, interval, str(found["diverged"]))
    return table


def progress_bar(console: Console) -> Progress:
    """Steps done, time gone, time to go."""
    columns = (TextColumn("{task.description:20}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"))
    return Progress(*columns, TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=console)


def advance(bar: Progress, total: Any) -> Callable[[int, int], None]:
    """Moves the bar to where a population is."""
    start = bar.tasks[total].completed
    return lambda done, _: bar.update(total, completed=start + done)
