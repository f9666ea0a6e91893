"""What plots and page ask of results."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxlab import verdict
from jaxlab.report.study import Arm, Comparison, Study, Tuning


def numbers(values: Sequence[float | None] | Sequence[Sequence[float | None]]) -> Float[np.ndarray, "..."]:
    """Values as an array, NaN where there is none.

    >>> numbers([0.5, None]).tolist()
    [0.5, nan]
    """
    return np.array(values, np.float64)


def measure_of(study: Study) -> verdict.Measure:
    """The task's metric."""
    task = study["task"]
    return verdict.Measure(task["metric"], task["unit"], higher_is_better=task["higher_is_better"])


def tuning_of(arm: Arm) -> Tuning:
    """How an arm of a tuned study was tuned.

    Raises:
      ValueError: it was not.
    """
    if arm["tuning"] is None:
        raise ValueError(f"arm {arm['name']!r} was not tuned")
    return arm["tuning"]


def tunings(study: Study) -> list[Tuning]:
    """How each arm was tuned; empty where none was."""
    return [] if study["arms"][0]["tuning"] is None else [tuning_of(arm) for arm in study["arms"]]


def at_edges(tuning: Tuning) -> list[str]:
    """The hyperparameters of which the chosen value is at an edge of what was tried: the arm is not tuned."""
    return tuning.get("edges", [tuning["parameter"]] if tuning["at_edge"] else [])


def points_of(tuning: Tuning) -> dict[str, Float[np.ndarray, " trials"]]:
    """Every hyperparameter that was varied, with its value in each trial."""
    points = tuning.get("points") or {tuning["parameter"]: tuning["values"]}
    return {name: np.array(values, np.float64) for name, values in points.items()}


def first_range(tuning: Tuning) -> tuple[float, float] | None:
    """The ends of the grid that a search began with, where it went on beyond one of them; else None.

    None, too, in a file that does not say where it began.
    """
    if "asked" not in tuning:
        return None
    low, high = tuning["asked"]
    return (low, high) if min(tuning["values"]) < low or max(tuning["values"]) > high else None


def chosen_trial(arm: Arm) -> int:
    """Which trial's hyperparameters the report runs had: the one with which most of its numbers agree."""
    points, tuning = points_of(tuning_of(arm)), tuning_of(arm)
    reported = {**arm["hyperparams"], tuning["parameter"]: tuning["chosen"]}
    same = [np.isclose(values, reported.get(name, math.nan), atol=0.0) for name, values in points.items()]
    return int(np.sum(same, axis=0).argmax())


def is_full(study: Study) -> bool:
    """Whether some arm varied several hyperparameters at once."""
    return any(len(points_of(tuning)) > 1 for tuning in tunings(study))


def steps_of(study: Study) -> int:
    """Training steps of a run."""
    return study.get("steps") or max(arm["curves"]["steps"][-1] for arm in study["arms"])


def ranked(study: Study) -> list[Arm]:
    """The arms, best first; those that diverged more often stand behind those that did so less."""
    arms = {arm["name"]: arm for arm in study["arms"]}
    tests = {name: arm["report"]["test"] for name, arm in arms.items()}
    return [arms[name] for name in verdict.ranking(tests, study["task"]["higher_is_better"])]


def finished_mean(arm: Arm) -> float | None:
    """The mean over the report runs that did not diverge; None if all did."""
    values = numbers(arm["report"]["test"])
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else None


def between(study: Study, a: str, b: str) -> Comparison | None:
    """The comparison of a with b, told from a's side; None where the study did not make it."""
    for found in study["comparisons"]:
        if (found["a"], found["b"]) == (a, b):
            return found
        if (found["a"], found["b"]) == (b, a):
            return _flipped(found)
    return None


def as_comparison(found: Comparison) -> verdict.Comparison:
    """A comparison as :mod:`jaxlab.verdict` has it."""
    low, high = found["interval"]
    return verdict.Comparison(
        a=found["a"],
        b=found["b"],
        difference=math.nan if found["difference"] is None else found["difference"],
        interval=(-math.inf if low is None else low, math.inf if high is None else high),
        p=found["p"],
        p_holm=found["p_holm"],
        verdict=found["verdict"],
        seeds_needed=found["seeds_needed"],
    )


def _flipped(found: Comparison) -> Comparison:
    turned = as_comparison(found).flipped()
    low, high = (end if math.isfinite(end) else None for end in turned.interval)
    other = Comparison(
        a=turned.a,
        b=turned.b,
        difference=turned.difference if math.isfinite(turned.difference) else None,
        interval=[low, high],
        p=turned.p,
        p_holm=turned.p_holm,
        verdict=turned.verdict,
        seeds_needed=turned.seeds_needed,
    )
    if "p_better" in found:
        other["p_better"] = 1.0 - found["p_better"]
    if "p_better_interval" in found:
        other["p_better_interval"] = [1.0 - end for end in reversed(found["p_better_interval"])]
    return other
