"""One's own photographs: what ``experiments.transfer --images`` asks, and how it finds out.

    python -m experiments.photographs
    python -m experiments.transfer --images photos --weights efficientnet-lite0
    python -m experiments.transfer --images photos --methods "linear probe" "full fine-tuning"

A folder of photographs, one folder a class, is decoded to one size and split by photograph: of every class equally many
may train, all others are for the test. A network that was trained on ImageNet makes features of them, once, with its
statistics frozen; a linear probe learns the classes from a few photographs of each. Its control is a probe on the same
network at random weights: what the architecture is worth without what it learnt. A seed decides which photographs
train; those of the pool that do not choose the learning rate.

What trains the network itself computes its gradients on images in every step, and needs a GPU.
"""

import dataclasses
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, PyTree
from rich.console import Console
from sklearn.datasets import load_sample_image

from experiments import cli, study, transfer_images_page
from experiments.transfer_images_arms import (
    EVALUATIONS,
    FROZEN,
    HEAVY,
    LIGHT,
    PROBE,
    RANDOM,
    Part,
    about_of,
    arm_of,
    named_by,
    subject_of,
)
from experiments.transfer_network import EFFICIENTNET, Base, Network
from jaxlab import transfer
from jaxlab.core import hyper
from jaxlab.images import Images, Resize, open_images
from jaxlab.images.split import place
from jaxlab.models import imagenet_top, imagenet_view
from jaxlab.sweep import use_every_core
from jaxlab.train.stopwatch import Stopwatch

