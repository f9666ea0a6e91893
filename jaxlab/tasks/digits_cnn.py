"""Handwritten digits by a small convolutional network."""

import functools

from jaxlab.models import CNN, PureModel, pure
from jaxlab.optimizers import Recipe
from jaxlab.tasks.base import Task
from jaxlab.tasks.classification import Classifier
from jaxlab.tasks.digits import digits, regularized


# Compiled programs are found again by the identity of a model: one for each rate.
@functools.cache
def network(dropout: float) -> PureModel:
    """The network that drops pooled and hidden features with this probability."""
    return pure(lambda rngs: CNN((8, 8, 1), channels=(16, 32), hidden=64, classes=10, dropout=dropout, rngs=rngs))


def task(dropout: float = 0.0, label_smoothing: float = 0.0) -> Task:
    """1,797 images of 8 x 8 pixels, 359 of them for the test.

    Args:
      dropout: probability of dropping a pooled or hidden feature in training (static).
      label_smoothing: of the training's labels (static).

    Raises:
      ValueError: a number outside its range.
    """
    pool, test = digits()
    model = network(dropout)
    return Task(
        name="digits_cnn",
        description="scikit-learn's digits: 1,797 images of 8 x 8 pixels, 10 classes, 359 images for the test by a "
        "fixed permutation; two convolutions (16, 32 channels) and a hidden layer of 64"
        + regularized(dropout, label_smoothing),
        data=pool,
        test=test,
        init=model.init,
        loss=Classifier(model.apply, label_smoothing=label_smoothing),
        metric="accuracy",
        higher_is_better=True,
        unit="fraction correct",
        target=0.98,
        batch_size=64,
        steps=500,
        recipe=Recipe("adamw", "cosine"),
        hyperparams={"learning_rate": 1e-2, "weight_decay": 0.01, "warmup_steps": 50, "total_steps": 500},
    )
