"""Diabetes progression from ten measurements: linear regression on real data."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_diabetes

from jaxlab.models import MLP, pure
from jaxlab.optimizers import Recipe
from jaxlab.tasks.base import Task
from jaxlab.tasks.regression import Regressor
from jaxlab.tasks.split import standardise, train_test_split

MODEL = pure(lambda rngs: MLP((10, 1), rngs=rngs))


def task() -> Task:
    """442 patients, 88 of them for the test. Inputs and targets are standardised by the pool's constants."""
    inputs, targets = load_diabetes(return_X_y=True, scaled=False)
    raw_pool, raw_test = train_test_split({"x": inputs, "y": np.reshape(targets, (-1, 1))})
    pool, test = {}, {}
    for name in raw_pool:
        pool[name], test[name] = standardise(raw_pool[name], raw_test[name])
    return Task(
        name="diabetes",
        description="scikit-learn's diabetes: 442 patients, 10 measurements, disease progression after a year, all "
        "standardised, 88 patients for the test by a fixed permutation; a linear model",
        data=jax.tree.map(jnp.asarray, pool),
        test=jax.tree.map(jnp.asarray, test),
        init=MODEL.init,
        loss=Regressor(MODEL.apply),
        metric="mse",
        unit="squared error (the pool's variance: 1)",
        target=0.6,
        batch_size=32,
        steps=500,
        recipe=Recipe("adamw", "cosine"),
        hyperparams={"learning_rate": 0.03, "total_steps": 500},
    )
