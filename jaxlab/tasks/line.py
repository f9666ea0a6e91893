"""The noisy line y = 2x + 1: two parameters, convex, solved in closed form."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxlab.models import MLP, pure
from jaxlab.optimizers import Recipe
from jaxlab.tasks.base import Task
from jaxlab.tasks.regression import Regressor
from jaxlab.tasks.split import train_test_split

SLOPE, INTERCEPT, NOISE = 2.0, 1.0, 0.1
POINTS = 1_000
MODEL = pure(lambda rngs: MLP((1, 1), rngs=rngs))


def task() -> Task:
    """1,000 points, always the same, 200 of them for the test."""
    rng = np.random.RandomState(0)
    x = rng.uniform(-1, 1, (POINTS, 1))
    y = SLOPE * x + INTERCEPT + NOISE * rng.standard_normal((POINTS, 1))
    pool, test = train_test_split({"x": x, "y": y})
    return Task(
        name="line",
        description="1,000 points of y = 2x + 1 with noise 0.1, x uniform in [-1, 1], 200 of them for the test by a "
        "fixed permutation; a linear model",
        data=jax.tree.map(jnp.asarray, pool),
        test=jax.tree.map(jnp.asarray, test),
        init=MODEL.init,
        loss=Regressor(MODEL.apply),
        metric="mse",
        unit="squared error (noise: 0.01)",
        target=0.011,
        batch_size=32,
        steps=300,
        recipe=Recipe("sgd", "cosine"),
        hyperparams={"learning_rate": 0.3, "total_steps": 300},
    )
