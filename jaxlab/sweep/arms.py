"""Runs the arms of a study by the fair protocol: trials, second look, report.

What an arm does next follows from what is finished, and all that is finished stands in the storage. So a study that
was killed goes on where it was, and several processes share one: each claims what nobody works on.
"""

import dataclasses
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxlab.core import hyper
from jaxlab.sweep.population import History, run_population
from jaxlab.sweep.protocol import Arm, Protocol, identity_of, places_of
from jaxlab.sweep.storage import Finished, Stage, Storage
from jaxlab.sweep.tuning import Tuning, best_row, choose, count_of, scale_of, second_look, seed_keys

POLL_SECONDS = 0.5
Point = Mapping[str, float]
OnProgress = Callable[[Arm, str, int], None]
"""Called as ``progress(arm, stage, steps)``: what a stage (``trials``, ``second look``, ``report``) has done."""


@dataclasses.dataclass(frozen=True)
class Cost:
    """What the populations of a stage took, compilation apart."""

    run_seconds: float = 0.0
    compile_seconds: float = 0.0
    compilations: int = 0
    member_steps: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(*(a + b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What an arm came to.

    Attributes:
      arm: as planned.
      tuning: its trials and its choice; None where nothing was tuned.
      test: the metric on test data, by report seed.
      steps: where the report runs were evaluated.
      validation, train_loss: of the report runs.
      tuning_cost, report_cost: of all their populations.
      layout: how members were trained, and ``trial``, where several ways were tried: each one's seconds a step.
    """

    arm: Arm
    tuning: Tuning | None
    test: Float[np.ndarray, " seeds"]
    steps: tuple[int, ...]
    validation: Float[np.ndarray, "seeds evaluations"]
    train_loss: Float[np.ndarray, "seeds evaluations"]
    tuning_cost: Cost
    report_cost: Cost
    layout: str
    trial: Mapping[str, float] | None


def run_arms(
    arms: Sequence[Arm],
    protocol: Protocol,
    *,
    storage: Storage | None = None,
    name: str = "study",
    checkpoints: Path | None = None,
    progress: OnProgress | None = None,
) -> list[Outcome]:
    """Tunes every arm on validation data, then reports what was chosen on test data.

    Nothing here, and nothing that it returns, can choose by test data: a report stage holds the choice that it is of,
    and another choice under its name is refused.

    Args:
      arms: names differ.
      protocol: what they share.
      storage: where trials are kept; by default in memory.
      name: the study's, within the storage.
      checkpoints: a folder for the states of long populations, so that one that is stopped goes on from within.
      progress: told of every evaluation.

    Raises:
      ValueError: names that are not different; a storage that holds another study of this name; a task whose metric is
        finite for no member though its loss is.
    """
    names = [arm.name for arm in arms]
    if len(set(names)) < len(names):
        raise ValueError(f"arms are named {names}: accepted are different names")
    storage = Storage() if storage is None else storage
    runs = [_Run(arm, protocol, storage, f"{name}/{arm.name}", checkpoints, progress) for arm in arms]
    layout: str | int = protocol.layout
    while pending := [run for run in runs if not run.done]:
        moved = False
        for run in pending:
            while run.advance(layout):
                moved = True
                # The first population's trial is the whole study's.
                layout = run.layout
        if not moved:
            time.sleep(POLL_SECONDS)  # what is left is in other hands
    if checkpoints is not None and checkpoints.is_dir() and not any(checkpoints.iterdir()):
        checkpoints.rmdir()
    return [run.outcome() for run in runs]


def check_storage(arms: Sequence[Arm], protocol: Protocol, storage: Storage, *, name: str = "study") -> None:
    """Does a storage hold trials of these arms, or none under their names? Asked before anything is compiled.

    Raises:
      ValueError: it holds another study's; says what differs.
    """
    for arm in arms:
        _Run(arm, protocol, storage, f"{name}/{arm.name}", None, None)


class _Run:
    """One arm on its way."""

    def __init__(
        self,
        arm: Arm,
        protocol: Protocol,
        storage: Storage,
        name: str,
        checkpoints: Path | None,
        progress: OnProgress | None,
    ) -> None:
        self.arm, self.protocol, self.storage, self.name = arm, protocol, storage, name
        self.checkpoints, self.progress = checkpoints, progress
        self.layout: str | int = protocol.layout
        self.trials = self.stage("trials", identity_of(arm, protocol)) if arm.points else None
        self.reports: Stage | None = None
        self.done = False

    def stage(self, name: str, identity: Mapping[str, Any]) -> Stage:
        space, higher = self.arm.space if name == "trials" else None, self.arm.task.higher_is_better
        return self.storage.stage(f"{self.name}/{name}", identity, space, higher_is_better=higher)

    def advance(self, layout: str | int) -> bool:
        """Runs what is next, if there is something that nobody else is at."""
        self.layout = layout
        if self.trials is not None:
            for stage, points in (("trials", self.first()), ("second look", self.second())):
                if points is None or not self.finished(self.trials, points):
                    return points is not None and self.work(self.trials, stage, points)
        if self.reports is None:
            identity = identity_of(self.arm, self.protocol) | {"chosen": self.chosen()}
            self.reports = self.stage("report", identity)
        points = {i: {"seed": float(seed)} for i, seed in enumerate(self.protocol.report)}
        if not self.finished(self.reports, points):
            return self.work(self.reports, "report", points)
        self.done = True
        return False

    def first(self) -> dict[int, Point]:
        """The points that were asked for."""
        return dict(enumerate(self.arm.trials()))

    def second(self) -> dict[int, Point] | None:
        """Those of the second look; None while the first are not finished."""
        assert self.trials is not None
        first, finished = self.first(), self.trials.finished()
        if not first.keys() <= finished.keys():
            return None
        if not self.arm.extra:
            return {}
        ((parameter, values),) = self.arm.points.items()
        rows = np.array([_numbers(finished[i].result["validation"]) for i in first])
        best = best_row(rows, higher_is_better=self.arm.task.higher_is_better)
        found = {}
        scale = (self.arm.space or {}).get(parameter) or scale_of(values)
        for i, value in enumerate(second_look(scale, values, best, self.arm.extra)):
            try:
                self.arm.build({**self.arm.hyperparams, parameter: value})
            except ValueError:
                continue  # beyond what the optimizer takes: its range ends here
            found[len(first) + i] = {parameter: value}
        return found

    def finished(self, stage: Stage, points: Mapping[int, Point]) -> bool:
        return points.keys() <= stage.finished().keys()

    def work(self, stage: Stage, name: str, points: Mapping[int, Point]) -> bool:
        mine = stage.claim(points)
        if not mine:
            return False

        def told(done: int, _: int) -> None:
            stage.beat()
            if self.progress is not None:
                self.progress(self.arm, name, done)

        try:
            chosen = [points[i] for i in mine]
            folder = None if self.checkpoints is None else self.checkpoints / _short(f"{self.name}/{name}/{mine}")
            history = (self.report if name == "report" else self.tune)(chosen, name, folder, told)
            self.layout = history.layout
            for i, result in zip(mine, self.results(history, name, chosen), strict=True):
                scores = _numbers(result.get("validation" if name != "report" else "test"))
                stage.tell(i, result, float(scores.mean()) if np.isfinite(scores).all() else None)
        finally:
            stage.release()
        return True

    def tune(
        self, points: Sequence[Point], stage: str, folder: Path | None, told: Callable[[int, int], None]
    ) -> History:
        seeds, places = self.protocol.selection, places_of(self.arm, self.protocol)
        varied = {key: np.repeat([point[key] for point in points], len(seeds)) for key in self.arm.points}
        history = self.population(
            {**self.arm.hyperparams, **varied},
            [*seeds] * len(points),
            places[0] if stage == "trials" else places[1],
            folder,
            told,
        )
        task = self.arm.task
        last = {name: values[:, -1] for name, values in history.validation.items()}
        if np.isfinite(last["loss"]).any() and not np.isfinite(last[task.metric]).any():
            raise hyper.RunError(
                f"task {task.name!r}: metric {task.metric!r} is finite for none of {last['loss'].size} members, "
                "though the loss is: accepted is a metric that is a number"
            )
        return history

    def report(self, points: Sequence[Point], _: str, folder: Path | None, told: Callable[[int, int], None]) -> History:
        places = places_of(self.arm, self.protocol)[1]
        seeds = [int(point["seed"]) for point in points]
        numbers = {**self.arm.hyperparams, **self.chosen()}
        return self.population(numbers, seeds, places, folder, told, test=True)

    def population(
        self,
        hyperparams: Mapping[str, Any],
        seeds: Sequence[int],
        places: int,
        folder: Path | None,
        told: Callable[[int, int], None],
        *,
        test: bool = False,
    ) -> History:
        arm = self.arm
        return run_population(
            arm.task,
            arm.build,
            hyperparams,
            seed_keys(seeds),
            steps=arm.steps,
            eval_every=max(1, arm.steps // self.protocol.evaluations),
            batch_size=arm.batch_size,
            test=test,
            layout=self.layout,
            capacity=places,
            checkpoint=folder,
            progress=told,
        )

    def results(self, history: History, name: str, points: Sequence[Point]) -> list[dict[str, Any]]:
        """What the storage keeps of each point."""
        metric, members = self.arm.task.metric, history.skipped.size
        validation = history.validation[metric]
        each = members // len(points)
        common = {"layout": history.layout, "trial": history.trial}
        spent = [history.run_seconds, history.compile_seconds, history.compilations, members * self.arm.steps]
        found = []
        for i in range(len(points)):
            # The first of those that ran together carries what they took.
            result: dict[str, Any] = {**common, "cost": spent if i == 0 else [0.0, 0.0, 0, 0]}
            if name == "report":
                result |= {
                    "test": history.test[metric][i],
                    "steps": history.steps,
                    "validation": validation[i],
                    "train_loss": history.train_loss[i],
                }
            else:
                result |= {"validation": validation[i * each : (i + 1) * each, -1]}
            found.append(result)
        return found

    def tuning(self) -> Tuning | None:
        if self.trials is None:
            return None
        finished = self.trials.finished()
        order = sorted(finished)
        return choose(
            {name: [finished[i].values[name] for i in order] for name in self.arm.points},
            self.protocol.selection,
            np.array([_numbers(finished[i].result["validation"]) for i in order]),
            higher_is_better=self.arm.task.higher_is_better,
            asked=count_of(self.arm.points),
        )

    def chosen(self) -> dict[str, float]:
        tuning = self.tuning()
        return {} if tuning is None else dict(tuning.chosen)

    def outcome(self) -> Outcome:
        assert self.reports is not None
        tried = [] if self.trials is None else list(self.trials.finished().values())
        reports = self.reports.finished()
        rows = [reports[i].result for i in sorted(reports)]
        first = (tried or list(reports.values()))[0].result
        return Outcome(
            arm=self.arm,
            tuning=self.tuning(),
            test=_numbers([row["test"] for row in rows]),
            steps=tuple(rows[0]["steps"]),
            validation=np.array([_numbers(row["validation"]) for row in rows]),
            train_loss=np.array([_numbers(row["train_loss"]) for row in rows]),
            tuning_cost=_cost(tried),
            report_cost=_cost(list(reports.values())),
            layout=str(first["layout"]),
            trial=first["trial"],
        )


def _cost(finished: Sequence[Finished]) -> Cost:
    return sum((Cost(*one.result["cost"]) for one in finished), Cost())


def _numbers(values: Any) -> np.ndarray:
    """Numbers as they were stored: null is a run that diverged."""
    return np.array(values, np.float64)


def _short(name: str) -> str:
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()[:16]
