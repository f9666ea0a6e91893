"""Which learning rate schedule should I use, and does it depend on how long I train?

    python -m experiments.schedules
    python -m experiments.schedules --horizons 200 2000 --batch-size 32 --report-seeds 10

First the learning rates that the founding texts print are computed again; where one is wrong the page says which and
why. Then every schedule trains the same model with the same optimizer, momentum, at several horizons. At each
horizon every schedule tunes its peak on the same rates with the same seeds, and is reported on fresh ones; all lengths
(warm-up, stairs, waves, cool-down) are fixed parts of the horizon. Each horizon is a study of its own, with all pairs
compared by paired t tests under Holm's correction.

Which schedule a run follows is a number like its learning rate (jaxlab.schedules.choose), so that all schedules, rates,
seeds and horizons share one compiled program.

Writes results.json, report.html and the plots. On two CPU cores it takes about a minute.
"""

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path

import jax
from rich.console import Console

from experiments import cli, printed_rates, schedule_shapes, study
from experiments.schedule_shapes import NAMES, build
from jaxlab import optimizers, report, tasks, verdict
from jaxlab.core import hyper
from jaxlab.report.reading import as_comparison, between, measure_of, tuning_of
from jaxlab.report.sections import Chart, Number, Section
from jaxlab.sweep import use_every_core
from jaxlab.verdict.measure import enumerate_words

SHORTEST = 25
"""Steps of the shortest horizon: reduce_on_plateau reads the loss of every 25th part of it."""


@dataclasses.dataclass(frozen=True)
class Config:
    """What to compare."""

    task: str = "digits_mlp"
    """A built-in task, or your own as package.module:object."""
    schedules: tuple[str, ...] = NAMES
    """The arms; constant is always one."""
    horizons: tuple[int, ...] = (100, 300, 1_000)
    """Training steps, one study each."""
    eval_every: int = 20
    """Steps between two points of the learning curves; divides every horizon."""
    learning_rates: tuple[float, ...] = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
    """The peaks that every schedule tries."""
    momentum: float = 0.9
    """Of the optimizer."""
    batch_size: int = 8
    """Examples a step: few, so that the gradient is noisy, as it is where models are large."""
    selection_seeds: int = 4
    """Seeds that each peak is tried with."""
    report_seeds: int = 30
    """Seeds that the chosen peaks are reported on."""
    seed: int = 0
    """Another seed, another study: all seeds follow from it."""
    out: Path | None = None
    """Where to write; by default runs/schedules/<time>."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A configuration, checked and spelled out: each horizon with its arms and protocol."""

    config: Config
    task: tasks.Task
    studies: list[tuple[int, list[study.Arm], study.Protocol]]
    out: Path


def prepare(config: Config) -> Plan:
    """Checks everything that can be checked without training."""
    use_every_core()
    for name in config.schedules:
        hyper.one_of("schedules", name, NAMES)
    every = hyper.integer("eval_every", config.eval_every, at_least=1)
    if not config.horizons or any(hyper.integer("horizons", h, at_least=SHORTEST) % every for h in config.horizons):
        raise ValueError(f"horizons = {config.horizons}: accepted are multiples of eval_every = {every}, at least one")
    if not config.learning_rates:
        raise ValueError("learning_rates = (): accepted is at least one")
    task = tasks.get(config.task)
    studies = []
    for horizon in dict.fromkeys(config.horizons):
        protocol = study.protocol_of(
            config.seed, config.selection_seeds, config.report_seeds, evaluations=horizon // every
        )
        names = dict.fromkeys(("constant", *config.schedules))
        studies.append((horizon, [_arm(name, task, horizon, config) for name in names], protocol))
    out = cli.new_folder(config.out, "schedules")
    tasks.check(task, jax.random.key(studies[0][2].selection[0]))
    return Plan(config, task, studies, out)


def _arm(name: str, task: tasks.Task, horizon: int, config: Config) -> study.Arm:
    return study.Arm(
        name=name,
        task=task,
        build=build,
        points={"learning_rate": config.learning_rates},
        hyperparams={"schedule": NAMES.index(name), "total_steps": horizon, "momentum": config.momentum},
        steps=horizon,
        batch_size=hyper.integer("batch_size", config.batch_size, at_least=1),
        optimizer="momentum",
        schedule=name,
        reference=optimizers.get("momentum").reference,
        state_bytes_per_param=optimizers.get("momentum").state_bytes_per_param,
    )


