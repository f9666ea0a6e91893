"""What an arm came to, and how a storage keeps it: a result for each trial and each report run."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxlab.sweep.population import History
from jaxlab.sweep.protocol import Arm, Protocol
from jaxlab.sweep.storage import Finished
from jaxlab.sweep.tuning import Tuning, choose, count_of


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


def results_of(arm: Arm, history: History, points: int, *, report: bool) -> list[dict[str, Any]]:
    """What the storage keeps of each point of a population: a trial with all its seeds, or a report run."""
    metric, members = arm.task.metric, history.skipped.size
    validation = history.validation[metric]
    each = members // points
    spent = [history.run_seconds, history.compile_seconds, history.compilations, int(history.ended.sum())]
    found = []
    for i in range(points):
        # The first of those that ran together carries what they took.
        cost = spent if i == 0 else [0.0, 0.0, 0, 0]
        result: dict[str, Any] = {"layout": history.layout, "trial": history.trial, "cost": cost}
        if report:
            result |= {"test": history.test[metric][i], "steps": history.steps}
            result |= {"validation": validation[i], "train_loss": history.train_loss[i]}
        else:
            result |= {"validation": validation[i * each : (i + 1) * each, -1]}
        found.append(result)
    return found


def value_of(result: Mapping[str, Any]) -> float | None:
    """The number that a result comes to, for the storage's own tables; None where a run diverged."""
    scores = numbers(result["test"] if "test" in result else result["validation"])
    return float(scores.mean()) if np.isfinite(scores).all() else None


def tuning_of(arm: Arm, protocol: Protocol, finished: Mapping[int, Finished]) -> Tuning:
    """What an arm's trials chose."""
    order = sorted(finished)
    return choose(
        {name: [finished[i].values[name] for i in order] for name in arm.points},
        protocol.selection,
        np.array([numbers(finished[i].result["validation"]) for i in order]),
        higher_is_better=arm.task.higher_is_better,
        asked=count_of(arm.points),
    )


def outcome_of(
    arm: Arm, tuning: Tuning | None, trials: Mapping[int, Finished], reports: Mapping[int, Finished]
) -> Outcome:
    """An arm's outcome from all that is stored of it."""
    rows = [reports[i].result for i in sorted(reports)]
    first = next(iter((trials or reports).values())).result
    return Outcome(
        arm=arm,
        tuning=tuning,
        test=numbers([row["test"] for row in rows]),
        steps=tuple(rows[0]["steps"]),
        validation=np.array([numbers(row["validation"]) for row in rows]),
        train_loss=np.array([numbers(row["train_loss"]) for row in rows]),
        tuning_cost=_cost(list(trials.values())),
        report_cost=_cost(list(reports.values())),
        layout=str(first["layout"]),
        trial=first["trial"],
    )


def numbers(values: Any) -> np.ndarray:
    """Numbers as they were stored: null is a run that diverged."""
    return np.array(values, np.float64)


def _cost(finished: Sequence[Finished]) -> Cost:
    return sum((Cost(*one.result["cost"]) for one in finished), Cost())
