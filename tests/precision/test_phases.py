"""Policies one after another: each phase is its own policy's step, on one state."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.optimizers import Recipe
from jaxlab.precision import LossScale, Phases, Policy, as_policy
from jaxlab.precision import phases as module
from jaxlab.sharding import Layout
from jaxlab.train import init_state, make_run, make_train_step, step_fn

KEY = jax.random.key(0)
BUILD = Recipe("momentum").build
RATE = {"learning_rate": 0.1}
X = jax.random.normal(KEY, (8, 4))
DATA = {"x": X, "y": X @ jnp.arange(1.0, 5.0)}


def loss(params, batch, key):
    return jnp.mean((batch["x"] @ params["w"] - batch["y"]) ** 2), {}


def fresh(policy):
    return init_state({"w": jnp.ones(4)}, BUILD, RATE, key=KEY, policy=policy)


def equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, (one.params, one.opt_state), (other.params, other.opt_state))


@pytest.fixture(scope="module")
def alone():
    """After 5 steps: 3 in bfloat16 and 2 in float32, by hand."""
    state = fresh("bfloat16")
    for policy, steps in (("bfloat16", 3), ("float32", 2)):
        step = make_train_step(loss, BUILD, policy=policy)
        for _ in range(steps):
            state, _ = step(state, DATA)
    return state


def test_a_step_of_each_phase_is_that_policys(alone, monkeypatch):
    """And the step count is read from the device once, unless a state comes from elsewhere."""
    reads = []
    monkeypatch.setattr(module, "read_step", lambda step: reads.append(int(step)) or int(step))
    phases = Phases({0: "bfloat16", 3: "float32"})
    step = make_train_step(loss, BUILD, policy=phases)
    state, metrics = step(fresh(phases), DATA)
    for _ in range(3):
        state, _ = step(state, DATA)
    saved = jax.tree.map(jnp.copy, state)
    state, _ = step(state, DATA)
    assert reads == [0]
    assert metrics["loss"].dtype == jnp.float32
    equal(state, alone)
    # Resumed within the second phase.
    step = make_train_step(loss, BUILD, policy=phases)
    state, _ = step(saved, DATA)
    assert reads == [0, 4]
    equal(state, alone)


def test_a_stretch_is_cut_where_a_phase_ends():
    phases, state, losses = Phases({0: "bfloat16", 3: "float32"}), fresh("bfloat16"), []
    run = make_run(loss, BUILD, batch_size=4, steps=4, policy=phases)
    together, metrics = run(fresh(phases), DATA)
    for policy, steps in (("bfloat16", 3), ("float32", 1)):
        state, found = make_run(loss, BUILD, batch_size=4, steps=steps, policy=policy)(state, DATA)
        losses.append(found["loss"])
    assert int(together.step) == 4
    equal(together, state)
    np.testing.assert_array_equal(metrics["loss"], np.concatenate(losses))


def test_a_loss_scale_is_held_by_phases_that_have_none():
    scale = LossScale(8.0, interval=1)
    float16 = Policy("float32", "float16", "float32", scale)
    phases = Phases({0: "float32", 2: float16, 4: "float32"})
    held = phases.policies[0]
    assert phases.policies == (held, float16, held)
    assert held.compute == "float32"
    step, state = make_train_step(loss, BUILD, policy=phases), fresh(phases)
    scales = []
    for _ in range(6):
        state, metrics = step(state, DATA)
        scales.append(float(metrics["loss_scale"]))
    assert scales == [8, 8, 16, 32, 32, 32]
    # A power of two changes no bit: the first phase is the plain one.
    plain, state = fresh("float32"), fresh(phases)
    one, other = make_train_step(loss, BUILD, policy="float32")(plain, DATA)[0], step(state, DATA)[0]
    equal(one, other)


def test_phases_and_a_layout(alone):
    layout, phases = Layout("fsdp=2,data=4", min_size=1), Phases({0: "bfloat16", 3: "float32"})
    state = init_state({"w": jnp.ones(4)}, BUILD, RATE, key=KEY, policy=phases, layout=layout)
    place = state.params["w"].sharding
    step = make_train_step(loss, BUILD, policy=phases, layout=layout)
    for _ in range(5):
        state, _ = step(state, DATA)
    assert state.params["w"].sharding == place
    np.testing.assert_allclose(state.params["w"], alone.params["w"], atol=0.02)


@pytest.mark.parametrize(
    ("policies", "error", "message"),
    [
        ([(0, "float32")], TypeError, "accepted is a policy by the step from which it holds"),
        ({}, ValueError, "the first from step 0"),
        ({5: "float32"}, ValueError, r"policies begin at steps \[5\]"),
        ({0: "float32", 1.5: "float16"}, TypeError, "policies: a step = 1.5: accepted is a whole number"),
        ({0: "float32", 1: "flaot16"}, ValueError, "did you mean 'float16'"),
        ({0: "float32", 1: Policy(compute="float16")}, ValueError, "accepted is one dtype for all"),
        ({0: "float16", 1: Policy("float32", "float16", None, LossScale(2.0))}, ValueError, "accepted is one for all"),
    ],
)
def test_bad_phases_are_named(policies, error, message):
    with pytest.raises(error, match=message):
        Phases(policies)


def test_phases_within_a_larger_program_are_refused():
    phases = Phases({0: "bfloat16", 3: "float32"})
    with pytest.raises(TypeError, match="in make_train_step and make_run"):
        step_fn(loss, BUILD, policy=phases)
    with pytest.raises(TypeError, match="accepted here are None, a Policy"):
        as_policy(phases)
    with pytest.raises(TypeError, match="accepted with Phases is a call outside of traced functions"):
        jax.eval_shape(make_train_step(loss, BUILD, policy=phases), fresh(phases), DATA)
