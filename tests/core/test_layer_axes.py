"""Leaves that stack layers: what an optimizer sees is one layer, whatever its leaf holds beside it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxlab.core import leafwise as engine
from jaxlab.core import storage


def leafwise(*args, **kwargs) -> Any:
    """The engine, its trees untyped: these tests look into them."""
    return engine.leafwise(*args, **kwargs)


class Sum(NamedTuple):
    s: Any


def running_sum(store="float32", **kwargs):
    """The sum of all gradients: elementwise."""

    def update(leaf, slots, shared, t):
        s = slots.s + leaf.g
        return s, Sum(s)

    return leafwise(update, slots=lambda p: Sum(storage.zeros(p)), store=store, **kwargs)


class Row(NamedTuple):
    row: Any
    steps: Any


def normalised_rows(**kwargs):
    """What sees a whole matrix: its norm, its rows, a number of its own, and the sum over all matrices."""

    def slots(p):
        return Row(row=storage.Slot(jnp.ones(p.shape[:-1]), axes=(0,)), steps=storage.Slot(jnp.zeros(()), axes=()))

    def gather(leaf, slots, shared, t):
        return slots._replace(steps=slots.steps + 1), jnp.max(jnp.abs(leaf.g))

    def combine(shared, sums, t):
        return sums

    def update(leaf, slots, shared, t):
        row = 0.5 * slots.row + jnp.sum(leaf.g**2, -1)
        direction = leaf.g / jnp.linalg.norm(leaf.g) / row[:, None] * shared / slots.steps + jnp.mean(leaf.p)
        return direction, Row(row, slots.steps)

    return leafwise(update, slots=slots, gather=gather, combine=combine, shared=jnp.zeros(()), **kwargs)


@pytest.mark.parametrize("depth", [1, 2])
def test_a_stack_is_its_layers_one_by_one(depth):
    shape = (2, 3)[:depth]
    rng = np.random.default_rng(0)
    stacked, alone = normalised_rows(layer_axes=depth), normalised_rows()
    params = jnp.asarray(rng.standard_normal((*shape, 4, 5)), jnp.float32)

    def layers(x):
        return {str(index): x[index] for index in np.ndindex(*shape)}

    state, state_alone = stacked.init(params), alone.init(layers(params))
    assert (state.slots.row.shape, state.slots.steps.shape) == ((*shape, 4), shape)
    for _ in range(3):
        g = jnp.asarray(rng.standard_normal(params.shape), jnp.float32)
        updates, state = stacked.update(g, state, params)
        wanted, state_alone = alone.update(layers(g), state_alone, layers(params))
        for have, want in ((updates, wanted), (state.slots.row, state_alone.slots.row)):
            for name, layer in layers(have).items():
                np.testing.assert_allclose(layer, want[name], rtol=2e-6, atol=1e-6)
        np.testing.assert_allclose(state.shared, state_alone.shared, rtol=1e-6)


@pytest.mark.parametrize("store", ["float32", "bfloat16"])
def test_layers_do_not_matter_to_what_is_elementwise(store):
    """To the bit, random rounding included: storage is that of the whole leaf."""
    params = {"w": jnp.zeros((2, 3, 4)), "empty": jnp.zeros((0, 3))}
    grads = jax.tree.map(lambda p: jnp.full_like(p, 1.003), params)
    results = []
    for layer_axes in (0, 1, [("empty", 0), ("", 2)]):
        tx = running_sum(store, layer_axes=layer_axes)
        results.append(tx.update(grads, tx.update(grads, tx.init(params))[1]))
    jax.tree.map(np.testing.assert_array_equal, results[0], results[1])
    jax.tree.map(np.testing.assert_array_equal, results[0], results[2])


def test_layers_draw_their_own_bits():
    tx = leafwise(lambda leaf, slots, shared, t: (jax.random.normal(leaf.key, leaf.g.shape), slots), layer_axes=2)
    params = jnp.zeros((2, 3, 400))
    updates, _ = tx.update(params, tx.init(params))
    correlations = np.corrcoef(updates.reshape(6, 400))
    assert np.max(np.abs(correlations - np.eye(6))) < 0.25


def test_layer_axes_by_rules_and_their_errors():
    rules = [("blocks", 1), ("", 0)]
    params = {"blocks": {"scale": jnp.ones(3), "w": jnp.ones((3, 4, 5))}, "head": jnp.ones((4, 5))}
    tx = leafwise(lambda leaf, slots, shared, t: (leaf.g / jnp.linalg.norm(leaf.g), slots), layer_axes=rules)
    updates, _ = tx.update(params, tx.init(params))
    assert updates["blocks"]["scale"].tolist() == [1.0, 1.0, 1.0]
    np.testing.assert_allclose(updates["blocks"]["w"], 20**-0.5, rtol=1e-6)
    np.testing.assert_allclose(updates["head"], 20**-0.5, rtol=1e-6)

    with pytest.raises(ValueError, match=r"layer_axes = 2 for leaf 'blocks/scale' of shape \(3,\)"):
        running_sum(layer_axes=2).init(params)
    with pytest.raises(ValueError, match="no rule matches 'head'"):
        running_sum(layer_axes=rules[:1]).init(params)
    with pytest.raises(ValueError, match="layer_axes = -1"):
        running_sum(layer_axes=-1)
    for wrong in (1.0, "blocks", [1, 2], [("blocks", 0.5)]):
        with pytest.raises(TypeError, match="layer_axes"):
            running_sum(layer_axes=wrong)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=lambda kind: kind.name)
@pytest.mark.parametrize("spec", [P("data"), P(None, "data", "model"), P("data", None, "model")], ids=str)
def test_slots_of_a_stack_lie_with_their_axes(kind, spec):
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(kind, kind))
    params = jax.device_put(np.random.default_rng(0).standard_normal((4, 8, 6)), NamedSharding(mesh, spec))
    tx = normalised_rows(layer_axes=1)
    state = tx.init(params)
    row = NamedSharding(mesh, P(*(*spec, None, None)[:2]))
    for _ in range(2):
        assert state.slots.row.sharding.is_equivalent_to(row, 2)
        assert state.slots.steps.sharding.is_equivalent_to(NamedSharding(mesh, P(*spec[:1])), 1)
        updates, state = jax.jit(tx.update)(params, state, params)
        assert updates.sharding.is_equivalent_to(params.sharding, 3)
    eager, _ = tx.update(params, state, params)
    np.testing.assert_allclose(eager, jax.jit(tx.update)(params, state, params)[0], rtol=1e-5, atol=1e-6)
