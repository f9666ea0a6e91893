"""What ``experiments.transfer`` is asked about: a network in two halves, and a new task with few labels.

A :class:`Subject` is everything about one question of transfer: what the network's lower half learnt before, and the
images and labels of the new task. A :class:`Source` is where one comes from. To ask the question of another network or
of other images, write another source: the methods (:mod:`experiments.transfer_arms`), their costs and the page follow.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key, PyTree

from jaxlab import transfer
from jaxlab.core import tree
from jaxlab.models import MLP, pure
from jaxlab.report.sections import Number
from jaxlab.tasks.classification import Classifier


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """A network with a base that was trained before, and a new task with few labels.

    The network's parameters are ``{"base": ..., "head": ...}``. The base makes features of images, the head makes
    logits of the new classes of features; nothing else is asked of either, so the base may be a few convolutions or
    EfficientNet. Compiled programs are found again by the identity of functions: make ``init``, ``base`` and ``head``
    once, not anew for each budget.

    Images and labels come in rows, see :func:`in_rows`: a row has one image of each class, so that a draw of so many
    rows is so many labels for each class, and batches are balanced.

    Attributes:
      name: of the new task.
      description: one line for the page: images, network, where the base is from.
      init: ``key -> params``, fresh: both halves.
      base: ``(params["base"], images [n, ...]) -> features [n, k]``. Without dropout, with statistics frozen: it is a
        function of an image alone, so features may be computed once.
      head: ``(params["head"], features [n, k]) -> logits [n, classes]``.
      weights: what the base learnt before: all of ``params["base"]``, as the base takes it. From a file:
        ``transfer.match(init(key)["base"], transfer.read_weights(path), rules).params``.
      depths: (regular expression, depth) rules over names such as ``base/conv_0/kernel``, from the input up, None for
        the head: the order in which layers are unfrozen, and who learns more slowly. See
        :func:`~jaxlab.modifiers.layer_wise_decay`.
      adapted: a regular expression found in the names of the kernels that LoRA adapts.
      pool: ``{"x": images [rows, classes, ...], "y": labels [rows, classes]}``; a seed decides which rows have labels
        to train with and which validate.
      test: likewise, never trained on. A row may have any number of images here.
    """

    name: str
    description: str
    init: Callable[[Key[Array, ""]], PyTree]
    base: Callable[[PyTree, Array], Array]
    head: Callable[[PyTree, Array], Array]
    weights: PyTree
    depths: tree.Rules[int | None]
    adapted: str
    pool: Mapping[str, Array]
    test: Mapping[str, Array]

    @property
    def classes(self) -> int:
        """How many the new task has."""
        return self.pool["y"].shape[1]

    @property
    def rows(self) -> int:
        """How many rows the pool has: the labels for each class."""
        return self.pool["y"].shape[0]

    @functools.cached_property
    def whole(self) -> "Rows":
        """The loss of the whole network on images."""
        return Rows(Whole(self.base, self.head), "x")

    @functools.cached_property
    def probe(self) -> tuple[Callable[..., PyTree], "Rows"]:
        """``init`` and loss of a linear model on features."""
        features = jax.eval_shape(self.base, self.weights, jax.ShapeDtypeStruct(self._image, self.pool["x"].dtype))
        model = pure(lambda rngs: MLP((features.shape[1], self.classes), rngs=rngs))
        return model.init, Rows(model.apply, "features")

    @property
    def _image(self) -> tuple[int, ...]:
        return (1, *self.pool["x"].shape[2:])

    @functools.cached_property
    def featured(self) -> tuple[dict[str, Array], dict[str, Array]]:
        """Pool and test with the features that the base makes of their images, computed once."""
        pool, test = ({**part, "features": self._features(part["x"])} for part in (self.pool, self.test))
        return pool, test

    def _features(self, rows: Array) -> Array:
        images = np.asarray(rows).reshape(-1, *rows.shape[2:])
        found = transfer.features(self.base, self.weights, images, batch_size=min(256, len(images)))
        return jnp.asarray(found).reshape(*rows.shape[:2], -1)


class Story(NamedTuple):
    """What there is to say of a subject's base.

    Attributes:
      text: paragraphs for the page: what it learnt, how well, from where.
      numbers: answers in one number, such as its accuracy on what it learnt.
      report: what the weights' file had for the base, as :class:`~jaxlab.transfer.Matched` writes it.
    """

    text: list[str]
    numbers: list[Number]
    report: str


class Source(Protocol):
    """Where a subject comes from: data that were read and checked, and a base that is trained or read when asked."""

    @property
    def rows(self) -> int:
        """Labels for each new class that there are to train and validate with."""
        ...

    def subject(self, out: Path, seed: int, rows: int) -> tuple[Subject, Story]:
        """The subject with so many rows; what is trained for it is written into the folder ``out``."""
        ...


@dataclasses.dataclass(frozen=True)
class Whole:
    """Logits of images. Its two halves have names in the compiled program, so that one can see who computes what."""

    base: Callable[[PyTree, Array], Array]
    head: Callable[[PyTree, Array], Array]

    def __call__(self, params: PyTree, images: Array, key: Key[Array, ""] | None = None) -> Array:
        """The logits."""
        with jax.named_scope("base"):
            features = self.base(params["base"], images)
        with jax.named_scope("head"):
            return self.head(params["head"], features)


@dataclasses.dataclass(frozen=True)
class Rows:
    """A classifier's loss on batches of rows: each has several examples of equal weight.

    Attributes:
      apply: ``(params, inputs, key) -> logits``.
      part: what it is applied to: ``"x"``, the images, or ``"features"``.
    """

    apply: Callable[..., Array]
    part: str

    def __call__(
        self, params: PyTree, batch: Mapping[str, Array], key: Key[Array, ""] | None
    ) -> tuple[Array, dict[str, Array]]:
        """``(loss, metrics)``."""
        inputs, labels = batch[self.part], batch["y"].reshape(-1)
        flat = {"x": inputs.reshape(-1, *inputs.shape[2:]), "y": labels}
        return Classifier(self.apply)(params, flat, key)


def in_rows(
    images: np.ndarray, labels: Int[np.ndarray, " n"], classes: int, most: int | None = None
) -> dict[str, np.ndarray]:
    """Images and labels in rows with one image of each class; images beyond the rarest class's number are left out.

    Args:
      images: leading axis of examples.
      labels: from 0 to ``classes`` - 1.
      classes: images of a row.
      most: rows, at most.

    Raises:
      ValueError: a class without an image.

    >>> rows = in_rows(np.arange(5), np.array([1, 0, 0, 1, 1]), 2)
    >>> rows["x"].tolist(), rows["y"].tolist()
    ([[1, 0], [2, 3]], [[0, 1], [0, 1]])
    """
    places = [np.flatnonzero(labels == label) for label in range(classes)]
    number = min(map(len, places))
    if not number:
        missing = [label for label, found in enumerate(places) if not len(found)]
        raise ValueError(f"labels has no example of {missing}: accepted are images of all {classes} classes")
    rows = np.stack([found[: number if most is None else min(most, number)] for found in places], axis=1)
    return {"x": images[rows], "y": labels[rows]}
