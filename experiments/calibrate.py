"""Can the lab's verdicts be trusted?

    python -m experiments.calibrate
    python -m experiments.calibrate --task breast_cancer --steps 100

Verdicts are put on trial where the truth is known, with whole comparisons as experiments.compare makes them.
No difference: eight names of one recipe, no two runs with the same seed, so every winner is false. A real
difference: the recipe against itself with a smaller learning rate, on shared seeds; its size is measured on many
other runs and the chance to find it is printed before it is looked for. A rule known to be wrong, the percentile
bootstrap, is tried on the same runs and must be caught. Exit code 1 if any of this comes out otherwise.

A gate holds if the exact 95% binomial interval of a rate agrees with what was promised. By chance alone a right lab
fails at the power with about one seed in twenty, and at false winners with one in forty: look at another --seed
before a failure is believed. The predicted power supposes normal differences; where they are skewed, it says so.

Writes results.json, report.html and the plots. On two CPU cores the default (the digits, an MLP, 50 steps, 13,000
runs) takes a minute and a half, the second command half a minute.
"""

import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float
from rich.console import Console

from experiments import calibrate_gates as gates
from experiments import calibrate_page as page
from experiments import cli, study
from jaxlab import tasks, verdict
from jaxlab.core import hyper
from jaxlab.sweep import run_population, seed_keys, use_every_core
from jaxlab.train.data import check_length

