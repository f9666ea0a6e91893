"""Augmentation beside Pillow on all cores, and what it adds to a training step.

Run: python -m benchmarks.augment_step [--rounds 40] [--json FILE]

Two questions. The same batch of random images through the textbook's setting (rotation 15 degrees, shifts 0.1, shear,
zoom 0.1, horizontal flip): by one compiled program, which draws the maps, too, and by Pillow's ``Image.transform``
with bilinear interpolation, whose maps were drawn and whose images were made beforehand, and which need not flip, for
that is in the map. Pillow works image by image, in threads, in processes or alone, whichever a trial finds fastest;
the batch is done when it is one array. That both do the same is checked first, where all that a pixel is made of lies
inside its image: outside, Pillow fills with black, which is less work.

And the training step of the task ``fashion_mnist_cnn``, on a batch of 128 random images, with the textbook's setting
and without, in turn. The share of the time that it adds is small beside what two equal steps differ by: the interval
says how sure the figure is.
"""

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
from rich.console import Console

from benchmarks.side_by_side import Contestant, arguments, median_interval, race, save, show, summary
from jaxlab.augment import Geometric, textbook
from jaxlab.augment.compose import whole_matrix
from jaxlab.optimizers import Recipe
from jaxlab.tasks.augmented import Augmented
from jaxlab.tasks.classification import Classifier
from jaxlab.tasks.fashion_mnist_cnn import MODEL, apply
from jaxlab.train import beside, init_state, make_train_step

BATCHES = {"128 x 28 x 28 x 1": (128, 28, 28, 1), "32 x 224 x 224 x 3": (32, 224, 224, 3)}
CORES = os.cpu_count() or 1
REPEATS = 5
STEPS = 3

_images: list[Image.Image] = []
"""Of a process of the pool, made when it starts."""


def bytes_of(shape: tuple[int, ...]) -> np.ndarray:
    """Random images, smooth enough that a rounded coordinate is no other image."""
    rng = np.random.default_rng(0)
    count, height, width, channels = shape
    small = rng.integers(0, 256, (count, height // 4, width // 4, channels))
    return small.repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)


def maps_of(key: Any, count: int, height: int, width: int) -> np.ndarray:
    """The maps that the textbook's flow draws for a batch."""
    operations = [one for one in textbook().operations if isinstance(one, Geometric)]  # All.
    drawn = jax.vmap(lambda key: whole_matrix(operations, key, height, width))(jax.random.split(key, count))
    return np.asarray(drawn, np.float64)


def pillow_data(maps: np.ndarray) -> list[tuple[float, ...]]:
    """Maps as Pillow takes them: columns first, and pixels from 0 to 1 where here they are from -1/2 to 1/2."""
    (a, b, rows), (c, d, columns) = np.moveaxis(maps, 0, -1)
    data = np.stack([d, c, columns + (1 - c - d) / 2, b, a, rows + (1 - a - b) / 2], axis=1)
    return [tuple(row) for row in data.tolist()]


def warped(image: Image.Image, data: tuple[float, ...]) -> np.ndarray:
    """One image through one map."""
    return np.asarray(image.transform(image.size, Image.Transform.AFFINE, data, Image.Resampling.BILINEAR))


def pictures(images: np.ndarray) -> list[Image.Image]:
    """Images as Pillow has them."""
    return [Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image) for image in images]


def keep(images: np.ndarray) -> None:
    """Makes a process of the pool ready."""
    _images[:] = pictures(images)


def part_of_kept(first: int, data: list[tuple[float, ...]]) -> np.ndarray:
    """In a process of the pool: so many of its images, from the first on."""
    return np.stack([warped(image, one) for image, one in zip(_images[first:], data, strict=False)])


def part(images: list[Image.Image], data: list[tuple[float, ...]]) -> np.ndarray:
    """In a thread: these images."""
    return np.stack([warped(image, one) for image, one in zip(images, data, strict=True)])


