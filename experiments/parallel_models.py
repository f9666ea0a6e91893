"""What is trained under every layout: a model, one batch, and what the model cannot but send."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from experiments.parallel_layouts import CLOSE, divisor
from jaxlab import models
from jaxlab.models.pure import PureModel
from jaxlab.tasks.classification import Classifier
from jaxlab.tasks.prediction import NextToken

LAYERS = 2


@dataclasses.dataclass(frozen=True)
class Subject:
    """A model and one batch.

    Attributes:
      name: of the model.
      model: pure functions.
      loss: ``(params, batch, key) -> (loss, metrics)``.
      batch: host arrays, in float64 where they are real.
      axes: logical names of the batch's axes.
      summed: how many activations of the whole batch a step sums along the mesh axis ``tensor``, forward and back: what
        leaves a branch that is cut by columns and rows, and the gradient of what enters it.
      gathered: how many it gathers or scatters along ``sequence``: keys and values, and their gradients.
      about: sizes, in words.
    """

    name: str
    model: PureModel
    loss: Callable[..., Any]
    batch: dict[str, np.ndarray]
    axes: tuple[str, ...]
    summed: int
    gathered: int
    about: str

    @property
    def parameters(self) -> dict[str, Any]:
        """Shapes alone."""
        return jax.eval_shape(self.model.init, jax.random.key(0))


def gpt(devices: int, examples: int, rng: np.random.Generator) -> Subject:
    """A transformer on random tokens."""
    close = divisor(devices, at_most=CLOSE)
    heads, length, vocabulary = multiple(close, 8), multiple(close, 64), multiple(devices, 256)
    width = next(heads * size for size in range(16, 16 + 2 * devices, 2) if heads * size % devices == 0)
    model = models.pure(lambda rngs: models.GPT(vocabulary, width=width, layers=LAYERS, heads=heads, rngs=rngs))
    tokens = rng.integers(0, vocabulary, (examples, length + 1)).astype(np.int32)
    stream = examples * length * width
    return Subject(
        "gpt",
        model,
        NextToken(model.apply),
        {"x": tokens[:, :-1], "y": tokens[:, 1:]},
        ("batch", "sequence"),
        # Two branches in each block, the words, and three numbers of each word's softmax.
        summed=(4 * LAYERS + 2) * stream + 3 * examples * length,
        gathered=4 * LAYERS * stream,
        about=f"{LAYERS} blocks of width {width}, {heads} heads, {vocabulary} tokens; {examples} sequences of {length}",
    )


def mlp(devices: int, examples: int, rng: np.random.Generator) -> Subject:
    """Three hidden layers on random vectors."""
    hidden, classes = multiple(devices, 512), multiple(devices, 16)
    model = models.pure(lambda rngs: models.MLP((64, hidden, hidden, hidden, classes), rngs=rngs))
    batch = {"x": rng.standard_normal((examples, 64)), "y": rng.integers(0, classes, examples).astype(np.int32)}
    about = f"3 hidden layers of {hidden}; {examples} vectors of 64"
    # Two pairs of layers: what leaves each, and the gradient of what enters the second.
    summed = examples * (hidden + classes + hidden)
    return Subject("mlp", model, Classifier(model.apply), batch, ("batch",), summed, 0, about)


def cnn(devices: int, examples: int, rng: np.random.Generator) -> Subject:
    """Two convolutions and a perceptron on random images."""
    channels, hidden, classes = multiple(devices, 32), multiple(devices, 256), multiple(devices, 16)
    model = models.pure(
        lambda rngs: models.CNN((8, 8, 1), channels=(channels, 2 * channels), hidden=hidden, classes=classes, rngs=rngs)
    )
    batch = {"x": rng.standard_normal((examples, 8, 8, 1)), "y": rng.integers(0, classes, examples).astype(np.int32)}
    about = f"{channels} and {2 * channels} channels, a hidden layer of {hidden}; {examples} images of 8 x 8"
    # What leaves the convolutions, on 4 x 4 pixels, and the perceptron; the gradient of what enters it, 2 x 2 pixels.
    summed = examples * (16 * 2 * channels + classes + 4 * 2 * channels)
    return Subject("cnn", model, Classifier(model.apply), batch, ("batch",), summed, 0, about)


SUBJECTS: dict[str, Callable[[int, int, np.random.Generator], Subject]] = {"gpt": gpt, "mlp": mlp, "cnn": cnn}
EXAMPLES = {"gpt": 16, "mlp": 64, "cnn": 64}
"""In a batch, at least; more where the devices need more."""


def subject_of(name: str, devices: int, batch_size: int | None, seed: int) -> Subject:
    """A model whose axes so many devices divide.

    Args:
      name: of :data:`SUBJECTS`.
      devices: how many.
      batch_size: by default the least multiple of ``devices`` from :data:`EXAMPLES` on.
      seed: of the batch.
    """
    examples = multiple(devices, EXAMPLES[name]) if batch_size is None else batch_size
    return SUBJECTS[name](devices, examples, np.random.default_rng(seed))


def multiple(of: int, at_least: int) -> int:
    """The least multiple from a bound on.

    >>> multiple(3, 256), multiple(8, 256)
    (258, 256)
    """
    return -(-at_least // of) * of
