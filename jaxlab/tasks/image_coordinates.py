"""A photograph painted by a perceptron: the colour of a pixel from where it is."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree
from sklearn.datasets import load_sample_image

from jaxlab.core import hyper
from jaxlab.models import MLP, fourier_features, pure
from jaxlab.optimizers import Recipe
from jaxlab.tasks.base import Task
from jaxlab.tasks.regression import Regressor
from jaxlab.tasks.split import train_test_split

HEIGHT, WIDTH = 64, 96
FEATURES, DEVIATION = 128, 2.0
FREQUENCIES = DEVIATION * np.random.RandomState(0).standard_normal((2, FEATURES))
MODEL = pure(lambda rngs: MLP((2 * FEATURES, 128, 128, 3), rngs=rngs))


def apply(params: PyTree, x: Float[Array, "batch 2"], key: Key[Array, ""] | None = None) -> Float[Array, "batch 3"]:
    """Red, green and blue at coordinates ``x``."""
    return MODEL.apply(params, fourier_features(x, FREQUENCIES), key)


def photograph() -> Float[np.ndarray, "64 96 3"]:
    """The middle of scikit-learn's ``flower.jpg`` in squares of 6 x 6 pixels, each averaged; values in [0, 1].

    >>> photograph().shape
    (64, 96, 3)
    """
    pixels = load_sample_image("flower.jpg") / 255
    side = min(pixels.shape[0] // HEIGHT, pixels.shape[1] // WIDTH)
    top, left = (pixels.shape[0] - side * HEIGHT) // 2, (pixels.shape[1] - side * WIDTH) // 2
    middle = pixels[top : top + side * HEIGHT, left : left + side * WIDTH]
    return middle.reshape(HEIGHT, side, WIDTH, side, 3).mean((1, 3))


def task() -> Task:
    """6,144 pixels, 1,229 of them for the test: the painter fills in what it has not seen.

    Both coordinates are in units of the image's height. A mean squared error of e is a peak signal-to-noise
    ratio of -10 log10(e) decibels: the target of 0.0032 is 25 dB.
    """
    rows, columns = np.meshgrid(np.arange(HEIGHT), np.arange(WIDTH), indexing="ij")
    coordinates = (np.stack([rows, columns], axis=-1) + 0.5) / HEIGHT
    flat = {"x": coordinates.reshape(-1, 2), "y": photograph().reshape(-1, 3)}
    dtype = hyper.arithmetic_dtype()
    pool, test = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), train_test_split(flat))
    return Task(
        name="image_coordinates",
        description="scikit-learn's photograph of a flower, its middle at 64 x 96 pixels, colour from coordinates, "
        "1,229 pixels for the test by a fixed permutation; random Fourier features and two hidden layers of 128",
        data=pool,
        test=test,
        init=MODEL.init,
        loss=Regressor(apply),
        metric="mse",
        unit="squared error (black to white: 1)",
        target=0.0032,
        batch_size=256,
        steps=1_000,
        recipe=Recipe("adamw", "cosine"),
        hyperparams={"learning_rate": 3e-3, "weight_decay": 0.01, "warmup_steps": 50, "total_steps": 1_000},
    )