TEST = 1 / 3
"""Of the rarest class's photographs, at least."""
KEEP = 0.875
"""Of a photograph's shorter side, as is usual for ImageNet."""
AT_ONCE = 32
"""Images in a batch of those that features are made of."""
SIGHTS = ("china.jpg", "flower.jpg")
"""The photographs that come with scikit-learn."""


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of :class:`experiments.transfer.Config` that are of images."""

    images: Path
    weights: str = EFFICIENTNET.name
    size: int = 224
    cache: Path | None = None
    skip_unreadable: bool = False
    budgets: tuple[int, ...] | None = None
    methods: tuple[str, ...] | None = None
    steps: int = 200
    selection_seeds: int = 5
    seeds: int = 25
    seed: int = 0
    out: Path | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """A configuration, checked and spelled out.

    Attributes:
      pool: places of the photographs that may train, [rows, classes].
      test: places of the others.
    """

    config: Config
    network: Network
    base: Base
    images: Images
    pool: Int[np.ndarray, "rows classes"]
    test: Int[np.ndarray, " n"]
    methods: tuple[str, ...]
    budgets: tuple[int, ...]
    protocol: study.Protocol
    out: Path


def prepare(config: Config, network: Network = EFFICIENTNET) -> Plan:
    """Checks everything that can be checked without compiling: the numbers, the weights, every photograph."""
    use_every_core()
    known = (*LIGHT, *HEAVY)
    wanted = [
        hyper.one_of("methods", name, known) for name in ((FROZEN,) if config.methods is None else config.methods)
    ]
    methods = tuple(name for name in known if name in (PROBE, RANDOM, *wanted))
    hyper.integer("steps", config.steps, at_least=10)
    hyper.integer("seeds", config.seeds, at_least=2)
    for budget in config.budgets or ():
        hyper.integer("budgets", budget, at_least=1)
    # A network that is trained fills the machine: populations of it take turns.
    layout = "map" if set(methods).intersection(HEAVY) else "vmap"
    protocol = study.protocol_of(
        config.seed, config.selection_seeds, config.seeds, evaluations=EVALUATIONS, layout=layout
    )
    resize, out = (
        Resize(hyper.integer("size", config.size, at_least=8), keep=KEEP),
        cli.new_folder(config.out, "transfer"),
    )
    base = network.read(config.weights)
    images = open_images(config.images, resize, cache=config.cache, skip_unreadable=config.skip_unreadable)
    pool, test = parted(images, config.seed)
    budgets = budgets_of(config.budgets, images, len(pool))
    return Plan(config, network, base, images, pool, test, methods, budgets, protocol, out)


def parted(images: Images, seed: int) -> tuple[Int[np.ndarray, "rows classes"], Int[np.ndarray, " n"]]:
    """Which photographs may train, equally many of each class, and which are for the test: all others.

    A hash of what is in a photograph's file orders its class, so that names and activities have no say.

    Raises:
      ValueError: a class of fewer than three photographs.
    """
    order = np.argsort([place(digest, seed) for digest in images.digests], kind="stable")
    classes = [order[images.labels[order] == label] for label in range(len(images.classes))]
    rarest = min(map(len, classes))
    if rarest < 3:
        raise ValueError(
            f"class {images.classes[[*map(len, classes)].index(rarest)]!r} has {rarest} images: accepted are at least "
            "3, one to train, one to choose the learning rate, one for the test"
        )
    rows = rarest - max(1, round(TEST * rarest))
    pool = np.stack([places[-rows:] for places in classes], axis=1)
    return pool, np.sort(np.concatenate([places[:-rows] for places in classes]))


def budgets_of(asked: tuple[int, ...] | None, images: Images, rows: int) -> tuple[int, ...]:
    """Photographs of each class that train: those asked for, or an eighth, a third and all of what may.

    Raises:
      ValueError: more than there are, or none left to choose by; no budget.
    """
    if asked is None:
        most = rows - max(1, rows // 4)
        return tuple(sorted({max(1, most // part) for part in (8, 3, 1)}))
    if not asked:
        raise ValueError("budgets = (): accepted is at least one number of photographs of each class")
    if max(asked) >= rows:
        rarest = min(images.counts, key=lambda name: images.counts[name])
        raise ValueError(
            f"budgets = {asked}: accepted are 1 to {rows - 1} photographs of each class; the rarest, {rarest!r}, has "
            f"{images.counts[rarest]}, of which {images.counts[rarest] - rows} are for the test and one or more choose "
            "the learning rate"
        )
    return tuple(sorted(set(asked)))


def run(plan: Plan) -> None:
    """Computes features once, tunes, reports and compares at every budget, writes the page."""
    console, clock, began, config = Console(), Stopwatch(), time.perf_counter(), plan.config
    plan.out.mkdir(parents=True, exist_ok=True)
    console.print(f"{plan.images.describe()}; {plan.base.source}: {plan.base.said}", highlight=False)
    random = clock.run(jax.jit(plan.network.fresh), jax.random.key(config.seed))
    data = data_of(plan, {"features": plan.base.params, "random": random}, console)
    subject, found, arms = subject_of(plan.network, plan.base, plan.images, data), {}, {}
    for budget in plan.budgets:
        arms = {name: arm_of(name, subject, budget, config.steps) for name in plan.methods}
        question = f"What is best with {transfer_images_page.photographs(budget)} of each class?"
        found[budget] = study.run(question, list(arms.values()), plan.protocol, console, noun="way")
        console.print(study.table_of(found[budget]))
    last = found[plan.budgets[-1]]
    page = transfer_images_page.Page(
        images=plan.images,
        pool=plan.pool,
        test=plan.test,
        network=plan.network.name,
        base=plan.base,
        found=found,
        about={name: about_of(name) for name in plan.methods},
        named={name: named_by(arms[name], last, plan.protocol) for name in (PROBE, RANDOM)},
        sights=sights_of(plan),
    )
    results = cli.findings(
        "transfer",
        "What is a network that was trained on ImageNet worth for my photographs?",
        config,
        page.answer(),
        seconds=time.perf_counter() - began,
        compile_seconds=clock.compiling + sum(map(study.compile_seconds, found.values())),
        numbers=page.numbers(),
        sections=page.sections(),
        studies=list(found.values()),
    )
    cli.finish(results, plan.out, console)


def data_of(plan: Plan, weights: dict[str, PyTree], console: Console) -> tuple[Part, Part]:
    """Pool and test: labels, the features that each weights make, and images for those who need them.

    Features are standardised by the pool's, which knows no labels and no test: rates then mean the same for both.
    """
    features = {name: features_of(plan, params, console) for name, params in weights.items()}
    labels, parts = plan.images.labels, (plan.pool, plan.test[:, None])
    found: list[Part] = []
    for places in parts:
        part = {"y": labels[places]}
        for name, values in features.items():
            seen = values[plan.pool.reshape(-1)]
            deviation = seen.std(0)
            part[name] = ((values - seen.mean(0)) / np.where(deviation > 0, deviation, 1))[places]
        if set(plan.methods).intersection(HEAVY):
            pixels = plan.images.load(places.reshape(-1))["x"]
            part["x"] = pixels.reshape(*places.shape, *pixels.shape[1:])
        found.append(jax.tree.map(jnp.asarray, part))
    return found[0], found[1]


def features_of(plan: Plan, params: PyTree, console: Console) -> Float[np.ndarray, "n k"]:
    """What the network makes of each photograph with these weights."""
    images = plan.images
    with study.progress_bar(console, "images") as bar:
        total = bar.add_task("features", total=len(images))
        return transfer.features(
            plan.network.features,
            params,
            images.stored,
            min(AT_ONCE, len(images)),
            cache=plan.config.cache,
            progress=study.advance(bar, total),
        )


def sights_of(plan: Plan) -> dict[str, list[tuple[str, float]]]:
    """The likeliest of ImageNet's classes for scikit-learn's photographs; none where the weights have no such layer."""
    last, size = plan.base.classifier, plan.config.size
    if last is None:
        return {}
    # As many images as in a batch of the others: the program is there.
    batch = np.zeros((min(AT_ONCE, len(plan.images)), size, size, 3), np.uint8)
    for place_, name in enumerate(SIGHTS):
        batch[place_] = np.clip(np.rint(imagenet_view(load_sample_image(name), size)), 0, 255)
    features = transfer.features(plan.network.features, plan.base.params, batch, len(batch))
    logits = features[: len(SIGHTS)] @ np.asarray(last["kernel"]) + np.asarray(last["bias"])
    return {name: imagenet_top(row) for name, row in zip(SIGHTS, logits, strict=True)}
