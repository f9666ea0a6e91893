"""The handwritten digits that come with scikit-learn, for the tasks that learn them."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree
from sklearn.datasets import load_digits

from jaxlab.tasks.split import standardise, train_test_split


def digits() -> tuple[PyTree, PyTree]:
    """``(pool, test)``: 1,438 and 359 images ``x`` [n, 8, 8, 1] with labels ``y``.

    All pixels are standardised by one mean and one deviation, the pool's.

    >>> pool, test = digits()
    >>> pool["x"].shape, test["x"].shape
    ((1438, 8, 8, 1), (359, 8, 8, 1))
    """
    pixels, labels = load_digits(return_X_y=True)
    pool, test = train_test_split({"x": pixels.reshape(-1, 8, 8, 1), "y": labels.astype(np.int32)})
    pool["x"], test["x"] = standardise(pool["x"], test["x"], axis=None)
    return jax.tree.map(jnp.asarray, (pool, test))


def regularized(dropout: float, label_smoothing: float) -> str:
    """What a description says of a network's regularization; nothing where there is none.

    >>> regularized(0.2, 0.1), regularized(0.0, 0.0)
    (', dropout 0.2, label smoothing 0.1', '')
    """
    rates = {"dropout": dropout, "label smoothing": label_smoothing}
    return "".join(f", {name} {rate:g}" for name, rate in rates.items() if rate)
