"""Working on the rounds of several searches until all are finished, and how many fit into a given time."""

import contextlib
import dataclasses
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from experiments import cli
from experiments import tune_page as page
from jaxlab.sweep.population import Progress
from jaxlab.sweep.ranking import best_so_far
from jaxlab.sweep.search import Search, Trial, trials_of
from jaxlab.sweep.storage import Stage, Storage

WAIT = 0.5
"""Seconds until a process that waits for another one looks again."""


class Job(NamedTuple):
    """So many trials of a search, proposed or given."""

    search: Search
    stage: Stage
    trials: int
    given: dict[int, dict[str, float]] | None = None


def finish(jobs: Sequence[Job], out: Path, console: Console, progress: Progress | None = None) -> list[list[Trial]]:
    """Works on rounds, the optimizers in turn, until all trials are finished, by whomever."""
    waiting = False
    with contextlib.ExitStack() as held:
        for job in jobs:
            held.enter_context(job.stage)
        while True:
            idle = True
            for search, stage, trials, given in jobs:
                name, final = search.recipe.optimizer, " again" if given else ""
                folder = out / "rounds" / f"{name}{final}"
                if search.work(stage, trials, given=given, folder=folder, progress=progress):
                    idle = waiting = False
                    done = trials_of(stage)
                    measure = page.measure_of(search.task)
                    best = f"best validation {measure.name} {measure.value(best_so_far(search, done)[-1])}"
                    console.print(f"{name}: {len(done)} of {trials} trials{final}, {best}")
            found = [[trial for trial in trials_of(job.stage) if trial.point < job.trials] for job in jobs]
            if all(len(trials) == job.trials for trials, job in zip(found, jobs, strict=True)):
                return found
            if idle:
                if not waiting:
                    console.print("waiting for the trials that other processes work on")
                waiting = True
                time.sleep(WAIT)


@dataclasses.dataclass
class Budget:
    """Minutes of wall-clock time, from ``began`` to the end of the report.

    What must fit is the least that is ever done: a round and a final of each optimizer, the report of two recipes.
    """

    minutes: float
    searches: Sequence[Search]
    stages: Sequence[Stage]
    report_seeds: int
    began: float
    marks: list[float] = dataclasses.field(default_factory=list)

    def watch(self, done: int, steps: int) -> None:
        """Told of every evaluation; ends the run once the second of all shows that the budget is too small."""
        self.marks.append(time.perf_counter() - self.began)
        if len(self.marks) != 2 or any(stage.finished() for stage in self.stages):
            return
        search = self.searches[0]
        # Before the first mark programs were compiled, after it there were steps alone.
        stretch = self.marks[1] - self.marks[0]
        a_round = stretch * steps / (done / 2)
        start = max(0.0, self.marks[0] - stretch)
        report = 2 * (start + a_round * self.report_seeds / (search.round_size * len(search.seeds)))
        # A final has as many runs as a round.
        needed = (len(self.searches) * (start + 2 * a_round) + report) / 60
        if needed > self.minutes:
            cli.fail(
                f"budget_minutes = {self.minutes:g}: a round of {search.round_size} trials and a final of each "
                f"optimizer, and the report, take about {needed:.2g} minutes here; accepted is at least that, or fewer "
                "steps, seeds or trials a round"
            )

    def trials(self, storage: Storage, name: str, most: int | None) -> int:
        """Trials of each optimizer that fit, in whole rounds; the first to ask decides, and the storage keeps it.

        Args:
          storage: in which the first rounds are finished.
          name: of the study.
          most: trials that were asked for; None: any number.
        """
        optimizers = [search.recipe.optimizer for search in self.searches]
        with storage.stage(f"{name}/plan", {"minutes": self.minutes, "most": most, "optimizers": optimizers}) as plan:
            while 0 not in plan.finished():
                if plan.claim({0: {}}):
                    count = self._fitting()
                    plan.tell(0, {"trials": count if most is None else min(count, most)}, None)
                else:
                    time.sleep(WAIT)
            return plan.finished()[0].result["trials"]

    def _fitting(self) -> int:
        size, steps = self.searches[0].round_size, self.searches[0].steps
        costs = [[trial.cost for trial in trials_of(stage) if trial.point < size] for stage in self.stages]
        a_round = sum(cost["seconds"] for one in costs for cost in one)
        member_steps = sum(cost["member_steps"] for one in costs for cost in one)
        compiling = max(sum(cost["compile_seconds"] for cost in one) for one in costs)
        a_run = steps * a_round / member_steps
        report = 2 * (compiling + self.report_seeds * a_run)
        final = sum(size * len(search.seeds) for search in self.searches) * a_run
        left = 60 * self.minutes - (time.perf_counter() - self.began) - final - report
        return size * (1 + max(0, math.floor(left / a_round)))
