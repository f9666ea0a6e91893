"""Handwritten digits by a small perceptron."""

from jaxtyping import Array, Key, PyTree

from jaxlab.models import MLP, pure
from jaxlab.optimizers import Recipe
from jaxlab.tasks.base import Task
from jaxlab.tasks.classification import Classifier
from jaxlab.tasks.digits import digits

MODEL = pure(lambda rngs: MLP((64, 64, 64, 10), rngs=rngs))


def apply(params: PyTree, images: Array, key: Key[Array, ""] | None = None) -> Array:
    """The logits of images, their pixels in a row."""
    return MODEL.apply(params, images.reshape(images.shape[0], -1), key)


def task() -> Task:
    """1,797 images of 8 x 8 pixels, 359 of them for the test."""
    pool, test = digits()
    return Task(
        name="digits_mlp",
        description="scikit-learn's digits: 1,797 images of 8 x 8 pixels, 10 classes, 359 images for the test by a "
        "fixed permutation; a perceptron with two hidden layers of 64",
        data=pool,
        test=test,
        init=MODEL.init,
        loss=Classifier(apply),
        metric="accuracy",
        higher_is_better=True,
        unit="fraction correct",
        target=0.97,
        batch_size=64,
        steps=1_000,
        recipe=Recipe("adamw", "cosine"),
        hyperparams={"learning_rate": 1e-2, "weight_decay": 0.01, "warmup_steps": 100, "total_steps": 1_000},
    )
