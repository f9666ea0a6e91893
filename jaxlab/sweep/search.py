"""Searching a whole space in rounds: points are proposed, trained as one population, and told.

Several processes may work on one search: each takes rounds that nobody works on, all see what all have told. By
itself a process proposes each round from the rounds before it alone, so a search that was killed and begun again
proposes the same points and ends with the same trials.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxlab.core import hyper
from jaxlab.core.space import SearchSpace
from jaxlab.optimizers import Recipe
from jaxlab.sweep.layout import Layout, check
from jaxlab.sweep.population import Progress, run_population
from jaxlab.sweep.protocol import task_identity
from jaxlab.sweep.pruning import SuccessiveHalving
from jaxlab.sweep.sampler import propose, sample
from jaxlab.sweep.storage import Finished, Stage
from jaxlab.sweep.tuning import seed_keys
from jaxlab.tasks import Task
from jaxlab.train.data import check_length

SAMPLERS = ("tpe", "halton", "sobol", "random")
RUNGS = 2
"""Of halving: at a quarter and at half of the steps. Earlier, a ranking says little of the end."""


class Trial(NamedTuple):
    """A point that was tried.

    Attributes:
      point: its number, in the order of the proposals.
      values: its hyperparameters.
      scores: the task's metric on validation data for each selection seed, when it ended; NaN where it diverged.
      steps: that it was trained for; fewer than a whole run if it was ended early.
      cost: ``{"seconds", "compile_seconds", "compilations", "member_steps"}``, its share of its round's.
      layout: of its round.
    """

    point: int
    values: dict[str, float]
    scores: Float[np.ndarray, " seeds"]
    steps: int
    cost: dict[str, float]
    layout: Layout

    @property
    def value(self) -> float | None:
        """The mean over the seeds; None if one diverged."""
        return float(self.scores.mean()) if np.isfinite(self.scores).all() else None


@dataclasses.dataclass(frozen=True)
class Search:
    """What is searched, and how.

    Attributes:
      task: whose metric decides, on validation data.
      recipe: the structure.
      space: of the hyperparameters that vary.
      hyperparams: all others, such as the schedule's lengths.
      seeds: that every point is tried with.
      steps, batch_size: of a run.
      evaluations: of a run.
      round_size: points a round.
      sampler: ``"tpe"``, which learns from earlier rounds, or ``"halton"``, ``"sobol"``, ``"random"``.
      seed: of the proposals.
      halving: end the worse half of a round at a quarter, and of the rest at half of the steps.
      layout: of the populations; later rounds keep that of the first.

    Raises:
      TypeError, ValueError: counts below 1, an unknown sampler, numbers that the recipe refuses at either end of the
        space.
    """

    task: Task
    recipe: Recipe
    space: SearchSpace
    hyperparams: Mapping[str, float]
    seeds: tuple[int, ...]
    steps: int
    batch_size: int
    evaluations: int = 20
    round_size: int = 8
    sampler: str = "tpe"
    seed: int = 0
    halving: bool = True
    layout: Layout = "vmap"

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "evaluations", "round_size"):
            hyper.integer(name, getattr(self, name), at_least=1)
        hyper.integer("seed", self.seed, at_least=0)
        hyper.one_of("sampler", self.sampler, SAMPLERS)
        check(self.layout)
        check_length(self.steps, self.batch_size)
        for end in (0.0, 1.0):
            self.numbers({name: distribution.from_unit(end) for name, distribution in self.space.items()})

    @property
    def identity(self) -> dict[str, Any]:
        """All that trials must have in common to belong to one search; as a storage keeps it."""
        return {
            **task_identity(self.task),
            "optimizer": self.recipe.optimizer,
            "schedule": self.recipe.schedule,
            "static": repr(self.recipe.static),
            "hyperparams": dict(self.hyperparams),
            "space": {name: repr(distribution) for name, distribution in self.space.items()},
            "seeds": list(self.seeds),
            **{name: getattr(self, name) for name in ("steps", "batch_size", "evaluations", "round_size")},
            **{name: getattr(self, name) for name in ("sampler", "seed", "halving")},
        }

    def numbers(self, values: Mapping[str, float]) -> dict[str, float]:
        """A point's numbers with all that do not vary; checked."""
        return self.recipe.hyperparams({**self.hyperparams, **values})

    def round_of(self, index: int, trials: int) -> range:
        """The points of a round when there are so many trials in all."""
        first = index * self.round_size
        return range(first, min(first + self.round_size, trials))

    def proposals(
        self, index: int, finished: Mapping[int, Finished], running: Mapping[int, Mapping[str, float]]
    ) -> dict[int, dict[str, float]]:
        """The points of a round, by what rounds before it have told and others still work on."""
        points = range(index * self.round_size, (index + 1) * self.round_size)
        if self.sampler == "tpe":
            found = propose(
                self.space,
                [(trial.values, trial.value) for point, trial in finished.items() if point < points.start],
                [values for point, values in running.items() if point < points.start],
                len(points),
                seed=self.seed,
                higher_is_better=self.task.higher_is_better,
            )
        else:
            columns = sample(self.space, points.stop, method=self.sampler, seed=self.seed)
            found = [{name: float(column[point]) for name, column in columns.items()} for point in points]
        return dict(zip(points, found, strict=True))

    def work(
        self,
        stage: Stage,
        trials: int,
        *,
        given: Mapping[int, Mapping[str, float]] | None = None,
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> list[Trial]:
        """Takes the first round that has a point which is nobody's, trains and tells it.

        A round of which a part was told before its process died is trained as a whole again, and the rest told: in
        company its points are ranked as they would have been.

        Args:
          stage: of the storage; its identity is this search's.
          trials: how many there are to be in all.
          given: all points, where none is to be proposed.
          folder: for the checkpoints of a round on its way.
          progress: told of every evaluation.

        Returns:
          What was told; empty where there is nothing to do, because all is finished or in the hands of others. What was
          claimed and could not be told is given back.
        """
        finished, running = stage.finished(), stage.running()
        free = [point for point in range(trials) if point not in finished and point not in running]
        if not free:
            return []
        index = free[0] // self.round_size
        whole = self.round_of(index, trials)
        proposed = self.proposals(index, finished, running) if given is None else given
        mine = stage.claim({point: proposed[point] for point in whole if point in free})
        if not mine:
            return []
        told = {point: finished[point].values for point in whole if point in finished}
        together = {**told, **{point: proposed[point] for point in mine}}
        points = {point: dict(together[point]) for point in (whole if len(together) == len(whole) else mine)}
        layout = _layout_of(finished) or self.layout

        def alive(done: int, steps: int) -> None:
            stage.beat()
            if progress is not None:
                progress(done, steps)

        with stage:
            found = self.train(points, layout=layout, folder=folder, progress=alive)
            for trial in found:
                if trial.point in mine:
                    stage.tell(trial.point, _told(trial), trial.value)
        return [trial for trial in found if trial.point in mine]

    def train(
        self,
        points: Mapping[int, Mapping[str, float]],
        *,
        layout: Layout,
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> list[Trial]:
        """Trains points with all seeds as one population."""
        stop = None
        if self.halving:
            metric, higher = self.task.metric, self.task.higher_is_better
            stop = SuccessiveHalving(metric, higher, self.steps, points=len(points), seeds=len(self.seeds))
            stop = dataclasses.replace(stop, rungs=min(RUNGS, stop.rungs or 0))
        history = run_population(
            self.task,
            self.recipe.build,
            {
                **self.hyperparams,
                **{
                    name: np.repeat([values[name] for values in points.values()], len(self.seeds))
                    for name in self.space
                },
            },
            seed_keys(list(self.seeds) * len(points)),
            steps=self.steps,
            eval_every=max(1, self.steps // self.evaluations),
            batch_size=self.batch_size,
            layout=layout,
            capacity=self.round_size * len(self.seeds),
            stop=stop,
            checkpoint=None if folder is None else folder / "-".join(map(str, points)),
            progress=progress,
        )
        # A member that was ended shows its last score where it ended.
        last = np.searchsorted(history.steps, history.ended)
        scores = history.validation[self.task.metric][np.arange(last.size), last].reshape(len(points), -1)
        ended = history.ended.reshape(len(points), -1)
        share = {"seconds": history.run_seconds, "compile_seconds": history.compile_seconds}
        share |= {"compilations": history.compilations}
        return [
            Trial(
                point=point,
                values=dict(points[point]),
                scores=scores[row],
                steps=int(ended[row].max()),
                cost={name: value / len(points) for name, value in share.items()}
                | {"member_steps": int(ended[row].sum())},
                layout=history.layout,
            )
            for row, point in enumerate(points)
        ]


def trials_of(stage: Stage) -> list[Trial]:
    """All that were told, in the order of the points."""
    return [
        Trial(
            point=point,
            values=found.values,
            scores=np.array([np.nan if score is None else score for score in found.result["scores"]]),
            steps=found.result["steps"],
            cost=found.result["cost"],
            layout=found.result["layout"],
        )
        for point, found in stage.finished().items()
    ]


def _told(trial: Trial) -> dict[str, Any]:
    return {"scores": trial.scores, "steps": trial.steps, "cost": trial.cost, "layout": trial.layout}


def _layout_of(finished: Mapping[int, Finished]) -> Layout | None:
    """That of the first round: equal programs give equal bits."""
    return next((trial.result["layout"] for trial in finished.values()), None)
