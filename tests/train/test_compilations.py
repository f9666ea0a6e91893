"""Hyperparameters are data: whatever their values and types, one compilation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import optimizers, schedules
from jaxlab.train import init_state, make_train_step, set_hyperparams

BATCH = jnp.arange(4.0).reshape(2, 2)
LENGTHS = {
    "total_steps": 100.0,
    "warmup_steps": 5.0,
    "decay_steps": 20.0,
    "transition_steps": 10.0,
    "every": 10.0,
    "period": 10.0,
    "period_factor": 2.0,
}


SEEN = {"d0": 0.1, "reps_rel": 0.1}
"""First steps, which are too short by default to move a parameter of 1 in float32."""


def numbers_of(optimizer, schedule):
    """Every number that the recipe takes, none left at a default."""
    own = {name: 0.5 if default is None else default for name, default in optimizers.get(optimizer).hyperparams.items()}
    own |= {name: SEEN[name] for name in own if name in SEEN}
    info = schedules.get(schedule)
    timing = {name: LENGTHS.get(name, 0.5) for name in (*info.parameters, "warmup_steps")}
    return {"learning_rate": 0.1, **own, **timing}


def variants(numbers):
    """One changed number at a time, in every type that a number comes in."""
    kinds = (float, np.float64, np.float32, jnp.asarray, lambda x: jnp.asarray(x) * 1.0)
    for index, name in enumerate(numbers):
        changed = numbers[name] * 0.75 + 1e-3
        yield {**numbers, name: kinds[index % len(kinds)](changed)}
    yield {name: int(value) if value >= 1 else value for name, value in numbers.items()}


class Squares:
    """A loss for every optimizer: one that tells its residuals."""

    def residuals(self, params, batch, key):
        return params["w"] - batch

    def __call__(self, params, batch, key):
        return jnp.mean(self.residuals(params, batch, key) ** 2), {}


# Every optimizer and every schedule once: what makes a number static is in one of the two, not in their meeting.
RECIPES = [*((name, "cosine") for name in optimizers.names()), *(("adam", name) for name in schedules.names())]


@pytest.mark.parametrize(("optimizer", "schedule"), RECIPES)
def test_every_number_of_every_recipe_is_traced(optimizer, schedule):
    loss = Squares()
    build = optimizers.Recipe(optimizer, schedule).build
    step = make_train_step(loss, build)
    numbers = numbers_of(optimizer, schedule)
    ends = []
    for values in (numbers, *variants(numbers)):
        state = init_state({"w": jnp.ones((2, 2))}, build, values, key=jax.random.key(0))
        for _ in range(2):
            state, _ = step(state, BATCH)
        ends.append(np.asarray(state.params["w"]))
    assert step._cache_size() == 1
    assert not np.array_equal(ends[0], ends[1]), "the learning rate had no effect"


def test_a_rate_changed_in_the_state_takes_effect_without_compiling():
    def loss(params, batch, key):
        return params * batch, {}

    build = optimizers.Recipe("sgd").build
    state = init_state(jnp.zeros(()), build, {"learning_rate": 1.0}, key=jax.random.key(0))
    step = make_train_step(loss, build)
    state, first = step(state, jnp.float32(1.0))
    for rate in (0.25, np.float64(0.25), jnp.float32(0.25), np.float32(0.25)):
        state = set_hyperparams(state, build, {"learning_rate": rate})
        state, second = step(state, jnp.float32(1.0))
        assert (first["learning_rate"], second["learning_rate"]) == (1.0, 0.25)
    assert float(state.params) == -2.0
    assert step._cache_size() == 1
    with pytest.raises(ValueError, match=r"learning_rate = -1\.0"):
        set_hyperparams(state, build, {"learning_rate": -1.0})
    with pytest.raises(ValueError, match="accepted is the structure of the state's"):
        set_hyperparams(state, build, {"learning_rate": 1.0, "warmup_steps": 3})
