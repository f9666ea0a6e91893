"""A comparison by the fair protocol (:mod:`jaxlab.sweep.protocol`), on the console and as an entry of results.json."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from experiments import measures
from jaxlab import report, verdict
from jaxlab.sweep import (
    Arm,
    History,
    Outcome,
    Protocol,
    Storage,
    Tuning,
    protocol_of,
    recipe_arm,
    run_arms,
    run_population,
    seed_keys,
    step_cost,
)
from jaxlab.sweep.outcome import Cost
from jaxlab.sweep.protocol import places_of
from jaxlab.verdict.measure import enumerate_few

__all__ = [
    "Arm",
    "Protocol",
    "advance",
    "compile_seconds",
    "progress_bar",
    "protocol_of",
    "recipe_arm",
    "reported_again",
    "run",
    "table_of",
]


def run(
    question: str,
    arms: Sequence[Arm],
    protocol: Protocol,
    console: Console,
    *,
    noun: str = "optimizer",
    storage: Storage | None = None,
    name: str = "study",
    checkpoints: Path | None = None,
) -> report.Study:
    """Tunes, reports and compares the arms, with a progress bar; returns the study as results.json has it.

    Args:
      question: that the study answers.
      arms, protocol, storage, name, checkpoints: as for :func:`jaxlab.sweep.run_arms`.
      console: for the progress.
      noun: what the verdict calls an arm.
    """
    with progress_bar(console) as bar:
        total = bar.add_task("", total=sum(arm.steps * (1 + bool(arm.points) + bool(arm.extra)) for arm in arms))
        done: dict[tuple[str, str], int] = {}
        places = {arm.name: i for i, arm in enumerate(arms, 1)}

        def told(arm: Arm, stage: str, steps: int) -> None:
            done[arm.name, stage] = steps
            where = f"{arm.name} ({places[arm.name]} of {len(arms)}): {stage}"
            bar.update(total, description=where, completed=sum(done.values()))

        outcomes = run_arms(arms, protocol, storage=storage, name=name, checkpoints=checkpoints, progress=told)
        bar.update(total, description="done", completed=bar.tasks[total].total)
    task, first = arms[0].task, outcomes[0]
    scores = {outcome.arm.name: outcome.test.tolist() for outcome in outcomes}
    pairs = verdict.comparisons(scores, task.higher_is_better, protocol.margin)
    measure = verdict.Measure(task.metric, task.unit, task.higher_is_better)
    found: dict[str, Any] = {
        "question": question,
        "task": report.task_entry(task),
        "arms": [_entry(outcome, protocol) for outcome in outcomes],
        "comparisons": [measures.of_pair(pair, scores, task) for pair in pairs],
        "verdict": verdict.overall(scores, pairs, measure, noun=noun) + _not_tuned(outcomes),
        "margin": protocol.margin,
        "steps": arms[0].steps,
        "trials": arms[0].total_trials,
        "power": measures.power(outcomes, protocol),
        "program": {
            "layout": first.layout,
            "trial": first.trial,
            "devices": jax.local_device_count(),
            "backend": jax.default_backend(),
            "compilations": sum(entry.tuning_cost.compilations + entry.report_cost.compilations for entry in outcomes),
        },
    }
    return cast("report.Study", found)


def reported_again(arm: Arm, found: report.Study, protocol: Protocol) -> History:
    """The report's runs of an arm once more, in the program that they had: for what a study does not keep of them."""
    entry = next(entry for entry in found["arms"] if entry["name"] == arm.name)
    return run_population(
        arm.task,
        arm.build,
        entry["hyperparams"],
        seed_keys(protocol.report),
        steps=arm.steps,
        eval_every=max(1, arm.steps // protocol.evaluations),
        batch_size=arm.batch_size,
        test=True,
        layout=protocol.layout,
        capacity=places_of(arm, protocol)[1],
    )


def _not_tuned(outcomes: Sequence[Outcome]) -> str:
    """Whose best value lies at an end of what was tried: said with the verdict, which may be unfair to them."""
    names = [outcome.arm.name for outcome in outcomes if outcome.tuning is not None and outcome.tuning.edges]
    if not names:
        return ""
    ends = "the best value that it tried is" if len(names) == 1 else "the best values that they tried are"
    return f" Not tuned: {enumerate_few(names)}; {ends} at the end of the range, and better ones may lie beyond."


def compile_seconds(study: report.Study) -> float:
    """What all arms spent in compilation."""
    return sum(arm["cost"]["compile_seconds"] for arm in study["arms"])


def _entry(outcome: Outcome, protocol: Protocol) -> Mapping[str, Any]:
    """An arm's part of results.json."""
    arm, tuning, test = outcome.arm, outcome.tuning, outcome.test
    finite = test[np.isfinite(test)]
    return {
        "name": arm.name,
        "optimizer": arm.optimizer,
        "schedule": arm.schedule,
        "reference": arm.reference,
        "hyperparams": _chosen(outcome),
        "static": dict(arm.static),
        "tuning": None if tuning is None else _tuning(tuning),
        "report": {
            "seeds": list(protocol.report),
            "test": test.tolist(),
            "mean": finite.mean() if finite.size else None,
            "interval": verdict.t_interval(test),
            "diverged": test.size - finite.size,
        },
        "curves": {"steps": outcome.steps, "validation": outcome.validation, "train_loss": outcome.train_loss},
        "cost": _costs(outcome),
        "measures": measures.of_arm(outcome),
    }


def _tuning(tuning: Tuning) -> dict[str, Any]:
    asked = np.array(tuning.values)[tuning.first]
    return {
        "parameter": tuning.parameter,
        "values": tuning.values,
        "seeds": tuning.seeds,
        "validation": tuning.validation,
        "chosen": tuning.chosen[tuning.parameter],
        "at_edge": tuning.parameter in tuning.edges,
        "points": dict(tuning.points),
        "edges": list(tuning.edges),
        "asked": [asked.min(), asked.max()],
        "widened": tuning.widened,
    }


def _costs(outcome: Outcome) -> dict[str, Any]:
    arm, tuning, whole = outcome.arm, outcome.tuning_cost, outcome.tuning_cost + outcome.report_cost
    step = step_cost(arm.task, arm.build, _chosen(outcome), arm.batch_size)
    return {
        "seconds_tuning": _seconds(tuning),
        "seconds_report": _seconds(outcome.report_cost),
        "compile_seconds": whole.compile_seconds,
        "compilations": whole.compilations,
        "seconds_per_step": whole.run_seconds / whole.member_steps,
        "flops_per_step": step.flops,
        "params": step.params,
        "state_bytes": step.state_bytes,
        "state_bytes_per_param": arm.state_bytes_per_param,
    }


def _seconds(cost: Cost) -> float:
    return cost.run_seconds + cost.compile_seconds


def _chosen(outcome: Outcome) -> dict[str, float]:
    return {**outcome.arm.hyperparams, **({} if outcome.tuning is None else outcome.tuning.chosen)}


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
        chosen = [] if tuning is None else [f"{tuning['chosen']:.3g}" + (" (not tuned)" if tuning["at_edge"] else "")]
        table.add_row(arm["name"], *chosen, mean, interval, str(found["diverged"]))
    return table


def progress_bar(console: Console, noun: str = "steps") -> Progress:
    """Steps done, or whatever is counted, time gone, time to go."""
    columns = (TextColumn("{task.description:20}"), BarColumn(), MofNCompleteColumn(), TextColumn(noun))
    clocks = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    # Between two evaluations may lie a compilation: only over many is the speed that of what is to come.
    return Progress(*columns, *clocks, console=console, speed_estimate_period=600.0)


def advance(bar: Progress, total: Any) -> Callable[[int, int], None]:
    """Moves the bar to where a population is."""
    start = bar.tasks[total].completed
    return lambda done, _: bar.update(total, completed=start + done)
