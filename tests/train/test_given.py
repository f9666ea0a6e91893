"""Hyperparameters of the loss: traced beside the optimizer's, one program for all of them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.core import hyper
from jaxlab.optimizers import Recipe
from jaxlab.sweep import run_population, seed_keys
from jaxlab.tasks import as_task
from jaxlab.train import beside, init_state, make_train_step, set_hyperparams


@dataclasses.dataclass(frozen=True)
class Noisy:
    """A line fitted to inputs that are scaled by a random factor of a given strength."""

    strength: float = 0.0
    names = ("strength",)

    def __call__(self, params, batch, key):
        strength = hyper.number("strength", self.strength, "[0, 1]")
        scale = 1.0 if key is None else 1 + strength * jax.random.uniform(key, ())
        loss = jnp.mean((scale * batch["x"] @ params - batch["y"]) ** 2)
        return loss, {"residual": loss}

    def given(self, hyperparams):
        strength = hyperparams.get("strength", self.strength)
        hyper.number("strength", strength, "[0, 1]")
        return dataclasses.replace(self, strength=strength)


X = np.random.RandomState(0).randn(40, 3).astype(np.float32)
DATA = {"x": X, "y": X @ np.array([1.0, -2.0, 3.0], np.float32)}
SGD = Recipe("sgd").build


def run(loss, build, numbers, steps=5):
    state = init_state(jnp.zeros(3), build, numbers, key=jax.random.key(5))
    step = make_train_step(loss, build)
    for _ in range(steps):
        state, _ = step(state, DATA)
    return state, step


def test_a_run_at_a_strength_is_a_run_of_the_loss_with_it():
    build = beside(SGD, Noisy())
    state, step = run(Noisy(), build, {"learning_rate": 0.05, "strength": 0.5})
    fixed, _ = run(Noisy(0.5), SGD, {"learning_rate": 0.05})
    np.testing.assert_allclose(state.params, fixed.params, rtol=1e-6)
    # Another strength is another number, not another program.
    size = step._cache_size()
    state = set_hyperparams(state, build, {"learning_rate": 0.05, "strength": 0.25})
    step(state, DATA)
    assert step._cache_size() == size


def test_a_population_over_strengths_is_each_alone():
    class Mine:
        init = staticmethod(lambda key: jnp.zeros(3))
        loss = Noisy()
        data = DATA
        batch_size = 8

    task, build = as_task(Mine), beside(SGD, Noisy())
    numbers = {"learning_rate": 0.05, "strength": np.array([0.0, 0.5, 1.0])}
    found = run_population(task, build, numbers, seed_keys([1, 1, 1]), steps=20)
    for i, strength in enumerate(numbers["strength"]):
        alone = run_population(task, build, {"learning_rate": 0.05, "strength": strength}, seed_keys([1]), steps=20)
        np.testing.assert_allclose(found.states.params[i], alone.states.params[0], rtol=1e-5)
    assert len({loss.tobytes() for loss in found.train_loss}) == 3


@dataclasses.dataclass(frozen=True)
class Scaled:
    """A model with a number that belongs to it: predictions are ``scale`` times the line's."""

    scale: float = 1.0
    names = ("scale",)

    def __call__(self, params, batch, key):
        loss = jnp.mean((self.scale * batch["x"] @ params - batch["y"]) ** 2)
        return loss, {"error": loss}

    def given(self, hyperparams):
        return Scaled(hyperparams["scale"])


def test_members_are_evaluated_at_their_own():
    class Mine:
        init = staticmethod(lambda key: jnp.ones(3))
        loss = Scaled()
        data = DATA

    task = as_task(Mine)
    numbers = {"learning_rate": 0.0, "scale": np.array([0.0, 2.0])}
    found = run_population(task, beside(SGD, Scaled()), numbers, seed_keys([0, 0]), steps=1, test=True)
    predicted = task.test["x"].sum(1)
    expected = [np.mean((scale * predicted - task.test["y"]) ** 2) for scale in numbers["scale"]]
    np.testing.assert_allclose(found.test["error"], expected, rtol=1e-5)


def test_what_is_the_losss_is_checked_before_anything_is_compiled():
    build = beside(SGD, Noisy())
    with pytest.raises(ValueError, match=r"strength = 1.5: accepted is a number in \[0, 1\]"):
        init_state(jnp.zeros(3), build, {"learning_rate": 0.05, "strength": 1.5}, key=jax.random.key(0))
    with pytest.raises(ValueError, match="did you mean 'learning_rate'"):
        build({"learning_rat": 0.05})
    assert build == beside(SGD, Noisy())
    with pytest.raises(TypeError, match="accepted is one with hyperparameters of its own"):
        beside(SGD, lambda params, batch, key: 0.0)
