"""Optimizers that find their own step size, and those of the curvature, go where their authors' packages go.

The numbers were written by tests/data/make_torch_step_sizes.py in float64; its header names the packages.
"""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab import optimizers

TRACES = json.loads((pathlib.Path(__file__).parents[1] / "data" / "torch_step_sizes.json").read_text())
RUNS = {f"{run['optimizer']} {run['options']}": run for run in TRACES["runs"]}

pytestmark = pytest.mark.usefixtures("x64")

# How these packages' options are called here.
NAMES = {
    "lr": "learning_rate",
    "beta": "b1",
    "beta3": "b3",
    "bias_correction": "use_bias_correction",
    "update_period": "refresh",
}
# What is always so here (decoupled decay, AdaHessian's bias correction), or is said in another way.
UNSAID = {"decouple", "adam_debias", "betas", "p"}


def _said_here(run: dict) -> optax.GradientTransformationExtraArgs:
    options = {NAMES.get(key, key): value for key, value in run["options"].items() if key not in UNSAID}
    if "betas" in run["options"]:
        options["b1"], options["b2"] = run["options"]["betas"]
    name = run["optimizer"]
    if name == "ldog":
        name, options = "dog", options | {"layerwise": True}
    if name == "sophia":
        # That package's eps is the least curvature, and its estimates are not scaled.
        options["gamma"] = 1.0
    return optimizers.get(name).factory(**options)


def _trajectory(tx) -> list:
    problem = {name: [jnp.asarray(x) for x in TRACES[name]] for name in ("start", "minimum", "curvature")}
    noise = [jnp.stack([jnp.asarray(row[i]) for row in TRACES["noise"]]) for i in range(2)]

    def step(carry, noise):
        params, state = carry
        off = jax.tree.map(jnp.subtract, params, problem["minimum"])
        curved = jax.tree.map(jnp.multiply, problem["curvature"], off)
        value = 0.3 + sum(jnp.sum(c * x) for c, x in zip(curved, off, strict=True)) / 2
        known = {
            "value": value,
            "hvp_fn": lambda p, vector: jax.tree.map(jnp.multiply, problem["curvature"], vector),
            "key": jax.random.key(0),
        }
        updates, state = tx.update(jax.tree.map(jnp.add, curved, noise), state, params, **known)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    start = problem["start"]
    return jax.jit(lambda: jax.lax.scan(step, (start, tx.init(start)), noise)[1])()


def _discrepancy(tx, run: dict) -> float:
    found = _trajectory(tx)
    wanted = [np.stack([np.asarray(row[i]) for row in run["parameters"]]) for i in range(2)]
    return max(float(np.max(np.abs(a - b))) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("name", RUNS)
def test_equals_the_authors_package(name):
    assert _discrepancy(_said_here(RUNS[name]), RUNS[name]) < 1e-10


def test_all_of_them_moved():
    start = TRACES["start"]
    for name, run in RUNS.items():
        ends = run["parameters"][-1]
        moved = sum(float(np.sum(np.abs(np.subtract(a, b)))) for a, b in zip(ends, start, strict=True))
        assert moved > 1e-6, name
