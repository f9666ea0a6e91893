"""Runs the arms of a study by the fair protocol: trials, second look, report.

What an arm does next follows from what is finished, and all that is finished stands in the storage. So a study that
was killed goes on where it was, and several processes share one: each claims what nobody works on.
"""

import functools
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxlab.sweep.fingerprint import fingerprint
from jaxlab.sweep.layout import Layout
from jaxlab.sweep.outcome import Outcome, numbers, outcome_of, results_of, tuning_of, value_of
from jaxlab.sweep.population import History, run_population
from jaxlab.sweep.protocol import Arm, Protocol, identity_of, places_of
from jaxlab.sweep.storage import Finished, Stage, Storage
from jaxlab.sweep.tuning import Tuning, best_row, check_metric, scale_of, second_look, seed_keys

POLL_SECONDS = 0.5
Point = Mapping[str, float]
OnProgress = Callable[[Arm, str, int], None]
"""Called as ``progress(arm, stage, steps)``: what a stage (``trials``, ``second look``, ``report``) has done."""


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
    check_alike(arms)
    storage = Storage() if storage is None else storage
    runs = [_Run(arm, protocol, storage, f"{name}/{arm.name}", checkpoints, progress) for arm in arms]
    # The first population's choice is the whole study's, also when it goes on in another process.
    layout = next((found for run in runs if (found := run.layout_so_far()) is not None), protocol.layout)
    while pending := [run for run in runs if not run.done]:
        moved = False
        for run in pending:
            while run.advance(layout):
                moved = True
                layout = run.layout
        if not moved:
            time.sleep(POLL_SECONDS)  # what is left is in other hands
    if checkpoints is not None and checkpoints.is_dir() and not any(checkpoints.iterdir()):
        checkpoints.rmdir()
    return [run.outcome() for run in runs]


def check_alike(arms: Sequence[Arm]) -> None:
    """Refuses arms that no comparison is fair to: other test data, another metric, more trials or longer runs.

    Raises:
      ValueError: names the arm, what differs, and both values.
    """

    def terms(arm: Arm) -> dict[str, Any]:
        task = arm.task
        metric = {"metric": task.metric, "higher_is_better": task.higher_is_better}
        return {**metric, "test data": fingerprint(task.test), "steps": arm.steps, "trials": arm.total_trials}

    first = terms(arms[0])
    for arm in arms[1:]:
        for name, value in terms(arm).items():
            if value != first[name]:
                raise ValueError(
                    f"arm {arm.name!r} has {name} = {value!r}: accepted is what {arms[0].name!r} has, {first[name]!r}"
                )


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
        self.layout: Layout = protocol.layout
        # The task's data are read and its model is traced for it: once.
        self.identity = identity_of(arm, protocol)
        self.trials = self.stage("trials", self.identity) if arm.points else None
        self.tuning: Tuning | None = None
        self.reports: Stage | None = None
        self.done = False

    def stage(self, name: str, identity: Mapping[str, Any]) -> Stage:
        space, higher = self.arm.space if name == "trials" else None, self.arm.task.higher_is_better
        return self.storage.stage(f"{self.name}/{name}", identity, space, higher_is_better=higher)

    def layout_so_far(self) -> Layout | None:
        """How the trials were trained that are finished; None where none is."""
        finished = {} if self.trials is None else self.trials.finished()
        return next((one.result["layout"] for one in finished.values()), None)

    def advance(self, layout: Layout) -> bool:
        """Runs what is next, if there is something that nobody else is at."""
        self.layout = layout
        if self.trials is not None and self.tuning is None:
            finished = self.trials.finished()
            for stage, points in (("trials", self.first()), ("second look", self.second(finished))):
                if points is None or not points.keys() <= finished.keys():
                    return points is not None and self.work(self.trials, stage, points)
            self.tuning = tuning_of(self.arm, self.protocol, finished)
        if self.reports is None:
            self.reports = self.stage("report", self.identity | {"chosen": self.chosen()})
        points = {i: {"seed": float(seed)} for i, seed in enumerate(self.protocol.report)}
        if not points.keys() <= self.reports.finished().keys():
            return self.work(self.reports, "report", points)
        self.done = True
        return False

    def first(self) -> dict[int, Point]:
        """The points that were asked for."""
        return dict(enumerate(self.arm.trials()))

    def second(self, finished: Mapping[int, Finished]) -> dict[int, Point] | None:
        """Those of the second look; None while the first are not finished."""
        first = self.first()
        if not first.keys() <= finished.keys():
            return None
        if not self.arm.extra:
            return {}
        ((parameter, values),) = self.arm.points.items()
        rows = np.array([numbers(finished[i].result["validation"]) for i in first])
        best = best_row(rows, higher_is_better=self.arm.task.higher_is_better)
        scale = (self.arm.space or {}).get(parameter) or scale_of(values)
        found = second_look(scale, values, best, self.arm.extra, accepts=functools.partial(self.accepts, parameter))
        return {len(first) + i: {parameter: value} for i, value in enumerate(found)}

    def accepts(self, parameter: str, value: float) -> bool:
        """Does the arm's transform take this value?"""
        try:
            self.arm.build({**self.arm.hyperparams, parameter: value})
        except ValueError:
            return False
        return True

    def chosen(self) -> dict[str, float]:
        """The point that is reported."""
        return {} if self.tuning is None else dict(self.tuning.chosen)

    def outcome(self) -> Outcome:
        """What the arm came to; asked when it is done."""
        assert self.reports is not None
        trials = {} if self.trials is None else self.trials.finished()
        # Others may have reported more seeds under this name.
        reports = {i: found for i, found in self.reports.finished().items() if i < len(self.protocol.report)}
        return outcome_of(self.arm, self.tuning, trials, reports)

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
            for i, result in zip(mine, results_of(self.arm, history, len(mine), report=name == "report"), strict=True):
                stage.tell(i, result, value_of(result))
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
        check_metric(self.arm.task, history)
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


def _short(name: str) -> str:
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()[:16]
