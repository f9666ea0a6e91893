"""The default subject of ``experiments.transfer``: a small network that knows five kinds of clothes learns five others.

It is trained on all training images of Fashion-MNIST's classes 0 to 4 (T-shirts, trousers, pullovers, dresses, coats),
and written to a file. What its convolutions learnt is read from there, as from anybody's file, and is the base for
classes 5 to 9 (sandals, shirts, sneakers, bags, ankle boots).
"""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Key, PyTree

from experiments.transfer_arms import RECIPE
from experiments.transfer_subject import Story, Subject, Whole, in_rows
from jaxlab import precision, tasks, transfer
from jaxlab.core import hyper
from jaxlab.models import MLP, pure
from jaxlab.models.cnn import max_pool
from jaxlab.models.conv import Conv
from jaxlab.report.sections import Number
from jaxlab.sweep import run_population, seed_keys
from jaxlab.tasks.classification import Classifier
from jaxlab.tasks.fashion_mnist import fashion_mnist

KNOWN = 5
"""Classes that the network has learnt before: 0 to 4."""
FILE = "base.safetensors"
RULES = (("base/(.*)", r"\1"), ("head/.*", None))
"""From the names of a trained network's parameters to those of a base; its head knows other classes."""
SOURCE_RATE, SOURCE_BATCH, SOURCE_VALIDATION = 2e-3, 128, 1 / 30
Images = Mapping[str, np.ndarray]


class Convolutions(nnx.Module):
    """Blocks of 3 x 3 convolution, ReLU and 2 x 2 max pooling, on standardised grey images; then one row of features.

    Args:
      channels: output channels of each block.
      mean, deviation: of the pixels.
      rngs: for the initial weights.
    """

    def __init__(self, channels: tuple[int, ...], mean: float, deviation: float, *, rngs: nnx.Rngs) -> None:
        self.blocks, self.mean, self.deviation = len(channels), mean, deviation
        for i, (inputs, outputs) in enumerate(zip((1, *channels), channels, strict=False)):
            setattr(self, f"conv_{i}", Conv(inputs, outputs, rngs=rngs))

    def __call__(self, x: Array, key: Key[Array, ""] | None = None) -> Float[Array, "batch features"]:
        """Features of images [batch, height, width]; there is no dropout."""
        x = ((x.astype(hyper.arithmetic_dtype()) - self.mean) / self.deviation)[..., None]
        for i in range(self.blocks):
            x = max_pool(jax.nn.relu(getattr(self, f"conv_{i}")(x)))
        return x.reshape(x.shape[0], -1)


