"""Tasks with a warm start and a frozen base: one base for all members, who are as they would be alone."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.optimizers import Recipe
from jaxlab.sweep import protocol, run_population, seed_keys, step_cost
from jaxlab.sweep.devices import member_mesh
from jaxlab.sweep.placed import bytes_there, placed
from jaxlab.sweep.range_test import range_test
from jaxlab.tasks import as_task, check
from jaxlab.train import init_run, make_run, whole_params

BASE = {"base": {"kernel": np.random.RandomState(0).randn(5, 7).astype(np.float32)}}
HEAD = {"head": np.full((7, 1), 0.1, np.float32)}


def init(key):
    base, head = jax.random.split(key)
    return {"base": {"kernel": jax.random.normal(base, (5, 7))}, "head": jax.random.normal(head, (7, 1))}


def loss(params, batch, key):
    out = jnp.tanh(batch["x"] @ params["base"]["kernel"]) @ params["head"]
    return jnp.mean((out - batch["y"]) ** 2), {"mse": jnp.mean((out - batch["y"]) ** 2)}


X = np.random.RandomState(1).randn(60, 5).astype(np.float32)
PLAIN = as_task(
    types.SimpleNamespace(name="plain", init=init, loss=loss, data={"x": X, "y": np.sin(X[:, :1])}, batch_size=8)
)
FROZEN = dataclasses.replace(PLAIN, frozen=BASE)
WARM = dataclasses.replace(PLAIN, start=BASE)
BUILD = Recipe("adam").build
RATES = {"learning_rate": np.array([0.01, 0.1, 0.01])}
SEEDS = [0, 0, 1]


@pytest.mark.parametrize(
    "task", [FROZEN, WARM, dataclasses.replace(FROZEN, start=HEAD)], ids=["frozen", "warm", "both"]
)
def test_members_are_as_they_would_be_alone(task):
    found = run_population(task, BUILD, RATES, seed_keys(SEEDS), steps=30, eval_every=10, test=True)
    run = make_run(loss, BUILD, batch_size=8, steps=30, validation_fraction=task.validation_fraction)
    for i, (rate, seed) in enumerate(zip(RATES["learning_rate"], SEEDS, strict=True)):
        state = init_run(
            task.initial, BUILD, {"learning_rate": rate}, key=seed_keys([seed])[0], frozen=task.which_frozen
        )
        before = whole_params(state)["base"]["kernel"]
        np.testing.assert_array_equal(before, BASE["base"]["kernel"])
        state, _ = run(state, task.data)
        params = whole_params(state)
        assert np.array_equal(params["base"]["kernel"], BASE["base"]["kernel"]) == (task.frozen is not None)
        np.testing.assert_allclose(found.states.params["head"][i], params["head"], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found.test["mse"][i], loss(params, task.test, None)[0], rtol=1e-4)
    assert (found.states.params["base"]["kernel"] is None) == (task.frozen is not None)


def test_there_is_one_base_however_many_members():
    task, mesh = dataclasses.replace(FROZEN), member_mesh(2)
    placed(task, mesh)
    assert bytes_there(task, mesh) - bytes_there_of(PLAIN, mesh) == BASE["base"]["kernel"].nbytes
    few, many = (
        run_population(task, BUILD, {"learning_rate": 0.1}, seed_keys(range(n)), steps=1).memory_bytes for n in (8, 16)
    )
    whole = run_population(WARM, BUILD, {"learning_rate": 0.1}, seed_keys(range(16)), steps=1).memory_bytes
    # Eight devices: one member more for each, in whose state are the head and its moments alone.
    assert many - few < whole - many


def bytes_there_of(task, mesh):
    placed(task, mesh)
    return bytes_there(task, mesh)


def test_a_trial_is_of_its_base():
    other = dataclasses.replace(PLAIN, frozen={"base": {"kernel": BASE["base"]["kernel"] + 1}})
    identities = [protocol.task_identity(task) for task in (PLAIN, WARM, FROZEN, other)]
    assert all(a != b for i, a in enumerate(identities) for b in identities[:i])


def test_costs_and_the_range_test_know_what_is_trained():
    cost = {name: step_cost(task, BUILD, {"learning_rate": 0.1}, 8) for name, task in (("f", FROZEN), ("w", WARM))}
    assert (cost["f"].params, cost["w"].params) == (7, 42)
    assert cost["f"].flops < cost["w"].flops
    found = range_test(FROZEN, Recipe("sgd"), seed_keys([0]), steps=50)
    assert np.isfinite(found.losses[:, :10]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": {"bsae": jnp.ones(1)}}, "task 'plain': start has a leaf 'bsae': accepted are names of parameters"),
        (
            {"frozen": {"head": jnp.ones((6, 1))}},
            r"'plain': frozen: 'head' has shape \(6, 1\): accepted is \(7, 1\)",
        ),
        ({"frozen": {**BASE, **HEAD}}, "task 'plain': frozen has every parameter"),
    ],
)
def test_a_base_that_does_not_fit_is_refused(change, message):
    task = dataclasses.replace(PLAIN, **change)
    with pytest.raises(ValueError, match=message):
        check(task, jax.random.key(0))
    with pytest.raises(ValueError, match=message.rpartition("'plain': ")[2]):
        run_population(task, BUILD, {"learning_rate": 0.1}, seed_keys([0]), steps=1)


def test_a_base_of_another_dtype_is_cast_as_in_a_run_alone():
    half = dataclasses.replace(PLAIN, frozen=jax.tree.map(lambda leaf: leaf.astype(np.float16), BASE))
    assert placed(half, member_mesh(1)).frozen["base"]["kernel"].dtype == jnp.float32


def test_a_frozen_task_is_fit_to_be_trained():
    check(FROZEN, jax.random.key(0))
    check(WARM, jax.random.key(0))
