"""Schedule-free against the official package's own steps, and what optax's is known to get wrong."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab import modifiers, optimizers
from jaxlab.modifiers import evaluation_params, schedule_free, schedule_free_adamw, schedule_free_sgd

TRACES = json.loads((pathlib.Path(__file__).parents[1] / "data" / "torch_schedule_free.json").read_text())
RUNS = {f"{run['optimizer']} {run['options']}": run for run in TRACES["runs"]}
SAID_HERE = {
    "SGDScheduleFree {}": schedule_free_sgd,
    "SGDScheduleFree {'lr': 0.1, 'momentum': 0.6, 'weight_decay': 0.1, 'warmup_steps': 5}": lambda: schedule_free_sgd(
        0.1, b1=0.6, weight_decay=0.1, warmup_steps=5
    ),
    "AdamWScheduleFree {}": schedule_free_adamw,
    "AdamWScheduleFree {'lr': 0.1, 'betas': [0.95, 0.9], 'eps': 0.001, 'weight_decay': 0.1, 'warmup_steps': 5}": (
        lambda: schedule_free_adamw(0.1, 0.95, 0.9, 1e-3, weight_decay=0.1, warmup_steps=5)
    ),
    "AdamWScheduleFree {'lr': 0.1, 'warmup_steps': 5, 'r': 1.0, 'weight_lr_power': 0.5}": (
        lambda: schedule_free_adamw(0.1, warmup_steps=5, r=1.0, weight_lr_power=0.5)
    ),
}


def trajectory(tx, start, gradients):
    """The parameters of every step, and what is to be evaluated in their place."""

    def step(carry, gradient):
        params, state = carry
        updates, state = tx.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), (params, evaluation_params(state, params))

    start = jnp.asarray(start)
    return jax.jit(lambda g: jax.lax.scan(step, (start, tx.init(start)), g)[1])(jnp.asarray(gradients))


@pytest.mark.parametrize("run", SAID_HERE)
def test_equals_the_official_package(run, x64):
    trained, evaluated = trajectory(SAID_HERE[run](), TRACES["start"], TRACES["gradients"])
    np.testing.assert_allclose(trained, RUNS[run]["trained"], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(evaluated, RUNS[run]["evaluated"], rtol=1e-10, atol=1e-12)


def test_every_trace_is_used():
    assert set(SAID_HERE) == set(RUNS)


def paper(start, gradients, rate, b1, r, power):
    """Algorithm 1 in its three sequences, each computed as it is written."""
    x = z = y = np.asarray(start, np.float64)
    largest = total = 0.0
    for t, g in enumerate(np.asarray(gradients, np.float64), 1):
        largest = max(largest, rate(t - 1))
        total += (weight := t**r * largest**power)
        z = z - rate(t - 1) * g
        x = (1 - weight / total) * x + weight / total * z
        y = (1 - b1) * z + b1 * x
    return y, x


@pytest.mark.parametrize(("b1", "r", "power"), [(0.9, 0.0, 2.0), (1.0, 0.5, 0.0), (0.3, 1.0, 1.0)])
def test_is_algorithm_one_around_gradient_descent(b1, r, power, x64):
    def rate(t):
        return 0.1 * np.minimum((t + 1) / 4, 1) * 0.97**t

    def traced(t):
        return 0.1 * jnp.minimum((jnp.float64(t) + 1) / 4, 1) * 0.97 ** jnp.float64(t)

    tx = schedule_free(optimizers.sgd(traced), b1, r, power)
    trained, evaluated = trajectory(tx, TRACES["start"], TRACES["gradients"])
    y, x = paper(TRACES["start"], TRACES["gradients"], rate, b1, r, power)
    np.testing.assert_allclose(trained[-1], y, rtol=1e-11)
    np.testing.assert_allclose(evaluated[-1], x, rtol=1e-11)


def test_a_new_b1_moves_the_parameters_and_not_the_average(x64):
    """A hyperparameter may change in the middle of a run: x and z go on from where they were."""
    start, gradients = np.array([1.0, -2.0]), np.random.default_rng(0).standard_normal((4, 2))
    params, state = jnp.asarray(start), schedule_free(optimizers.sgd(0.1), b1=0.9).init(jnp.asarray(start))
    x = z = start
    for t, (g, b1) in enumerate(zip(gradients, (0.9, 0.9, 0.5, 0.5), strict=True), 1):
        updates, state = schedule_free(optimizers.sgd(0.1), b1=b1).update(jnp.asarray(g), state, params)
        params = params + updates
        z = z - 0.1 * g
        x = x + (z - x) / t
        np.testing.assert_allclose(params, (1 - b1) * z + b1 * x, rtol=1e-12)
        np.testing.assert_allclose(evaluation_params(state, params), x, rtol=1e-12)


def test_inside_chains_and_wrappers_the_average_is_found():
    """optax.contrib.schedule_free_eval_params fails on any state but the bare one."""
    gradients = np.random.default_rng(1).standard_normal((6, 3))
    bare = schedule_free(optimizers.sgd(0.1))
    _, wanted = trajectory(bare, jnp.ones(3), gradients)
    wrapped = (
        optax.chain(optax.clip_by_global_norm(1e3), bare),
        optax.apply_if_finite(bare, 3),
        modifiers.skip_nonfinite(modifiers.clip_by_global_norm(bare, 1e3)),
    )
    for tx in wrapped:
        np.testing.assert_allclose(trajectory(tx, jnp.ones(3), gradients)[1], wanted, rtol=1e-6)
    optaxs = optax.chain(optax.contrib.schedule_free_sgd(0.1))
    with pytest.raises(AttributeError):
        optax.contrib.schedule_free_eval_params(optaxs.init(jnp.ones(3)), jnp.ones(3))


def test_bfloat16_parameters_stop_no_weights():
    """A sum of ones in bfloat16 stays at 256; then every step weighs as the 256th."""
    params = jnp.zeros(4, jnp.bfloat16)
    tx = schedule_free(optimizers.sgd(1.0), b1=1.0)

    def step(state, _):
        return tx.update(jnp.zeros(4, jnp.bfloat16), state, params)[1], None

    state = jax.jit(lambda: jax.lax.scan(step, tx.init(params), length=600)[0])()
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {jnp.dtype("float32"), jnp.dtype("int32")}
    assert float(state.change.shared.total) == 600.0


def test_state_is_no_more_than_the_official_code_keeps():
    params = jnp.ones(1000)
    for tx, values in ((schedule_free_sgd(), 1), (schedule_free_adamw(), 2)):
        assert sum(leaf.size for leaf in jax.tree.leaves(tx.init(params)) if leaf.ndim) == values * params.size


def test_a_warm_up_from_nothing_makes_no_nan():
    """At a rate of zero the weights sum up to zero."""
    tx = schedule_free(optimizers.sgd(lambda step: 0.1 * jnp.minimum(step / 2, 1)))
    trained, evaluated = trajectory(tx, jnp.ones(2), np.ones((3, 2)))
    assert trained[0].tolist() == evaluated[0].tolist() == [1.0, 1.0]
    assert np.all(np.isfinite(evaluated))


@pytest.mark.parametrize(("name", "value"), [("b1", 0.0), ("b1", 1.1), ("r", -1.0), ("weight_lr_power", -1.0)])
def test_numbers_outside_their_range_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        schedule_free(optimizers.sgd(0.1), **{name: value})