@dataclasses.dataclass(frozen=True)
class Network:
    """Convolutions below, a perceptron with one hidden layer above.

    Attributes:
      side: pixels along an image's edge.
      channels: of the convolutions.
      hidden: features of the head's hidden layer.
      classes: of either task.
      mean, deviation: of the pixels.
    """

    side: int
    channels: tuple[int, ...]
    hidden: int
    classes: int
    mean: float
    deviation: float

    @functools.cached_property
    def base(self) -> Any:
        """The lower half."""
        return pure(lambda rngs: Convolutions(self.channels, self.mean, self.deviation, rngs=rngs))

    @functools.cached_property
    def head(self) -> Any:
        """The upper half."""
        left = self.side // 2 ** len(self.channels)
        return pure(lambda rngs: MLP((left * left * self.channels[-1], self.hidden, self.classes), rngs=rngs))

    def init(self, key: Key[Array, ""]) -> PyTree:
        """Fresh parameters of both."""
        below, above = jax.random.split(key)
        return {"base": self.base.init(below), "head": self.head.init(above)}


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """Images of classes that a network learns first, and of those that it is asked to learn then.

    Attributes:
      name: of the data.
      about: one line: what they are.
      first, second: ``(pool, test)`` of the known and of the new classes; images [n, side, side], labels from 0.
      channels, hidden: of the network.
      steps: of the first training.
      file: with a base that was trained before; None: it is trained now.
    """

    name: str
    about: str
    first: tuple[Images, Images]
    second: tuple[Images, Images]
    channels: tuple[int, ...]
    hidden: int
    steps: int
    file: Path | None = None

    def __post_init__(self) -> None:
        hyper.integer("base_steps", self.steps, at_least=1)
        if self.file is not None:
            self.matched(self.file)

    @functools.cached_property
    def network(self) -> Network:
        """For either task."""
        images = self.first[0]["x"]
        mean, deviation = float(images.mean()), float(images.std())
        return Network(images.shape[1], self.channels, self.hidden, KNOWN, mean, deviation)

    @property
    def rows(self) -> int:
        """Labels for each new class that there are in the pool."""
        return int(np.bincount(self.second[0]["y"], minlength=KNOWN).min())

    def matched(self, path: Path) -> transfer.Matched:
        """The base's weights in a file.

        Raises:
          OSError, ValueError: no such file, or one whose weights do not fit; says which.
        """
        fresh = jax.eval_shape(self.network.base.init, jax.random.key(0))
        try:
            return transfer.match(fresh, transfer.read_weights(path), RULES)
        except ValueError as error:
            raise ValueError(f"base = {str(path)!r}: {error}") from None

    def learn(self, path: Path, seed: int) -> float:
        """Trains the network on the known classes and writes it to a file; returns its accuracy on their test set."""
        pool, test = jax.tree.map(jnp.asarray, self.first)
        task = tasks.Task(
            name=f"{self.name}, known classes",
            data=pool,
            test=test,
            init=self.network.init,
            loss=Classifier(Whole(self.network.base.apply, self.network.head.apply)),
            metric="accuracy",
            higher_is_better=True,
            validation_fraction=SOURCE_VALIDATION,
        )
        history = run_population(
            task,
            RECIPE.build,
            {"learning_rate": SOURCE_RATE, "total_steps": self.steps},
            seed_keys([seed]),
            steps=self.steps,
            batch_size=SOURCE_BATCH,
            test=True,
        )
        found = float(history.test["accuracy"][0])
        params = jax.tree.map(lambda leaf: leaf[0], history.states.params)
        precision.save_weights(path, params, about={"classes": KNOWN, "steps": self.steps, "accuracy": found})
        return found

    def subject(self, out: Path, seed: int, rows: int) -> tuple[Subject, Story]:
        """The new task with the base of the given file, or of one that is trained now and written into ``out``."""
        images = len(self.first[0]["y"])
        if self.file is None:
            path = out / FILE
            accuracy = self.learn(path, seed)
            text = (
                f"The base was trained on all {images:,} images of classes 0 to {KNOWN - 1}, {self.steps:,} steps of "
                f"{SOURCE_BATCH}; the network that it is part of knows {100 * accuracy:.1f}% of their test images. It "
                f"is kept in {FILE}: --base takes it for another run."
            )
            numbers: list[Number] = [
                {
                    "name": "accuracy of the first training",
                    "value": 100 * accuracy,
                    "interval": None,
                    "unit": "%",
                    "meaning": "on the known classes' test images, of the one network that the base is from",
                }
            ]
        else:
            path, numbers = self.file, []
            text = f"The base is that of {path.name}."
        matched = self.matched(path)
        network, (pool, test) = self.network, self.second
        found = Subject(
            name=self.name,
            description=self.about,
            init=network.init,
            base=network.base.apply,
            head=network.head.apply,
            weights=matched.params,
            depths=((r"^base/conv_(\d+)/", 0), ("^head/", None)),
            adapted=r"^base/.*kernel$",
            pool=jax.tree.map(jnp.asarray, in_rows(pool["x"], pool["y"], KNOWN, rows)),
            test=jax.tree.map(jnp.asarray, in_rows(test["x"], test["y"], KNOWN)),
        )
        return found, Story([text], numbers, str(matched))


def halved(images: np.ndarray) -> np.ndarray:
    """Images of half the side: each pixel the mean of four."""
    n, height, width = images.shape
    means = images.reshape(n, height // 2, 2, width // 2, 2).mean((2, 4))
    return np.round(means).astype(images.dtype)


def parted(data: Images) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Examples of the known classes and of the others, whose labels begin anew."""
    labels = np.asarray(data["y"])
    old = labels < KNOWN
    x = np.asarray(data["x"])
    return {"x": x[old], "y": labels[old]}, {"x": x[~old], "y": labels[~old] - KNOWN}


def clothes(full_size: bool, steps: int, file: Path | None) -> Source:
    """Fashion-MNIST.

    Args:
      full_size: images of 28 x 28 pixels, not of 14 x 14.
      steps: of the first training.
      file: with a base that was trained before.

    Raises:
      FileNotFoundError, ValueError: the images are nowhere, or damaged; the base's file is, or is another network's.
    """
    pool, test = fashion_mnist()
    if not full_size:
        pool, test = ({**part, "x": halved(part["x"])} for part in (pool, test))
    side = pool["x"].shape[1]
    (first, second), (first_test, second_test) = parted(pool), parted(test)
    return Source(
        name="Fashion-MNIST, classes 5 to 9",
        about=f"Fashion-MNIST, classes 5 to 9 in {side} x {side} pixels, after classes 0 to 4",
        first=(first, first_test),
        second=(second, second_test),
        channels=(16, 32),
        hidden=64,
        steps=steps,
        file=file,
    )
