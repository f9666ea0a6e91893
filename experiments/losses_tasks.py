"""The tasks of ``experiments.losses``: built-in data with wrong training targets, under any loss.

A fixed permutation decides which examples are spoilt, so that those of a smaller fraction are among those of a larger
one. Test data stay clean. Validation examples are drawn from the same pool as training examples, so they are as wrong.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from jaxlab import losses, tasks
from jaxlab.losses import cross_entropy, focal, multiclass_hinge
from jaxlab.tasks.breast_cancer import MODEL as LOGISTIC
from jaxlab.tasks.classification import Classifier
from jaxlab.tasks.digits_mlp import network
from jaxlab.tasks.line import MODEL as LINE
from jaxlab.tasks.line import NOISE
from jaxlab.tasks.regression import Regressor

DELTA = 1.345 * NOISE
"""Huber's classical choice: clean data cost it 5% of efficiency."""
LOST = -10.0
"""What a gross error makes of a target: its sign and its decimal point are lost."""
CLASSES = 10

Loss = Callable[..., Array]
# Compiled programs are found again by the identity of their functions: each is made once.
REGRESSION: dict[str, Loss] = {
    "mse": losses.mse,
    "mae": losses.mae,
    "huber, delta 1": losses.huber,
    f"huber, delta {DELTA:.2g}": functools.partial(losses.huber, delta=DELTA),
    "log_cosh": losses.log_cosh,
}
BINARY: dict[str, Loss] = {
    "log_loss": losses.log_loss,
    "hinge": losses.hinge,
    "squared_hinge": losses.squared_hinge,
    "sigmoid_focal": losses.sigmoid_focal,
}
SMOOTHED = "label smoothing 0.2"
SMOOTHING = 0.2
MANY: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    SMOOTHED: cross_entropy,
    "focal": focal,
    "multiclass_hinge": multiclass_hinge,
}


@dataclasses.dataclass(frozen=True)
class Absolute:
    """A regressor that also tells its mean absolute error, which a few gross errors do not rule."""

    regressor: Regressor

    def __call__(
        self, params: PyTree, batch: dict[str, Array], key: Key[Array, ""] | None
    ) -> tuple[Array, dict[str, Array]]:
        """``(loss, metrics)``."""
        loss, metrics = self.regressor(params, batch, key)
        predictions = self.regressor.apply(params, batch["x"], key)
        return loss, {**metrics, "mae": losses.mae(predictions, batch["y"])}


@dataclasses.dataclass(frozen=True)
class YesOrNo:
    """A logistic model under any loss for two classes, and its ``accuracy`` at even odds."""

    loss: Loss

    def __call__(
        self, params: PyTree, batch: dict[str, Array], key: Key[Array, ""] | None
    ) -> tuple[Array, dict[str, Array]]:
        """``(loss, metrics)``."""
        scores = LOGISTIC.apply(params, batch["x"], key)[:, 0]
        return self.loss(scores, batch["y"]), {"accuracy": jnp.mean((scores > 0) == batch["y"])}


def spoilt(examples: int, fraction: float) -> Int[np.ndarray, " wrong"]:
    """Which examples are wrong: the first of a fixed permutation."""
    return np.random.RandomState(1).permutation(examples)[: round(fraction * examples)]


def gross_errors(targets: Float[Array, "n 1"], fraction: float) -> Float[Array, "n 1"]:
    """Targets of which a fraction has lost sign and decimal point."""
    found = np.array(targets)
    found[spoilt(len(found), fraction)] *= LOST
    return jnp.asarray(found)


def wrong_labels(labels: Int[Array, " n"], classes: int, fraction: float) -> Int[Array, " n"]:
    """Labels of which a fraction is another class, each of the others as likely."""
    found = np.array(labels)
    wrong = spoilt(len(found), fraction)
    # Drawn for all, so that a smaller fraction has the same wrong labels.
    shift = np.random.RandomState(2).randint(1, classes, len(found))
    found[wrong] = (found[wrong] + shift[: len(wrong)]) % classes
    return jnp.asarray(found)


def line(name: str, fraction: float) -> tasks.Task:
    """The noisy line with gross errors."""
    task = tasks.get("line")
    return dataclasses.replace(
        task,
        data={**task.data, "y": gross_errors(task.data["y"], fraction)},
        loss=Absolute(Regressor(LINE.apply, REGRESSION[name])),
        metric="mae",
        unit="absolute error",
        target=None,
        description=f"{task.description}; {fraction:.0%} of the training targets times {LOST:g}",
    )


def breast_cancer(name: str, fraction: float) -> tasks.Task:
    """Malignant or benign, with wrong answers."""
    task = tasks.get("breast_cancer")
    return dataclasses.replace(
        task,
        data={**task.data, "y": wrong_labels(task.data["y"], 2, fraction)},
        loss=YesOrNo(BINARY[name]),
        target=None,
        description=f"{task.description}; {fraction:.0%} of the training labels are wrong",
    )


def digits(name: str, fraction: float) -> tasks.Task:
    """Handwritten digits, with wrong labels."""
    task = tasks.get("digits_mlp")
    _, apply = network(0.0)
    loss = Classifier(apply, MANY[name], label_smoothing=SMOOTHING if name == SMOOTHED else 0.0)
    return dataclasses.replace(
        task,
        data={**task.data, "y": wrong_labels(task.data["y"], CLASSES, fraction)},
        loss=loss,
        target=None,
        description=f"{task.description}; {fraction:.0%} of the training labels are wrong",
    )
