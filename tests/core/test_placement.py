"""A stack is spread over the devices: each works on its share, and all together say what one says alone."""

import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxlab.core import placement, storage
from jaxlab.core.matrixwise import matrixwise

kinds = pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=lambda kind: kind.name)
LAYOUTS = [P(), P("data"), P(None, "model"), P("data", "model")] * 4


class Sum(NamedTuple):
    m: Any


def _mesh(kind):
    return jax.make_mesh((4, 2), ("data", "model"), axis_types=(kind, kind), devices=jax.devices()[:8])


def _squares():
    def update(matrix, slots):
        m = slots.m + matrix.g
        return m @ m, Sum(m)

    return matrixwise(update, slots=lambda p: Sum(storage.zeros(p)))


def _gradients(mesh=None):
    rng = np.random.default_rng(0)
    # Small whole numbers: sums of products are exact in any order.
    values = [rng.integers(-4, 5, (8, 8)).astype(np.float32) for _ in LAYOUTS]
    if mesh is None:
        return [jnp.asarray(value) for value in values]
    return [jax.device_put(x, NamedSharding(mesh, spec)) for x, spec in zip(values, LAYOUTS, strict=True)]


@kinds
def test_eight_devices_do_a_share_each_of_what_one_does(kind):
    tx, mesh, alone = _squares(), _mesh(kind), _gradients()
    grads = _gradients(mesh)
    state, step = tx.init(grads), jax.jit(tx.update)
    compiled = step.lower(grads, state).compile()
    # Two matrices of sixteen on each device, in the product and in the state.
    products = re.findall(r"f32\[(\d+),8,8\]\S* dot\(", compiled.as_text())
    assert products == ["2"]
    wanted_state = tx.init(alone)
    for _ in range(2):
        assert state.slots["8x8"].m.sharding.shard_shape((16, 8, 8)) == (2, 8, 8)
        updates, state = step(grads, state)
        wanted, wanted_state = tx.update(alone, wanted_state)
        jax.tree.map(np.testing.assert_array_equal, (updates, state), (wanted, wanted_state))
        if kind == AxisType.Explicit:
            assert all(u.sharding.is_equivalent_to(g.sharding, 2) for u, g in zip(updates, grads, strict=True))


@kinds
def test_what_no_axis_divides_lies_on_all(kind):
    mesh = _mesh(kind)
    grads = _gradients(mesh)[:7]
    assert _squares().init(grads).slots["8x8"].m.is_fully_replicated
    six = _squares().init(grads[:6]).slots["8x8"].m
    assert six.sharding.shard_shape(six.shape) == (3, 8, 8)


def test_without_a_mesh_nothing_is_placed():
    assert placement.mesh_of([jnp.ones(2), np.ones(2), 1.0]) is None
    x = jnp.ones(2)
    assert placement.spread(x, None) is x is placement.whole(x, None) is placement.as_before(x, x)
    lone = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:1])
    assert placement.mesh_of([jax.device_put(x, NamedSharding(lone, P()))]) is None


def test_inside_shard_map_each_device_is_alone():
    tx, mesh = _squares(), _mesh(AxisType.Auto)
    grads = jnp.stack(_gradients()[:4])
    local = jax.shard_map(
        lambda g: tx.update(g[0], tx.init(g[0]))[0][None], mesh=mesh, in_specs=P("data"), out_specs=P("data")
    )
    np.testing.assert_array_equal(jax.jit(local)(grads), grads @ grads)