SEEDS = 100_000
"""Each calibration has so many seeds of its own."""
PLACES = 1_000
"""Runs trained together, in a program that all of them share."""
PILOT = 100
"""Runs that each smaller learning rate is tried with."""
PARTS = (0.9, 0.8, 0.7, 0.65, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
"""Of the learning rate: what may be planted."""
WANTED_POWER = 0.75
"""Neither found always nor hardly ever."""
SEED_COUNTS = (3, 5, 10, 20)
"""Seeds of a comparison, for the curve of the power."""


@dataclasses.dataclass(frozen=True)
class Config:
    """What to calibrate with."""

    task: str = "digits_mlp"
    """A built-in task, or your own as package.module:object; trained by its own recipe."""
    steps: int = 50
    """Of each run; the recipe's lengths are scaled with it."""
    repetitions: int = 200
    """Of either trial."""
    names: int = 8
    """That the same recipe goes by."""
    seeds: int = 5
    """Report seeds of every comparison."""
    planted: float | None = None
    """The other recipe's learning rate, as a part of the recipe's own; by default a smaller one, by a pilot."""
    large: int = 2_000
    """Pairs of runs that the size of the planted difference is measured on."""
    seed: int = 0
    """Another seed, another calibration: all seeds follow from it."""
    out: Path | None = None
    """Where to write; by default runs/calibrate/<time>."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A configuration, checked and spelled out."""

    config: Config
    task: tasks.Task
    hyperparams: dict[str, float]
    out: Path


def prepare(config: Config) -> Plan:
    """Checks everything that can be checked without training."""
    use_every_core()
    hyper.integer("repetitions", config.repetitions, at_least=100)
    hyper.integer("names", config.names, at_least=2, at_most=26)
    # With many seeds the bootstrap is right, too, and nothing is left that must be caught.
    hyper.integer("seeds", config.seeds, at_least=3, at_most=8)
    hyper.integer("seed", config.seed, at_least=0, at_most=2**32 // SEEDS - 1)
    same = config.repetitions * config.names * config.seeds
    if same + config.repetitions * config.seeds > SEEDS:
        raise ValueError(
            f"repetitions = {config.repetitions}, names = {config.names}, seeds = {config.seeds}: "
            f"accepted are {SEEDS:,} runs, repetitions x (names + 1) x seeds"
        )
    hyper.integer("large", config.large, at_least=PILOT, at_most=same - PILOT)
    if config.planted is not None and hyper.number("planted", config.planted, "(0, inf)") == 1.0:
        raise ValueError("planted = 1.0: accepted is a number above 0 other than 1, or nothing differs")
    task = tasks.get(config.task)
    steps = hyper.integer("steps", config.steps, at_least=1)
    check_length(steps, task.batch_size)
    hyperparams = task.recipe.hyperparams(task.default_hyperparams(steps))
    if hyperparams.get("learning_rate", 0.0) == 0.0:
        raise ValueError(f"task {task.name!r} has no learning rate in its recipe: accepted is a number above 0")
    for part in PARTS if config.planted is None else (config.planted,):
        task.recipe.build({**hyperparams, "learning_rate": part * hyperparams["learning_rate"]})
    tasks.check_optimizer(task, task.recipe)
    out = cli.new_folder(config.out, "calibrate")
    tasks.check(task, jax.random.key(SEEDS * config.seed))
    return Plan(config, task, hyperparams, out)


def run(plan: Plan) -> None:
    """Trains, compares, writes the page; exit code 1 if a gate failed."""
    console, began = Console(), time.perf_counter()
    plan.out.mkdir(parents=True, exist_ok=True)
    console.print(f"[bold]{plan.task.name}[/]: {plan.task.description}")
    lab = Lab(plan, console)
    scores = lab.same_recipe()
    finite(scores[plan.task.metric])
    found = gates.Found(
        measure=verdict.Measure(plan.task.metric, plan.task.unit, plan.task.higher_is_better),
        same=[
            same_recipe(name, values, plan.task) for name, values in gates.distinct(scores, plan.task.metric).items()
        ],
        planted=planted(lab, scores[plan.task.metric].reshape(-1), console),
        seeds=plan.config.seeds,
        names=plan.config.names,
        runs=lab.runs,
        learning_rate=plan.hyperparams["learning_rate"],
    )
    results = cli.findings(
        "calibrate",
        "Can the lab's verdicts be trusted?",
        plan.config,
        page.verdict_of(found),
        seconds=time.perf_counter() - began,
        compile_seconds=lab.compile_seconds,
        numbers=page.numbers(found),
        sections=page.sections(found),
    )
    for gate in found.gates():
        console.print(f"{'holds' if gate.holds else 'FAILS'}: {gate.sentence}", highlight=False)
    cli.finish(results, plan.out, console)
    failed = [gate.sentence for gate in found.gates() if not gate.holds]
    if failed:
        sys.exit(f"failed: {' '.join(failed)}")


class Lab:
    """Trains runs of the recipe, and counts them."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self.plan, self.console = plan, console
        self.first = SEEDS * plan.config.seed
        self.runs, self.compile_seconds = 0, 0.0

    def same_recipe(self) -> dict[str, Float[np.ndarray, "repetitions names seeds"]]:
        """Every test metric of runs that share nothing but the recipe."""
        config = self.plan.config
        shape = config.repetitions, config.names, config.seeds
        found = self.train("one recipe, many names", 1.0, range(self.first, self.first + int(np.prod(shape))))
        return {name: values.reshape(shape) for name, values in found.items()}

    def train(
        self, title: str, part: float | Float[np.ndarray, " runs"], seeds: Sequence[int]
    ) -> dict[str, Float[np.ndarray, " runs"]]:
        """Every test metric of runs with a part of the learning rate, NaN where a run diverged."""
        task, steps = self.plan.task, self.plan.config.steps
        rates = self.plan.hyperparams["learning_rate"] * np.broadcast_to(part, len(seeds))
        parts = []
        with study.progress_bar(self.console) as bar:
            total = bar.add_task(title, total=steps * -(-len(seeds) // PLACES))
            for start in range(0, len(seeds), PLACES):
                turn = slice(start, start + PLACES)
                history = run_population(
                    task,
                    task.recipe.build,
                    {**self.plan.hyperparams, "learning_rate": rates[turn]},
                    seed_keys(seeds[turn]),
                    steps=steps,
                    capacity=PLACES,
                    test=True,
                    progress=study.advance(bar, total),
                )
                self.compile_seconds += history.compile_seconds
                parts.append(history.test)
        self.runs += len(seeds)
        return {name: np.concatenate([np.asarray(one[name], np.float64) for one in parts]) for name in parts[0]}


def same_recipe(metric: str, scores: Float[np.ndarray, "repetitions names seeds"], task: tasks.Task) -> gates.Same:
    """One recipe under several names: the winners that each rule calls, all of them false."""
    higher = task.higher_is_better and metric == task.metric
    names = scores.shape[1]
    pairs = scores[:, : names - names % 2].reshape(-1, 2, scores.shape[-1])
    alone = [pair for repetition in pairs for pair in compare(repetition, higher)]
    together = [compare(repetition, higher) for repetition in scores]
    return gates.Same(
        metric=metric,
        pair=gates.Rate.of([one.verdict in ("better", "worse") for one in alone]),
        every=gates.Rate.of([any(one.verdict in ("better", "worse") for one in found) for found in together]),
        uncorrected=gates.Rate.of([any(one.p < gates.LIMIT for one in found) for found in together]),
        bootstrap=gates.Rate.of(gates.bootstrap_winners(pairs[:, 0] - pairs[:, 1])),
        covered=gates.Rate.of([holds(one.interval, 0.0) for one in alone]),
        p=np.array([one.p for one in alone]),
        p_every=np.array([min(one.p_holm for one in found) for found in together]),
        differences=pairs[:, 0] - pairs[:, 1],
    )


def planted(lab: Lab, base: Float[np.ndarray, " runs"], console: Console) -> gates.Planted:
    """A real difference: measured on many runs, its power said, then looked for on others.

    Args:
      base: the metric of the recipe's own runs, in the order of their seeds. The pilot repeats the first of them
        with smaller learning rates, the measurement the next; the repetitions have seeds of their own.
    """
    config, metric = lab.plan.config, lab.plan.task.metric
    higher = lab.plan.task.higher_is_better
    part, pilot = choose(lab, base[:PILOT]) if config.planted is None else (config.planted, {})
    end = PILOT + config.large
    difference = lab.train("measures a difference", part, range(lab.first + PILOT, lab.first + end))[metric]
    effect = gates.Effect.of(finite(difference) - base[PILOT:end])
    if not effect.deviation > 0.0:
        cli.fail(f"planted = {part:g}: makes the same difference in every pair of runs, so there is no chance in it")
    console.print(f"Planted: {effect.sentence(lab.plan.hyperparams['learning_rate'], part, config.seeds)}")

    fresh = range(lab.first + base.size, lab.first + base.size + config.repetitions * config.seeds)
    parts = np.repeat([part, 1.0], len(fresh))
    scores = finite(lab.train("looks for it", parts, [*fresh, *fresh])[metric]).reshape(2, -1)

    def comparisons(seeds: int, margin: float | None = None) -> list[verdict.Comparison]:
        groups = scores[:, : scores.shape[1] // seeds * seeds].reshape(2, -1, seeds)
        return [compare(pair, higher, margin)[0] for pair in groups.swapaxes(0, 1)]

    right = "better" if (effect.mean > 0) == higher else "worse"
    found = {
        seeds: [one.verdict == right for one in comparisons(seeds)]
        for seeds in sorted({*SEED_COUNTS, config.seeds})
        if seeds * 10 <= len(fresh)
    }
    whole = comparisons(config.seeds)
    return gates.Planted(
        part=part,
        pilot=pilot,
        effect=effect,
        found={seeds: gates.Rate.of(each) for seeds, each in found.items()},
        wrong=gates.Rate.of([one.verdict not in (right, "undecided") for one in whole]),
        covered=gates.Rate.of([holds(one.interval, effect.mean) for one in whole]),
        equivalent=gates.Rate.of(
            [one.verdict == "equivalent" for one in comparisons(config.seeds, margin=abs(effect.mean))]
        ),
    )


def choose(lab: Lab, base: Float[np.ndarray, " pilot"]) -> tuple[float, dict[float, float]]:
    """The part of the learning rate whose power is nearest to what is wanted, and the power of all."""
    metric, seeds = lab.plan.task.metric, range(lab.first, lab.first + PILOT)
    tried = lab.train("what to plant", np.repeat(PARTS, PILOT), [*seeds] * len(PARTS))[metric]
    power = {}
    for part, scores in zip(PARTS, tried.reshape(len(PARTS), PILOT), strict=True):
        difference = scores - base
        if np.isfinite(difference).all() and difference.std() > 0.0:
            power[part] = gates.Effect.of(difference).power(lab.plan.config.seeds)
    if not power:
        cli.fail(f"no learning rate below {lab.plan.hyperparams['learning_rate']:g} changes anything: give --planted")
    return min(power, key=lambda part: abs(power[part] - WANTED_POWER)), power


def compare(
    scores: Float[np.ndarray, "names seeds"], higher_is_better: bool, margin: float | None = None
) -> list[verdict.Comparison]:
    """All pairs, as every experiment compares its arms."""
    arms = {chr(ord("A") + i): values.tolist() for i, values in enumerate(scores)}
    return verdict.comparisons(arms, higher_is_better, margin)


def finite(scores: Float[np.ndarray, " runs"]) -> Float[np.ndarray, " runs"]:
    """The scores, if every run has one; a difference with a diverged run in it has no size to measure."""
    lost = int((~np.isfinite(scores)).sum())
    if lost:
        cli.fail(f"{lost} of {scores.size} runs diverged: accepted are a task and a planted part that train every run")
    return scores


def holds(interval: tuple[float, float], value: float) -> bool:
    """Whether the value lies in it."""
    return interval[0] <= value <= interval[1]


if __name__ == "__main__":
    cli.main(Config, prepare, run, __doc__)