@contextmanager
def pools(images: np.ndarray, data: list[tuple[float, ...]]) -> Iterator[dict[str, Contestant]]:
    """Pillow in three ways, each a function that returns the batch."""
    ready = pictures(images)
    cuts = [slice(i * len(data) // CORES, (i + 1) * len(data) // CORES) for i in range(CORES)]
    with (
        ThreadPoolExecutor(CORES) as threads,
        ProcessPoolExecutor(CORES, multiprocessing.get_context("spawn"), keep, (images,)) as processes,
    ):

        def spread(pool: Executor, work: Callable[[slice], tuple[Any, ...]]) -> np.ndarray:
            return np.concatenate([done.result() for done in [pool.submit(*work(cut)) for cut in cuts]])

        yield {
            "alone": lambda: part(ready, data),
            "threads": lambda: spread(threads, lambda cut: (part, ready[cut], data[cut])),
            "processes": lambda: spread(processes, lambda cut: (part_of_kept, cut.start, data[cut])),
        }


def check_same(ours: np.ndarray, theirs: np.ndarray, maps: np.ndarray) -> float:
    """The largest difference in grey levels where no pixel from outside takes part.

    Raises:
      ValueError: more than rounding and Pillow's coordinates of limited precision make.
    """
    _, height, width, _ = ours.shape
    places = np.stack([*np.mgrid[:height, :width], np.ones((height, width))])
    row, column = np.moveaxis(np.einsum("nij,jhw->nihw", maps, places), 1, 0)
    inside = (row > 1) & (row < height - 2) & (column > 1) & (column < width - 2)
    worst = float(np.abs(ours - theirs.reshape(ours.shape))[inside].max())
    if worst > 2:
        raise ValueError(f"jaxlab and Pillow differ by {worst:.1f} grey levels: accepted is up to 2")
    return worst


def against_pillow(name: str, shape: tuple[int, ...], rounds: int) -> dict[str, Any]:
    """One race on one batch."""
    images, key, flow = bytes_of(shape), jax.random.key(0), textbook()
    maps = maps_of(key, *shape[:3])
    on_device = jnp.asarray(images)
    began = time.perf_counter()
    program: Any = jax.jit(lambda flow, key, images: flow.batch(key, images)).lower(flow, key, on_device).compile()
    compile_seconds = time.perf_counter() - began

    def ours() -> Any:
        return jax.block_until_ready(program(flow, key, on_device))

    with pools(images, pillow_data(maps)) as ways:
        worst = max(check_same(np.asarray(ours()), way(), maps) for way in ways.values())
        trial = {
            way: statistics.median(times) for way, times in race({w: lambda f=f: f for w, f in ways.items()}, 8).items()
        }
        fastest = min(trial, key=lambda way: trial[way])
        pillow = f"Pillow, {fastest}"
        seconds = race({"jaxlab": lambda: ours, pillow: lambda: ways[fastest]}, rounds, REPEATS)
    figures = summary(seconds, pillow)
    show(f"the textbook's augmentation of {name} images in bytes, {CORES} cores", figures, pillow)
    return {
        "figures": figures,
        "pillow_trial_milliseconds": {way: 1e3 * spent for way, spent in trial.items()},
        "largest_difference_in_grey_levels": worst,
        "compile_seconds": compile_seconds,
    }


def stepper(augmented: bool) -> Callable[[], Contestant]:
    """The task's training step, compiled once, and its contestants, each with a state of its own."""
    loss: Any = Classifier(apply)
    build: Any = Recipe("adamw", "cosine").build
    numbers = {"learning_rate": 2e-3, "weight_decay": 0.01, "warmup_steps": 200.0, "total_steps": 4_200.0}
    if augmented:
        loss = Augmented(loss, textbook())
        build = beside(build, loss)
        numbers |= {name: float(strength) for name, strength in loss.flow.strengths.items()}
    step = make_train_step(loss, build)
    batch = {"x": jnp.asarray(bytes_of(BATCHES["128 x 28 x 28 x 1"])[..., 0]), "y": jnp.arange(128) % 10}

    def contestant() -> Contestant:
        held = [init_state(MODEL.init(jax.random.key(0)), build, numbers, key=jax.random.key(1))]

        def work() -> None:
            held[0], _ = jax.block_until_ready(step(held[0], batch))

        work()  # Compiles.
        return work

    return contestant


def share_of_a_step(rounds: int) -> dict[str, Any]:
    """The race of the two training steps, and the share that augmentation adds."""
    seconds = race({"with": stepper(True), "without": stepper(False)}, rounds, STEPS)
    figures = summary(seconds, "without")
    show("a training step of fashion_mnist_cnn, batch 128, with augmentation and without", figures, "without")
    added = [own / base - 1 for own, base in zip(seconds["with"], seconds["without"], strict=True)]
    share = {"median": statistics.median(added), "interval": median_interval(added)}
    low, high = share["interval"]
    Console(width=120).print(f"augmentation adds {share['median']:.1%} of a step ({low:.1%} to {high:.1%})\n")
    return {"figures": figures, "added_share": share}


def main() -> None:
    """Runs the races and prints their tables."""
    chosen = arguments(__doc__, rounds=40)
    content: dict[str, Any] = {"benchmark": "augment_step", "rounds": chosen.rounds, "pillow": Image.__version__}
    content["batches"] = {name: against_pillow(name, shape, chosen.rounds) for name, shape in BATCHES.items()}
    content["step"] = share_of_a_step(chosen.rounds)
    save(chosen.json, content)


if __name__ == "__main__":
    main()
