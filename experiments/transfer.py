"""What is the best way to reuse a trained network when I have few labels?

    python -m experiments.transfer
    python -m experiments.transfer --budgets 2 30 --methods "linear probe" LoRA "full fine-tuning"
    python -m experiments.transfer --base runs/transfer/.../base.safetensors
    python -m experiments.transfer --images photos --weights efficientnet-lite0

A small convolutional network learns classes 0 to 4 of Fashion-MNIST from all their images. Then classes 5 to 9 are
learnt from 2 to 200 labels each: from scratch, and with what the network knows, in the ways that are in use. Every
way has the same labels, batches, steps and number of trials: a seed decides which images have labels, and what is
fresh begins. Each chooses its learning rate on validation images and is reported on test images with fresh seeds.

What a step of each costs is read from its compiled program, where a frozen base has no backward operation, and from a
clock.

With --images the question is asked of your own photographs, a folder with one folder a class (python -m
experiments.photographs writes one), and of EfficientNet-Lite0 with ImageNet's weights: what is a linear probe on its
features worth, against one on the same network at random weights? The methods are "linear probe", its control
"random weights", "frozen base", a head with a hidden layer, and on demand all that train the network itself. The former
take features that are computed once, two minutes in all; the latter need a GPU: at 224 x 224 a step of 25 photographs
takes up to eight seconds on two busy CPU cores, and each method takes 10,000 of them at each budget: most of a day.

Writes results.json, report.html, the plots and the base. On two CPU cores that had other work it took twelve minutes
(``benchmarks/results/cpu-2-cores/transfer.json``).
"""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from experiments import cli, study, transfer_fashion, transfer_images, transfer_page
from experiments.transfer_arms import METHODS, SCRATCH, USUAL, arm_of
from experiments.transfer_costs import costs_of
from experiments.transfer_subject import Source
from jaxlab.core import hyper
from jaxlab.sweep import use_every_core

EVALUATIONS = 2
BUDGETS = (2, 10, 30, 100, 200)
OF_IMAGES = ("weights", "size", "cache", "skip_unreadable")
"""Options that are of no use without --images, and beside it:"""
OF_CLOTHES = ("validation", "base", "base_steps", "full_size", "rounds")


@dataclasses.dataclass(frozen=True)
class Config:
    """How many labels, which methods, how to train."""

    images: Path | None = None
    """A folder of photographs, one folder a class, in place of Fashion-MNIST. The next four options are of them."""
    weights: str = transfer_images.Config.weights
    """Of EfficientNet-Lite0: ImageNet's, or a safetensors file, one of PyTorch's, a folder of jaxlab's checkpoints."""
    size: int = 224
    """Pixels along the edge that photographs are resized to."""
    cache: Path | None = None
    """A folder to keep decoded photographs and features in; by default none is kept."""
    skip_unreadable: bool = False
    """Leave out photographs that cannot be read, and list them on the page."""
    budgets: tuple[int, ...] | None = None
    """Labels for each class; by default 2 10 30 100 200, and of photographs up to what the rarest class has."""
    methods: tuple[str, ...] | None = None
    """By name; scratch is always one. There are also "layer-wise rates" and "L2-SP". Of photographs see above."""
    steps: int = 200
    """Of every run."""
    selection_seeds: int = 5
    """Seeds that each rate is tried with."""
    seeds: int = 25
    """Seeds that the chosen rates are reported on."""
    validation: int = 200
    """Labels for each class that rates are chosen by, the same for all methods."""
    base: Path | None = None
    """A base.safetensors of another run; by default the base is trained first."""
    base_steps: int = 700
    """Of the base's training."""
    full_size: bool = False
    """Images of 28 x 28 pixels in place of 14 x 14: four times the work."""
    rounds: int = 10
    """Of timing a step, at least 8; 0 leaves it out."""
    seed: int = 0
    """Another seed, another study: all seeds follow from it."""
    out: Path | None = None
    """Where to write; by default runs/transfer/<time>."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A configuration, checked and spelled out."""

    config: Config
    source: Source
    methods: tuple[str, ...]
    budgets: tuple[int, ...]
    protocol: study.Protocol
    out: Path


def prepare(config: Config) -> Plan | transfer_images.Plan:
    """Checks everything that can be checked without training."""
    for name in OF_IMAGES if config.images is None else OF_CLOTHES:
        if (given := getattr(config, name)) != getattr(Config(), name):
            beside = "with" if config.images is None else "without"
            raise ValueError(f"{name} = {given!r}: accepted {beside} --images")
    if config.images is not None:
        names = (field.name for field in dataclasses.fields(transfer_images.Config))
        return transfer_images.prepare(transfer_images.Config(**{name: getattr(config, name) for name in names}))
    return plan_of(config, lambda: transfer_fashion.clothes(config.full_size, config.base_steps, config.base))


def plan_of(config: Config, source_of: Callable[[], Source]) -> Plan:
    """The same for a source of one's own, which is asked for when all else is found right."""
    use_every_core()
    methods = [hyper.one_of("methods", name, METHODS) for name in (USUAL if config.methods is None else config.methods)]
    protocol = study.protocol_of(config.seed, config.selection_seeds, config.seeds, evaluations=EVALUATIONS)
    hyper.integer("seeds", config.seeds, at_least=2)
    hyper.integer("steps", config.steps, at_least=10)
    hyper.integer("validation", config.validation, at_least=1)
    if config.rounds:
        hyper.integer("rounds", config.rounds, at_least=8)
    asked = BUDGETS if config.budgets is None else config.budgets
    budgets = tuple(sorted({hyper.integer("budgets", budget, at_least=1) for budget in asked}))
    if not budgets:
        raise ValueError("budgets = (): accepted is at least one number of labels for each class")
    out, source = cli.new_folder(config.out, "transfer"), source_of()
    if budgets[-1] + config.validation > source.rows:
        raise ValueError(
            f"budgets = {budgets} and validation = {config.validation}: accepted are {source.rows} labels for each "
            "class in all, so many there are"
        )
    chosen = tuple(name for name in METHODS if name == SCRATCH or name in methods)
    return Plan(config, source, chosen, budgets, protocol, out)


def run(plan: Plan | transfer_images.Plan) -> None:
    """Trains the base, tunes, reports and compares at every budget, counts the costs, writes the page."""
    if isinstance(plan, transfer_images.Plan):
        transfer_images.run(plan)
        return
    console, began, config = Console(), time.perf_counter(), plan.config
    plan.out.mkdir(parents=True, exist_ok=True)
    subject, story = plan.source.subject(plan.out, config.seed, plan.budgets[-1] + config.validation)
    console.print(*story.text, highlight=False)
    found, arms = {}, []
    for budget in plan.budgets:
        arms = [
            arm_of(subject, name, budget, validation=config.validation, steps=config.steps) for name in plan.methods
        ]
        question = f"Which way is best with {budget} labels for each class?"
        found[budget] = study.run(question, arms, plan.protocol, console, noun="way")
        console.print(study.table_of(found[budget]))
    page = transfer_page.Page(subject, story, config.validation, found, costs_of(arms, config.rounds))
    results = cli.findings(
        "transfer",
        "What is the best way to reuse a trained network when I have few labels?",
        config,
        page.answer(),
        seconds=time.perf_counter() - began,
        compile_seconds=sum(map(study.compile_seconds, found.values())),
        numbers=page.numbers(),
        sections=page.sections(),
        studies=list(found.values()),
    )
    cli.finish(results, plan.out, console)


if __name__ == "__main__":
    cli.main(Config, prepare, run, __doc__)
