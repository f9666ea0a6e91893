"""The second-order methods where they are used: in a training step, a run, a population."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import train
from jaxlab.optimizers import Recipe
from jaxlab.sweep import run_population
from jaxlab.tasks import Task

EXAMPLES, NAMES = 16, ("lbfgs", "newton", "gauss_newton")
every = pytest.mark.parametrize("name", NAMES)


class LeastSquares:
    """A mean of squares over a matrix and a bias, and its residuals."""

    def __call__(self, params, batch, key):
        return jnp.mean(self.residuals(params, batch, key) ** 2), {}

    def residuals(self, params, batch, key):
        return batch["x"] @ params["w"] + params["b"] - batch["y"]


LOSS = LeastSquares()


def _data(noise: float = 1.0) -> dict:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((EXAMPLES, 3))
    y = x @ [1.0, -2.0, 0.5] + 0.3 + noise * rng.standard_normal(EXAMPLES)
    return {"x": jnp.asarray(x, "float32"), "y": jnp.asarray(y, "float32")}


def _solution(data) -> np.ndarray:
    design = np.column_stack([np.float64(data["x"]), np.ones(EXAMPLES)])
    return np.linalg.lstsq(design, np.float64(data["y"]))[0]


def _params(key=None) -> dict:
    return {"b": jnp.zeros(()), "w": jnp.zeros(3)}


def _start(name: str):
    recipe = Recipe(name)
    state = train.init_state(_params(), recipe.build, recipe.hyperparams({"learning_rate": 1.0}), key=jax.random.key(0))
    return recipe, state


def _assert_solved(params, data) -> None:
    np.testing.assert_allclose([*params["w"], params["b"]], _solution(data), atol=2e-5)


@every
@pytest.mark.parametrize("accumulate", [1, 2])
def test_train_step_solves_least_squares(name, accumulate):
    recipe, state = _start(name)
    step = train.make_train_step(LOSS, recipe.build, accumulate=accumulate)
    data = _data()
    # The rate that the search of this step took, beside the loss before it.
    state, metrics = step(state, data)
    assert float(metrics["learning_rate"]) > 0
    for _ in range(15 if name == "lbfgs" else 1):
        state, metrics = step(state, data)
    _assert_solved(state.params, data)
    assert int(metrics["skipped"]) == 0


@every
def test_run_solves_least_squares(name):
    recipe, state = _start(name)
    data = _data()
    state, metrics = train.make_run(LOSS, recipe.build, batch_size=EXAMPLES, steps=15)(state, data)
    _assert_solved(state.params, data)
    assert np.all(np.diff(metrics["loss"]) <= 1e-6)


@every
def test_population_solves_least_squares(name):
    """Members differ in their rate, one has no rate at all: it stays where it was, beside the others.

    A batch is all 13 examples that train. Without noise all parts of the data have one solution, whatever a
    member's split kept from training.
    """
    data = _data(noise=0.0)
    task = Task(name="squares", init=_params, loss=LOSS, data=data, test=data, batch_size=13, steps=15)
    rates = np.array([1.0, 0.7, 0.0])
    history = run_population(
        task,
        Recipe(name).build,
        Recipe(name).hyperparams({"learning_rate": rates[0]}) | {"learning_rate": rates},
        jax.random.split(jax.random.key(1), 3),
    )
    for member, rate in enumerate(rates):
        params = jax.tree.map(lambda leaf, member=member: np.asarray(leaf)[member], history.states.params)
        if rate:
            _assert_solved(params, data)
        else:
            jax.tree.map(np.testing.assert_array_equal, params, _params())