def run(plan: Plan) -> None:
    """Tunes, reports and compares at every horizon, computes the texts' tables, writes the page."""
    console, began = Console(), time.perf_counter()
    plan.out.mkdir(parents=True, exist_ok=True)
    console.print(f"[bold]{plan.task.name}[/]: {plan.task.description}")
    found = {}
    for horizon, arms, protocol in plan.studies:
        question = f"Which schedule is best for {horizon:,} steps?"
        found[horizon] = study.run(question, arms, protocol, console, noun="schedule")
        console.print(study.table_of(found[horizon]))
    results = cli.findings(
        "schedules",
        "Which learning rate schedule should I use, and does it depend on how long I train?",
        plan.config,
        _verdict(found),
        seconds=time.perf_counter() - began,
        compile_seconds=sum(map(study.compile_seconds, found.values())),
        numbers=[*_numbers(found), *printed_rates.numbers()],
        sections=[_trained(found), schedule_shapes.section(), *printed_rates.sections()],
        studies=list(found.values()),
    )
    cli.finish(results, plan.out, console)


def against_constant(one: report.Study, name: str) -> verdict.Comparison:
    """A schedule against the constant rate, told from the schedule's side."""
    found = between(one, name, "constant")
    assert found is not None
    return as_comparison(found)


def others(one: report.Study) -> list[str]:
    """All arms but the constant rate."""
    return [arm["name"] for arm in one["arms"] if arm["name"] != "constant"]


def _verdict(found: Mapping[int, report.Study]) -> str:
    """How many schedules beat a constant rate at each horizon, and by how much the cosine does."""
    parts = []
    for horizon, one in found.items():
        pairs = [against_constant(one, name) for name in others(one)]
        better = sum(pair.verdict == "better" for pair in pairs)
        parts.append(f"{better} of {len(pairs)} after {horizon:,} steps")
    said = [f"Schedules shown to be better than a constant rate: {enumerate_words(parts)}."]
    for horizon, one in found.items():
        if "cosine" in others(one):
            said.append(f"After {horizon:,} steps {verdict.sentence(against_constant(one, 'cosine'), measure_of(one))}")
    wrong = sum(len(table.wrong) for table in printed_rates.TABLES)
    printed = sum(len(table.printed) for table in printed_rates.TABLES)
    said.append(f"Of the {printed} rates that the texts print, {wrong} are arithmetically wrong.")
    return " ".join(said)


def _numbers(found: Mapping[int, report.Study]) -> list[Number]:
    """The difference of each horizon's cosine, or of the first schedule where there is none, to the constant rate."""
    numbers: list[Number] = []
    for horizon, one in found.items():
        measure = measure_of(one)
        for name in [name for name in ("cosine", *others(one)) if name in others(one)][:1]:
            pair = against_constant(one, name)
            numbers.append(
                {
                    "name": f"{name} - constant, {horizon:,} steps",
                    "value": pair.difference * measure.factor,
                    "interval": [end * measure.factor for end in pair.interval],
                    "unit": measure.difference_unit,
                    "meaning": f"mean difference in test {measure.name}, each with its best peak",
                }
            )
    return numbers


def _trained(found: Mapping[int, report.Study]) -> Section:
    """Every schedule at every horizon: metric, peak, and what it gains."""
    first = next(iter(found.values()))
    measure = measure_of(first)
    columns = [words for horizon in found for words in (f"{horizon:,} steps", "peak")]
    rows: list[list[str | float | None]] = []
    for place, name in enumerate(arm["name"] for arm in first["arms"]):
        cells: list[str | float | None] = [name]
        for one in found.values():
            arm = one["arms"][place]
            cells += [measure.value(arm["report"]["mean"]), tuning_of(arm)["chosen"]]
        rows.append(cells)
    text = (
        "Each schedule with the peak that validation chose for it at that horizon. Differences and verdicts of all "
        "pairs stand below, one study for each horizon."
    )
    shown = [name for name in others(first) if name not in ("wsd_cosine", "wsd_1_sqrt", "cosine_restarts", "step")]
    return {
        "title": "Trained side by side",
        "text": [text],
        "tables": [
            {
                "title": f"Test {measure.name} after so many steps, and the peak that was chosen",
                "columns": ["schedule", *columns],
                "rows": rows,
            }
        ],
        "charts": [_by_horizon(found, shown, measure)] if len(found) > 1 and shown else [],
    }


def _by_horizon(found: Mapping[int, report.Study], names: list[str], measure: verdict.Measure) -> Chart:
    def difference(one: report.Study, name: str) -> float:
        return against_constant(one, name).difference * measure.factor

    return {
        "name": "by-horizon",
        "title": "Difference to a constant rate by the length of training",
        "caption": f"Mean over the report seeds, every peak tuned anew at every horizon. "
        f"{'Higher' if measure.higher_is_better else 'Lower'} is better.",
        "x": "training steps",
        "y": f"difference in test {measure.name} ({measure.difference_unit})",
        "series": [
            {"name": name, "x": [float(h) for h in found], "y": [difference(one, name) for one in found.values()]}
            for name in names
        ],
        "x_log": True,
        "level": ["constant", 0.0],
    }


if __name__ == "__main__":
    cli.main(Config, prepare, run, __doc__)
