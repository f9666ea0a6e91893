"""Malignant or benign, from thirty measurements of cell nuclei: logistic regression on real data."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree
from sklearn.datasets import load_breast_cancer

from jaxlab.losses import log_loss
from jaxlab.models import MLP, pure
from jaxlab.optimizers import Recipe
from jaxlab.tasks.base import Task
from jaxlab.tasks.split import standardise, train_test_split

MODEL = pure(lambda rngs: MLP((30, 1), rngs=rngs))


def loss(params: PyTree, batch: dict[str, Array], key: Key[Array, ""] | None) -> tuple[Array, dict[str, Array]]:
    """Log loss, and ``accuracy`` at even odds."""
    logits = MODEL.apply(params, batch["x"], key)[:, 0]
    return log_loss(logits, batch["y"]), {"accuracy": jnp.mean((logits > 0) == batch["y"])}


def task() -> Task:
    """569 tumours, 114 of them for the test. Label 1 is benign. Inputs are standardised by the pool's constants."""
    inputs, labels = load_breast_cancer(return_X_y=True)
    pool, test = train_test_split({"x": inputs, "y": labels.astype(np.int32)})
    pool["x"], test["x"] = standardise(pool["x"], test["x"])
    return Task(
        name="breast_cancer",
        description="scikit-learn's breast cancer: 569 tumours, 30 measurements, standardised, malignant or benign, "
        "114 tumours for the test by a fixed permutation; a logistic model",
        data=jax.tree.map(jnp.asarray, pool),
        test=jax.tree.map(jnp.asarray, test),
        init=MODEL.init,
        loss=loss,
        metric="accuracy",
        higher_is_better=True,
        unit="fraction correct",
        target=0.94,
        batch_size=32,
        steps=300,
        recipe=Recipe("adamw", "cosine"),
        hyperparams={"learning_rate": 0.03, "weight_decay": 0.01, "total_steps": 300},
    )
