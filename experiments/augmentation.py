"""Which augmentations help, with few labels and with all?

    python -m experiments.augmentation
    python -m experiments.augmentation --operations rotation shift cutmix --labels 300
    python -m experiments.augmentation --preview

A small convolutional network learns Fashion-MNIST from 1,000 labels. First without augmentation, which tunes its
learning rate; then with each operation alone, which tunes its strength at that rate; then together: the operation that
gained most on validation data, the best two, or all that helped, at their strengths or at a part of them. Every arm has
equally many trials, chosen on validation data, and is reported on test data with fresh seeds. The founding text's
setting is an arm of its own. Then no augmentation, the recipe and the textbook's setting with all labels.

Operations are part of the compiled step, and their strengths are data: a strength of 0 is off, so that all arms, trials
and seeds share one program.

Writes results.json, report.html and the plots; with --preview a picture of what each operation does, alone. On two CPU
cores that had other work it took nineteen minutes (``benchmarks/results/cpu-2-cores/augmentation.json``).
"""

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from jaxtyping import PyTree
from rich.console import Console

from benchmarks.side_by_side import race
from experiments import augmentation_arms, augmentation_page, cli, study
from experiments.augmentation_arms import BATCH, NONE, OPERATIONS, Setting
from jaxlab import augment, report
from jaxlab.core import hyper
from jaxlab.report.reading import tuning_of
from jaxlab.sweep import Storage, use_every_core
from jaxlab.tasks.augmented import Augmented
from jaxlab.tasks.fashion_mnist import fashion_mnist
from jaxlab.train import beside, init_run, make_train_step

EVALUATIONS = 4
ROUNDS, REPEATS = 9, 10
"""Of the time of a step."""


@dataclasses.dataclass(frozen=True)
class Config:
    """What to try, and how to train."""

    operations: tuple[str, ...] = OPERATIONS
    """By name, see jaxlab.augment.names()."""
    labels: int = 1_000
    """Few: so many images train."""
    validation: int = 2_000
    """More of them choose, never trained on."""
    steps: int = 1_000
    """Of every run with few labels: in fewer, the network has no time to learn them by heart, and little is gained."""
    all_steps: int = 4_000
    """Of every run with all labels; 0 leaves these out."""
    selection_seeds: int = 2
    """Seeds that each trial is made with; with all labels one."""
    report_seeds: int = 8
    """Seeds that what was chosen is reported on; with all labels half as many."""
    seed: int = 0
    """Another seed, another study: all seeds follow from it."""
    preview: bool = False
    """Write the picture of the operations, of all that there are where none are named, and nothing else."""
    out: Path | None = None
    """Where to write; by default runs/augmentation/<time>."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A configuration, checked and spelled out; ``every`` is the setting with all labels, or None."""

    config: Config
    data: tuple[PyTree, PyTree]
    few: Setting
    every: Setting | None
    protocol: study.Protocol
    every_protocol: study.Protocol
    out: Path


