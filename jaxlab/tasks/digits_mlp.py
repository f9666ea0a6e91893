"""Handwritten digits by a small perceptron."""

import functools
from collections.abc import Callable

from jaxtyping import Array, Key, PyTree

from jaxlab.models import MLP, pure
from jaxlab.optimizers import Recipe
from jaxlab.tasks.base import Task
from jaxlab.tasks.classification import Classifier
from jaxlab.tasks.digits import digits, regularized


# Compiled programs are found again by the identity of their functions: one pair for each rate.
@functools.cache
def network(dropout: float) -> tuple[Callable[..., PyTree], Callable[..., Array]]:
    """``init`` and ``apply`` of the perceptron that drops its hidden features with this probability."""
    model = pure(lambda rngs: MLP((64, 64, 64, 10), dropout=dropout, rngs=rngs))

    def apply(params: PyTree, images: Array, key: Key[Array, ""] | None = None) -> Array:
        """The logits of images, their pixels in a row."""
        return model.apply(params, images.reshape(images.shape[0], -1), key)

    return model.init, apply


def task(dropout: float = 0.0, label_smoothing: float = 0.0) -> Task:
    """1,797 images of 8 x 8 pixels, 359 of them for the test.

    Args:
      dropout: probability of dropping a hidden feature in training (static).
      label_smoothing: of the training's labels (static).

    Raises:
      ValueError: a number outside its range.
    """
    pool, test = digits()
    init, apply = network(dropout)
    return Task(
        name="digits_mlp",
        description="scikit-learn's digits: 1,797 images of 8 x 8 pixels, 10 classes, 359 images for the test by a "
        "fixed permutation; a perceptron with two hidden layers of 64" + regularized(dropout, label_smoothing),
        data=pool,
        test=test,
        init=init,
        loss=Classifier(apply, label_smoothing=label_smoothing),
        metric="accuracy",
        higher_is_better=True,
        unit="fraction correct",
        target=0.97,
        batch_size=64,
        steps=1_000,
        recipe=Recipe("adamw", "cosine"),
        hyperparams={"learning_rate": 1e-2, "weight_decay": 0.01, "warmup_steps": 100, "total_steps": 1_000},
    )
