"""Fashion-MNIST by a small convolutional network."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree, UInt8

from jaxlab.core import hyper
from jaxlab.models import CNN, pure
from jaxlab.optimizers import Recipe
from jaxlab.tasks.base import Task
from jaxlab.tasks.classification import Classifier
from jaxlab.tasks.fashion_mnist import fashion_mnist

MEAN, DEVIATION = 72.9404, 90.0212
"""Of all pixels of the pool."""

MODEL = pure(lambda rngs: CNN((28, 28, 1), channels=(32, 64), hidden=128, classes=10, dropout=0.25, rngs=rngs))


def apply(params: PyTree, images: UInt8[Array, "n 28 28"], key: Key[Array, ""] | None = None) -> Array:
    """The logits of images in bytes, a quarter of the memory: standardised here, on the way in."""
    pixels = (images.astype(hyper.arithmetic_dtype()) - MEAN) / DEVIATION
    return MODEL.apply(params, pixels[..., None], key)


def task() -> Task:
    """70,000 images of clothes, 28 x 28 grey pixels, the official 10,000 of them for the test.

    The default recipe was chosen on validation. ``python -m experiments.train --task fashion_mnist_cnn`` reached 0.9243
    on the test, stored as ``benchmarks/results/cpu-2-cores/train-fashion_mnist_cnn.json``; with seeds 1 and 2 0.9248
    and 0.9230. 4,200 steps, about ten epochs, take five minutes on two CPU cores that have nothing else to do.
    """
    pool, test = jax.tree.map(jnp.asarray, fashion_mnist())
    return Task(
        name="fashion_mnist_cnn",
        description="Fashion-MNIST: 60,000 images of 28 x 28 pixels, 10 classes, and the official 10,000 for the test; "
        "two convolutions (32, 64 channels) and a hidden layer of 128, dropout 0.25",
        data=pool,
        test=test,
        init=MODEL.init,
        loss=Classifier(apply),
        metric="accuracy",
        higher_is_better=True,
        unit="fraction correct",
        target=0.915,
        validation_fraction=0.1,
        batch_size=128,
        steps=4_200,
        recipe=Recipe("adamw", "cosine"),
        hyperparams={"learning_rate": 2e-3, "weight_decay": 0.01, "warmup_steps": 200, "total_steps": 4_200},
    )
