"""Saved on eight devices, restored on four, on one, and on eight again: to the bit, each device its own part."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.optimizers import Recipe
from jaxlab.precision import LossScale, Policy
from jaxlab.sharding import Layout, make_mesh
from jaxlab.train import Checkpoints, abstract_state, init_run, init_state, make_run

RULES = ((r"in$", (None, "tensor")), (r"out$", ("tensor", None)))
NUMBERS = {"learning_rate": 0.01}
KEY = jax.random.key(0)

LOW = Policy(param="bfloat16", compute="float16", loss_scale=LossScale())
STATES = {
    "adamw": (Recipe("adamw"), {"ema_decay": 0.9}),
    "muon": (Recipe("muon"), {}),
    "adam in 8 bits": (
        Recipe("adam", static={"state_dtype": "int8"}),
        {"policy": LOW, "rounding": "kahan", "ema_decay": 0.5},
    ),
}


@functools.cache
def layout(text, devices=8, zero=None, *, axis_types="auto"):
    mesh = make_mesh(text, devices=jax.devices()[:devices], axis_types=axis_types)
    return Layout(mesh, RULES if "tensor" in text else (), zero=zero, min_size=64)


def init(key, layers=1):
    shapes = {"in": (16, 64), "layers": [(16, 16)] * layers, "out": (64, 8), "bias": (64,)}
    return jax.tree.map(lambda shape: jax.random.normal(key, shape), shapes, is_leaf=lambda x: isinstance(x, tuple))


@functools.cache
def abstract(kind, place):
    recipe, options = STATES[kind]
    # As many as devices: a stack of which each has one.
    make = functools.partial(init, layers=8 if kind == "muon" else 1)
    return abstract_state(make, recipe.build, NUMBERS, key=KEY, layout=place, **options)


def filled(like):
    """A state with random bits in every leaf, finite where they are floats."""
    random = np.random.default_rng(0)

    def one(leaf):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.device_put(jax.random.key(7), leaf.sharding)
        value = random.normal(size=leaf.shape) * 100
        return jax.device_put(np.asarray(np.abs(value) if leaf.dtype.kind == "u" else value, leaf.dtype), leaf.sharding)

    return jax.tree.map(one, like)


def bits(state):
    keyless = state._replace(key=jax.random.key_data(state.key))
    return jax.tree.map(lambda leaf: np.asarray(leaf).view(np.uint8) if leaf.ndim else np.asarray(leaf), keyless)


def assert_same_bits(one, other):
    jax.tree.map(np.testing.assert_array_equal, bits(one), bits(other))


@pytest.mark.parametrize("kind", STATES)
def test_another_mesh_and_another_number_of_devices_change_no_bit(kind, tmp_path):
    saved = filled(abstract(kind, layout("data=8", zero=1)))
    wanted = bits(saved)
    places = [
        layout("fsdp=2,tensor=2", devices=4),
        layout("data=1", devices=1),
        layout("data=2,fsdp=2,tensor=2", axis_types="explicit"),
        layout("data=8", zero=1),
    ]
    for step, place in enumerate(places):
        with Checkpoints(tmp_path) as checkpoints:
            checkpoints.save(step, saved)
            like = abstract(kind, place)
            assert checkpoints.differences(like) == []
            saved = checkpoints.restore(like)
        jax.tree.map(np.testing.assert_array_equal, bits(saved), wanted)
        for leaf, own in zip(jax.tree.leaves(saved), jax.tree.leaves(like), strict=True):
            assert leaf.sharding.is_equivalent_to(own.sharding, leaf.ndim)
            assert {shard.data.shape for shard in leaf.addressable_shards} == {own.sharding.shard_shape(own.shape)}


def test_a_host_state_and_a_state_of_shapes_lie_on_the_default_device(tmp_path):
    saved = filled(abstract("adamw", layout("data=8", zero=1)))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(0, saved)
        shapes = jax.eval_shape(lambda: init_state(init(KEY), Recipe("adamw").build, NUMBERS, key=KEY, ema_decay=0.9))
        host = jax.tree.map(np.asarray, saved._replace(key=()))
        for like in (shapes, host._replace(key=KEY)):
            found = checkpoints.restore(like)
            assert_same_bits(found, saved)
            assert {leaf.sharding.device_set == {jax.devices()[0]} for leaf in jax.tree.leaves(found)} == {True}


def loss_fn(params, batch, key):
    x = jnp.tanh(batch["x"] @ params["in"])
    return jnp.mean((x @ params["out"] - batch["y"]) ** 2), {}


def small(key):
    return {"in": jax.random.normal(key, (4, 16)), "out": jnp.ones((16, 1))}


def test_ten_steps_on_eight_and_ten_on_four_are_twenty_on_eight(x64, tmp_path):
    random = np.random.default_rng(1)
    data = {"x": random.normal(size=(48, 4)), "y": random.normal(size=(48, 1))}
    build, key = Recipe("muon").build, jax.random.key(0)
    eight, four = Layout("data=8", zero=1, min_size=16), layout("data=2,tensor=2", devices=4)

    def run(place):
        return make_run(loss_fn, build, batch_size=8, steps=10, total_steps=20, layout=place)

    state, on_eight = init_run(small, build, NUMBERS, key=key, layout=eight), run(eight)
    with Checkpoints(tmp_path) as checkpoints:
        state, _ = on_eight(state, data)
        checkpoints.save(10, state, wait=False)
        state, whole = on_eight(state, data)  # The state is given away while it is being written.
        like = abstract_state(small, build, NUMBERS, key=key, layout=four)
        moved, metrics = run(four)(checkpoints.restore(like), data)
    assert int(moved.step) == 20
    np.testing.assert_allclose(metrics["loss"], whole["loss"], rtol=1e-12)
    for one, other in zip(jax.tree.leaves(moved.params), jax.tree.leaves(state.params), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
