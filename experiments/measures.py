"""What the runs of a study say beside the final metric, as results.json has it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxlab import tasks, verdict
from jaxlab.sweep import Outcome, Protocol


def of_arm(outcome: Outcome) -> dict[str, Any]:
    """Divergence rate, and where something was tuned: sensitivity, best of k, the variance of the search."""
    task, tuning = outcome.arm.task, outcome.tuning
    higher = task.higher_is_better
    runs = outcome.test if tuning is None else np.concatenate([tuning.validation.ravel(), outcome.test])
    found: dict[str, Any] = {
        "divergence": verdict.divergence_rate(runs.tolist())._asdict(),
        "steps_to_target": _steps_to_target(outcome, task),
    }
    if tuning is None:
        return found
    means = np.array([row.mean() if np.isfinite(row).all() else np.nan for row in tuning.validation])
    # A second look places its trials beside the best: with them among the draws, a small search would look too good.
    found["best_of"] = verdict.expected_best(means[tuning.first], higher)
    if tuning.points.keys() == {"learning_rate"} and len(means) > 1:
        found["sensitivity"] = verdict.lr_sensitivity(tuning.values, means, higher)._asdict()
    variance = verdict.study_variance(tuning.validation[tuning.first], outcome.test, higher)
    found["study"] = {
        "seed_sd": variance.seed_sd,
        "search_sd": variance.search_sd,
        "interval": variance.interval,
    }
    return found


def _steps_to_target(outcome: Outcome, task: tasks.Task) -> dict[str, Any] | None:
    if task.target is None:
        return None
    steps = verdict.steps_to_target(outcome.steps, outcome.validation, task.target, task.higher_is_better)
    middle = verdict.median_steps(steps)
    return {
        "target": task.target,
        "steps": [int(one) if np.isfinite(one) else None for one in steps],
        "median": middle.median,
        "interval": middle.interval,
    }


def of_pair(pair: verdict.Comparison, scores: Mapping[str, Sequence[float]], task: tasks.Task) -> dict[str, Any]:
    """A comparison with the probability that its first arm is better on a fresh seed."""
    better = verdict.p_better(scores[pair.a], scores[pair.b], task.higher_is_better)
    return {**dataclasses.asdict(pair), "p_better": better.probability, "p_better_interval": better.interval}


def power(outcomes: Sequence[Outcome], protocol: Protocol) -> dict[str, Any] | None:
    """What the report runs can show; the spread is that of the chosen points' tuning runs."""
    seeds, arms = len(protocol.report), len(outcomes)
    if seeds < 2 or arms < 2:
        return None
    pairs = arms * (arms - 1) // 2
    effect = verdict.detectable_effect(seeds, pairs)
    rows = {outcome.arm.name: chosen_row(outcome) for outcome in outcomes}
    sd = verdict.paired_sd({name: row for name, row in rows.items() if row is not None})
    return {"seeds": seeds, "pairs": pairs, "effect": effect, "difference": None if sd is None else effect * sd}


def chosen_row(outcome: Outcome) -> list[float] | None:
    """The chosen point's validation metric, by selection seed."""
    tuning = outcome.tuning
    if tuning is None:
        return None
    trials = list(zip(*tuning.points.values(), strict=True))
    return tuning.validation[trials.index(tuple(tuning.chosen.values()))].tolist()
