"""Blocks on eight devices: codes lie as their parameter does, scales where they can, all as on one device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxlab.core import storage
from jaxlab.optimizers import adam

SHAPES = {"both": (8, 128), "fine": (8, 64), "odd": (8, 100)}
LAYOUT = {
    "both": P("data", "model"),
    "fine": P(None, "data"),  # Two blocks on four devices: they are cut where every device has all of them.
    "odd": P("data", None),
}


def _values(mesh, seed):
    rng = np.random.default_rng(seed)
    # Powers of two, so that sums in any order are the same number.
    values = {name: 2.0 ** rng.integers(-8, 0, shape) for name, shape in SHAPES.items()}
    return {
        name: jax.device_put(jnp.asarray(value, jnp.float32), NamedSharding(mesh, LAYOUT[name]))
        for name, value in values.items()
    }


def _mesh(devices, kind):
    shape = (4, 2) if devices == 8 else (1, 1)
    return jax.make_mesh(shape, ("data", "model"), axis_types=(kind, kind), devices=jax.devices()[:devices])


def _train(mesh):
    """Two steps of Adam: its first state, the last updates and the last state."""
    tx, params = adam(0.1, state_dtype="int4"), _values(mesh, 0)
    first = state = tx.init(params)
    step = jax.jit(tx.update)
    for seed in (1, 2):
        updates, state = step(_values(mesh, seed), state, params)
    return first, updates, state


@pytest.fixture(scope="module")
def alone():
    return _train(_mesh(1, AxisType.Auto))


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=lambda kind: kind.name)
def test_eight_devices_equal_one(kind, alone):
    _, wanted, wanted_state = alone
    first, updates, state = _train(_mesh(8, kind))
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(wanted_state), strict=True):
        np.testing.assert_array_equal(a, b)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), updates, wanted)
    for slot in first[0].slots:
        for name, spec in LAYOUT.items():
            stored: storage.Blocks = slot[name]
            assert stored.codes.sharding.spec == spec
            assert stored.scales.sharding.spec == (P(None, None) if name == "fine" else spec)
    if kind == AxisType.Explicit:
        for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(state), strict=True):
            assert a.sharding.is_equivalent_to(b.sharding, a.ndim) or not a.ndim
