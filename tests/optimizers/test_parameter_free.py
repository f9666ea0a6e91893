"""Prodigy, D-Adaptation, DoG and MoMo follow their papers and their authors' own code, over whole trees."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from references.parameter_free import MUTANTS, REFERENCES, SETTINGS

from jaxlab import optimizers

STEPS = 40
# MoMo's step is a small difference of products, large ones.
TOLERANCE = {"float32": 2e-4, "float64": 1e-11}
MOMO_TOLERANCE = {"float32": 3e-3, "float64": 1e-11}
SCALES = {"matrix": 1.0, "vector": 1e-2, "scalar": 10.0}


def _problem() -> dict:
    """A quadratic whose minimum is far from the start, and the noise of its gradients and values."""
    rng = np.random.default_rng(0)
    shapes = {"matrix": (3, 4), "vector": (5,), "scalar": ()}
    start = {n: SCALES[n] * rng.standard_normal(shape) for n, shape in shapes.items()}
    minimum = {n: start[n] + 3 * SCALES[n] * rng.standard_normal(shape) for n, shape in shapes.items()}
    noise = {n: 0.3 * SCALES[n] * rng.standard_normal((STEPS, *shape)) for n, shape in shapes.items()}
    return jax.tree.map(
        np.float32, {"start": start, "minimum": minimum, "noise": noise, "floor": 0.3 + 0.2 * rng.random(STEPS)}
    )


PROBLEM = _problem()


def _rate(t):
    return 0.5 / (1 + (t - 1) / 16)


@functools.cache
def _trajectory(name: str, setting: tuple, dtype: str) -> dict:
    """What the real optimizer saw and did at each step, in one scan; numbers are traced."""
    info = optimizers.get(name)
    numbers = {key: jnp.asarray(value, dtype) for key, value in setting if key not in info.static}
    static = {key: value for key, value in setting if key in info.static}

    def run(numbers, problem):
        tx = info.factory(lambda step: _rate(jnp.asarray(step + 1, dtype)), **numbers, **static)

        def step(carry, inputs):
            p, state = carry
            noise, floor = inputs
            off = jax.tree.map(jnp.subtract, p, problem["minimum"])
            value = floor + sum(jnp.sum(x**2) for x in jax.tree.leaves(off)) / 2
            g = jax.tree.map(jnp.add, off, noise)
            updates, state = tx.update(g, state, p, value=value)
            return (optax.apply_updates(p, updates), state), {"p": p, "g": g, "value": value, "updates": updates}

        start = problem["start"]
        return jax.lax.scan(step, (start, tx.init(start)), (problem["noise"], problem["floor"]))[1]

    problem = jax.tree.map(lambda x: jnp.asarray(x, dtype), PROBLEM)
    return jax.tree.map(np.float64, jax.jit(run)(numbers, problem))


def _discrepancy(name: str, reference, setting: dict, dtype: str) -> float:
    """The largest relative error of any step: norm of the difference over norm of the reference."""
    run = _trajectory(name, tuple(setting.items()), dtype)
    exact = {key: float(np.dtype(dtype).type(x)) if isinstance(x, float) else x for key, x in setting.items()}
    state, worst = {}, 0.0
    for i in range(STEPS):
        # From the point where the optimizer stood: an error is one of this step, or of what is remembered.
        now = jax.tree.map(lambda x, i=i: x[i], run)
        known = {"value": now["value"]} if "momo" in name else {}
        wanted, state = reference(now["g"], now["p"], state, i + 1, learning_rate=_rate(i + 1), **known, **exact)
        off = sum(np.sum((now["updates"][n] - wanted[n]) ** 2) for n in wanted)
        size = sum(np.sum(x**2) for x in wanted.values())
        # Where nothing is to move, nothing may.
        worst = max(worst, float(np.sqrt(off / size)) if size else float(np.sign(off)))
    return worst


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """The dtype of all arithmetic, each in turn."""
    jax.config.update("jax_enable_x64", request.param == "float64")
    yield request.param
    jax.config.update("jax_enable_x64", False)


def _tolerance(name: str, dtype: str) -> float:
    return (MOMO_TOLERANCE if "momo" in name else TOLERANCE)[dtype]


CASES = [(name, setting) for name in REFERENCES for setting in SETTINGS[name]]


@pytest.mark.parametrize(("name", "setting"), CASES, ids=str)
def test_agrees_with_the_transcription(name, setting, dtype):
    assert _discrepancy(name, REFERENCES[name], setting, dtype) <= _tolerance(name, dtype)


@pytest.mark.parametrize(("name", "wrong"), [(name, wrong) for name in MUTANTS for wrong in MUTANTS[name]], ids=str)
def test_refuses_the_mutant(name, wrong, dtype):
    assert _discrepancy(name, MUTANTS[name][wrong], SETTINGS[name][-1], dtype) > 10 * _tolerance(name, dtype)


@pytest.mark.parametrize("name", REFERENCES)
def test_settings_name_every_number(name):
    numbers = set(optimizers.get(name).hyperparams)
    assert numbers <= set(inspect.signature(REFERENCES[name]).parameters)
    assert numbers <= set(SETTINGS[name][-1])
