"""The arms of ``experiments.augmentation``: one network, one compiled step, and an operation more or less."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree, UInt8

from experiments import study
from jaxlab import augment, report, tasks
from jaxlab.core import hyper
from jaxlab.models import CNN, pure
from jaxlab.optimizers import Recipe
from jaxlab.report.reading import numbers, points_of, tuning_of
from jaxlab.report.study import Arm
from jaxlab.tasks.augmented import Augmented
from jaxlab.tasks.classification import Classifier
from jaxlab.tasks.fashion_mnist_cnn import DEVIATION, MEAN
from jaxlab.train import beside

NONE, RECIPE_ARM, TEXTBOOK = "none", "recipe", "textbook"
OPERATIONS = ("horizontal_flip", "shift", "rotation", "shear", "zoom", "brightness", "cutout", "mixup")
"""Those that a grey image can show, and that are not nearly another one, as a crop is nearly a shift."""
RATES = (0.005, 0.015, 0.045, 0.135)
"""What is tried where no strength is. Between the ends accuracy hardly depends on it."""
DECAY = 0.1
TRIALS = len(RATES)
"""Of every arm."""
PARTS = (1 / 12, 1 / 6, 1 / 3, 2 / 3)
"""Strengths of an operation, as parts of the largest one that is worth a search."""
DIALS = (1.0, 0.5, 0.75, 0.25)
"""Factors of all strengths together, the first tried first."""
CLASSES, BATCH = 10, 32
RECIPE = Recipe("adamw", "cosine")
# Without dropout: what is seen is what augmentation does.
MODEL = pure(lambda rngs: CNN((28, 28, 1), channels=(8, 16), hidden=32, classes=CLASSES, rngs=rngs))


def apply(params: PyTree, images: UInt8[Array, "n 28 28"], key: Key[Array, ""] | None = None) -> Array:
    """The logits of images in bytes, or in floats on the scale of bytes, which augmentation makes of them."""
    pixels = (images.astype(hyper.arithmetic_dtype()) - MEAN) / DEVIATION
    return MODEL.apply(params, pixels[..., None], key)


CLASSIFIER = Classifier(apply)


def augmented(operations: Sequence[str]) -> Augmented:
    """The loss with these operations and the textbook's, all off: an arm says how much of each.

    So all arms are one compiled program with other numbers. Geometric operations stand first, as one resampling, those
    that mix examples stand last.
    """
    wanted = {*operations, *augment.textbook().strengths}
    flow = augment.compose(*(augment.get(name).factory(0.0) for name in augment.names() if name in wanted))
    return Augmented(CLASSIFIER, flow, classes=CLASSES)


def task_of(data: tuple[PyTree, PyTree], labels: int | None, validation: int, loss: Augmented) -> tasks.Task:
    """Fashion-MNIST with so many labels to train with (None: all), and so many more to choose by.

    With few labels the pool is that many images of the whole one, by a fixed permutation, and a seed says which of
    them train.
    """
    pool, test = data
    everything = len(pool["y"])
    count = everything if labels is None else labels + validation
    chosen = np.random.RandomState(0).permutation(everything)[:count]
    name = "all" if labels is None else f"{labels:,}"
    return tasks.Task(
        name=f"fashion_mnist, {name} labels",
        description=f"Fashion-MNIST: {count - validation:,} images to train with, {validation:,} more to choose by, "
        f"drawn from {count:,} anew with every seed, and the official {len(test['y']):,} for the test; two "
        "convolutions (8, 16 channels) and a hidden layer of 32, no dropout",
        data={part: jnp.asarray(values[chosen]) for part, values in pool.items()},
        test=jax.tree.map(jnp.asarray, test),
        init=MODEL.init,
        loss=loss,
        metric="accuracy",
        higher_is_better=True,
        unit="fraction correct",
        validation_fraction=validation / count,
        batch_size=BATCH,
        recipe=RECIPE,
    )


@dataclasses.dataclass(frozen=True)
class Setting:
    """A task and how long to train on it.

    Attributes:
      task: of :func:`task_of`.
      steps: of every run.
    """

    task: tasks.Task
    steps: int

    def arm(
        self, name: str, points: Mapping[str, Sequence[float]], fixed: Mapping[str, float], reference: str = ""
    ) -> study.Arm:
        """An arm: what it varies, and what it leaves alone; operations in neither are off."""
        given = {"weight_decay": DECAY, "warmup_steps": self.steps // 10, "total_steps": self.steps}
        loss: Any = self.task.loss
        off = dict.fromkeys(loss.names, 0.0)
        return study.Arm(
            name=name,
            task=self.task,
            build=beside(RECIPE.build, loss),
            points=points,
            hyperparams={key: value for key, value in {**off, **given, **fixed}.items() if key not in points},
            steps=self.steps,
            batch_size=BATCH,
            optimizer="adamw",
            schedule="cosine",
            reference=reference or RECIPE.info.reference,
            state_bytes_per_param=RECIPE.info.state_bytes_per_param,
        )

    def none(self) -> study.Arm:
        """No operation: tunes its learning rate."""
        return self.arm(NONE, {"learning_rate": RATES}, {})

    def textbook(self) -> study.Arm:
        """The founding text's operations at its strengths; tunes what :meth:`none` tunes."""
        strengths = {name: float(jnp.asarray(value)) for name, value in augment.textbook().strengths.items()}
        return self.arm(TEXTBOOK, {"learning_rate": RATES}, strengths)

    def alone(self, name: str, rate: float) -> study.Arm:
        """One operation, at the learning rate that is best without: tunes its strength."""
        return self.arm(name, {name: strengths_of(name)}, {"learning_rate": rate}, augment.get(name).reference)

    def recipe(self, points: Mapping[str, Sequence[float]], rate: float) -> study.Arm:
        """Operations together, at the learning rate that is best without."""
        # What is varied first is judged for being at an end of what was tried. Strengths were, alone: the rate stands
        # first, and has no end.
        count = len(next(iter(points.values())))
        return self.arm(RECIPE_ARM, {"learning_rate": [rate] * count, **points}, {})


