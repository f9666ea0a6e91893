"""A model and data of one's own, compared by: python -m experiments.compare --task experiments.own_task:Spirals."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(nn.relu(nn.Dense(32)(nn.relu(nn.Dense(32)(x)))))


rng = np.random.default_rng(0)
arm, r = rng.integers(3, size=1200), rng.uniform(0.1, 1.0, size=1200)
angle = 2 * np.pi * (arm / 3 + r) + rng.normal(0, 0.15, size=1200)


class Spirals:
    data = {"x": np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1), "y": arm}
    metric, higher_is_better, unit = "accuracy", True, "fraction correct"

    def init(key):
        return Net().init(key, jnp.zeros((1, 2)))["params"]

    def loss(params, batch, key):
        logits = Net().apply({"params": params}, batch["x"])
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"])
        return losses.mean(), {"accuracy": jnp.mean(logits.argmax(-1) == batch["y"])}