def prepare(config: Config) -> Plan:
    """Checks everything that can be checked without training."""
    use_every_core()
    operations = config.operations
    for name in operations:
        augment.get(hyper.one_of("operations", name, augment.names()))
    if not operations or len(set(operations)) < len(operations):
        raise ValueError(f"operations = {operations}: accepted is at least one, and each once")
    steps = hyper.integer("steps", config.steps, at_least=EVALUATIONS)
    all_steps = hyper.integer("all_steps", config.all_steps, at_least=0)
    if 0 < all_steps < EVALUATIONS:
        raise ValueError(f"all_steps = {all_steps}: accepted is 0, or at least {EVALUATIONS}")
    protocol = study.protocol_of(
        config.seed, config.selection_seeds, config.report_seeds, evaluations=EVALUATIONS, layout="map"
    )
    fewer = study.protocol_of(config.seed, 1, max(1, config.report_seeds // 2), evaluations=EVALUATIONS, layout="map")
    data = fashion_mnist()
    pool = len(data[0]["y"])
    validation = hyper.integer("validation", config.validation, at_least=1, at_most=pool - 1)
    labels = hyper.integer("labels", config.labels, at_least=1, at_most=pool - validation)
    loss = augmentation_arms.augmented(operations)
    few = Setting(augmentation_arms.task_of(data, labels, validation, loss), steps)
    every = Setting(augmentation_arms.task_of(data, None, validation, loss), all_steps) if all_steps else None
    return Plan(config, data, few, every, protocol, fewer, cli.new_folder(config.out, "augmentation"))


def run(plan: Plan) -> None:
    """Tries operations alone, then together, then with all labels; times a step; writes the page."""
    console, began, config = Console(), time.perf_counter(), plan.config
    plan.out.mkdir(parents=True, exist_ok=True)
    every_one = config.preview and config.operations == OPERATIONS
    picture = augmentation_page.picture_of(plan.data[0], augment.names() if every_one else config.operations)
    if config.preview:
        console.print(f"{report.write_picture(picture, plan.out)}")
        return
    alone, found = few_of(plan, console)
    strengths = augmentation_arms.chosen_of(found)
    every = None if plan.every is None else every_of(plan.every, strengths, plan.every_protocol, console)
    seconds = seconds_of(plan.few)
    studies = [found, *([] if every is None else [every]), alone]
    results = cli.findings(
        "augmentation",
        "Which augmentations help, with few labels and with all?",
        config,
        augmentation_page.verdict_of(alone, found, every),
        seconds=time.perf_counter() - began,
        compile_seconds=compile_seconds(studies),
        numbers=augmentation_page.numbers_of(alone, found, every, seconds),
        sections=augmentation_page.sections_of(alone, found, every, seconds, picture),
        studies=studies,
    )
    cli.finish(results, plan.out, console)


def few_of(plan: Plan, console: Console) -> tuple[report.Study, report.Study]:
    """Each operation alone, and what validation made of them, against none and the textbook's setting."""
    few, storage = plan.few, Storage()

    def compared(question: str, arms: list[study.Arm]) -> report.Study:
        # What an arm has tried and reported before is in the storage.
        found = study.run(question, arms, plan.protocol, console, noun="augmentation", storage=storage)
        console.print(study.table_of(found))
        return found

    labels = f"{plan.config.labels:,} labels"
    none = few.none()
    rate = augmentation_arms.rate_of(compared(f"What is the best without augmentation, with {labels}?", [none]))
    operations = [few.alone(name, rate) for name in plan.config.operations]
    alone = compared(f"Which operation helps alone, with {labels}?", [none, *operations])
    best = {name: tuning_of(augmentation_arms.arm_of(alone, name))["chosen"] for name in plan.config.operations}
    recipe = few.recipe(augmentation_arms.together(augmentation_arms.gains_of(alone), best), rate)
    return alone, compared(f"Does augmentation help, with {labels}?", [none, recipe, few.textbook()])


def every_of(
    every: Setting, strengths: Mapping[str, float], protocol: study.Protocol, console: Console
) -> report.Study:
    """No augmentation, the recipe and the textbook's setting with all labels."""
    storage, none = Storage(), every.none()
    question = "Does augmentation help, with all labels?"
    rate = augmentation_arms.rate_of(study.run(question, [none], protocol, console, storage=storage))
    arms = [none, every.recipe(augmentation_arms.dialled(strengths), rate), every.textbook()]
    found = study.run(question, arms, protocol, console, noun="augmentation", storage=storage)
    console.print(study.table_of(found))
    return found


def compile_seconds(studies: list[report.Study]) -> float:
    """Of all arms; one that is in several studies was compiled once."""
    arms = {(one["task"]["name"], arm["name"]): arm for one in studies for arm in one["arms"]}
    return sum(arm["cost"]["compile_seconds"] for arm in arms.values())


def seconds_of(setting: Setting) -> dict[str, list[float]]:
    """Seconds of a training step of one run, round by round: without operations, with the textbook's, with all."""
    task: Any = setting.task
    flows = {"textbook": augment.textbook(), "all": task.loss.flow}
    steps = {NONE: _Step(setting, None)} | {name: _Step(setting, flow) for name, flow in flows.items()}
    return race({name: step.contestant for name, step in steps.items()}, ROUNDS, repeats=REPEATS)


class _Step:
    """A compiled step of one run."""

    def __init__(self, setting: Setting, flow: augment.Flow | None) -> None:
        classifier = augmentation_arms.CLASSIFIER
        loss: Any = classifier if flow is None else Augmented(classifier, flow, classes=augmentation_arms.CLASSES)
        build = augmentation_arms.RECIPE.build if flow is None else beside(augmentation_arms.RECIPE.build, loss)
        numbers = {"learning_rate": 0.008, "warmup_steps": setting.steps // 10, "total_steps": setting.steps}
        strengths = {} if flow is None else {name: augment.get(name).strength for name in flow.strengths}
        self.state = init_run(setting.task.init, build, {**numbers, **strengths}, key=jax.random.key(0))
        self.batch = jax.tree.map(lambda x: x[:BATCH], setting.task.data)
        step: Any = make_train_step(loss, build)
        self.compiled = step.lower(self.state, self.batch).compile()

    def contestant(self) -> Any:
        """Takes a step of its own run."""
        held = [jax.tree.map(lambda leaf: leaf.copy(), self.state)]

        def work() -> None:
            held[0], _ = jax.block_until_ready(self.compiled(held[0], self.batch))

        return work


if __name__ == "__main__":
    cli.main(Config, prepare, run, __doc__)
