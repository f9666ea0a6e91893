"""How many trials fit into a time: measured on the first round, planned once, the same for all who work on a study."""

import dataclasses
import math
import time
from collections.abc import Sequence

from experiments import cli
from jaxlab.sweep.search import Search, trials_of
from jaxlab.sweep.storage import Stage, Storage

WAIT = 0.5
"""Seconds until a process looks again for the plan that another one is making."""


@dataclasses.dataclass
class Budget:
    """Minutes of wall-clock time, from ``began`` to the end of the report.

    What must fit is the least that is ever done: a round of each optimizer, and the report of two recipes.
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
        needed = (len(self.searches) * (start + a_round) + report) / 60
        if needed > self.minutes:
            cli.fail(
                f"budget_minutes = {self.minutes:g}: a round of {search.round_size} trials of each optimizer and the "
                f"report take about {needed:.2g} minutes here; accepted is at least that, or fewer steps, seeds or "
                "trials a round"
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
        report = 2 * (compiling + self.report_seeds * steps * a_round / member_steps)
        left = 60 * self.minutes - (time.perf_counter() - self.began) - report
        return size * (1 + max(0, math.floor(left / a_round)))