def strengths_of(name: str) -> tuple[float, ...]:
    """What an operation tries. Of a flip the largest is always."""
    info = augment.get(name)
    most = 1.0 if info.meaning == "probability" else info.search.from_unit(1.0)
    found = [float(f"{part * most:.3g}") for part in PARTS]
    # A crop's are whole numbers.
    return tuple(float(math.ceil(strength)) for strength in found) if name == "crop" else tuple(found)


def rate_of(found: report.Study) -> float:
    """The learning rate that validation chose without augmentation."""
    return arm_of(found, NONE)["hyperparams"]["learning_rate"]


def arm_of(found: report.Study, name: str) -> Arm:
    """An arm's entry."""
    return next(arm for arm in found["arms"] if arm["name"] == name)


def validated(found: report.Study, name: str) -> np.ndarray:
    """An arm's mean validation metric in each trial; NaN where a run diverged."""
    return numbers(tuning_of(arm_of(found, name))["validation"]).mean(axis=1)


def gains_of(found: report.Study) -> dict[str, float]:
    """What each operation's best strength gains on validation data over no operation, the most first."""
    base = np.nanmax(validated(found, NONE))
    gains = {arm["name"]: float(np.nanmax(validated(found, arm["name"])) - base) for arm in found["arms"]}
    del gains[NONE]
    return dict(sorted(gains.items(), key=lambda item: -item[1]))


def chosen_of(found: report.Study) -> dict[str, float]:
    """The recipe's operations at the strengths that validation chose."""
    arm = arm_of(found, RECIPE_ARM)
    names = [name for name in points_of(tuning_of(arm)) if name in augment.names()]
    return {name: arm["hyperparams"][name] for name in names if arm["hyperparams"][name]}


def together(gains: Mapping[str, float], strengths: Mapping[str, float]) -> dict[str, tuple[float, ...]]:
    """What is tried together: the best operation, the best two, all that helped; where trials are left, at half.

    Args:
      gains: of :func:`gains_of`, the most first. Where none helped, the one that did the least harm is tried.
      strengths: that were best alone.

    Returns:
      Strengths by operation, one for each trial; 0 where an operation is left out.

    >>> together({"shift": 0.02, "zoom": 0.01, "shear": 0.005, "blur": -0.1}, {"shift": 0.1, "zoom": 0.2, "shear": 8.0})
    {'shift': (0.1, 0.1, 0.1, 0.05), 'zoom': (0.0, 0.2, 0.2, 0.1), 'shear': (0.0, 8.0, 0.0, 4.0)}
    >>> together({"crop": -0.01, "shift": -0.02}, {"crop": 4.0, "shift": 0.1})
    {'crop': (4.0, 2.0, 3.0, 1.0)}
    """
    helped = [name for name, gain in gains.items() if gain > 0] or list(gains)[:1]
    more = sorted({min(2, len(helped)), len(helped)})
    tried = dict.fromkeys([(1, 1.0), *((count, dial) for dial in DIALS for count in reversed(more))])
    trials = list(tried)[:TRIALS]
    return {
        name: tuple(at(name, dial * strengths[name]) if place < count else 0.0 for count, dial in trials)
        for place, name in enumerate(helped)
    }


def dialled(strengths: Mapping[str, float]) -> dict[str, tuple[float, ...]]:
    """Operations at each of :data:`DIALS` times their strengths."""
    return {name: tuple(at(name, dial * strength) for dial in DIALS) for name, strength in strengths.items()}


def at(name: str, strength: float) -> float:
    """A strength to three digits, and never beyond the operation's largest."""
    return float(f"{min(strength, strengths_of(name)[-1]):.3g}")
