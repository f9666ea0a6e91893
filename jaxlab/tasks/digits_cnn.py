"""Handwritten digits by a small convolutional network."""

from jaxlab.models import CNN, pure
from jaxlab.optimizers import Recipe
from jaxlab.tasks.base import Task
from jaxlab.tasks.classification import Classifier
from jaxlab.tasks.digits import digits

MODEL = pure(lambda rngs: CNN((8, 8, 1), channels=(16, 32), hidden=64, classes=10, rngs=rngs))


def task() -> Task:
    """1,797 images of 8 x 8 pixels, 359 of them for the test."""
    pool, test = digits()
    return Task(
        name="digits_cnn",
        description="scikit-learn's digits: 1,797 images of 8 x 8 pixels, 10 classes, 359 images for the test by a "
        "fixed permutation; two convolutions (16, 32 channels) and a hidden layer of 64",
        data=pool,
        test=test,
        init=MODEL.init,
        loss=Classifier(MODEL.apply),
        metric="accuracy",
        higher_is_better=True,
        unit="fraction correct",
        target=0.98,
        batch_size=64,
        steps=500,
        recipe=Recipe("adamw", "cosine"),
        hyperparams={"learning_rate": 1e-2, "weight_decay": 0.01, "warmup_steps": 50, "total_steps": 500},
    )
