"""One device equals eight, whatever the layout, and state lies where its parameter lies.

In 64 bits: elements whose true gradient is zero would otherwise move by the rate times a sign of rounding
noise, which every layout draws anew. Data-parallel, FSDP, tensor-parallel and mixed leaves share one program.
"""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from laws.subjects import COUPLED, DEGENERATE, FACTORED, OF_FULL_RANK, PLAIN, ROUNDED, STACKED, stand_trial

from jaxlab.core import placement

every = stand_trial(tuple(one for one in PLAIN if one.name not in DEGENERATE) + ROUNDED + FACTORED + OF_FULL_RANK)

LAYOUT = {
    "data": P(),
    "fsdp": P("data"),
    "tensor": P(None, "model"),
    "both": P("data", "model"),
    "bias": P(("data", "model")),
}
STEPS = 3

pytestmark = pytest.mark.usefixtures("x64")


def _mesh(devices: int, kind: AxisType) -> Mesh:
    shape = (4, 2) if devices == 8 else (1, 1)
    return jax.make_mesh(shape, ("data", "model"), axis_types=(kind, kind), devices=jax.devices()[:devices])


def _parameters(mesh: Mesh) -> dict:
    rng = np.random.default_rng(0)
    values = {name: rng.standard_normal((8,) if name == "bias" else (8, 4)) for name in LAYOUT}
    return {name: jax.device_put(value, NamedSharding(mesh, LAYOUT[name])) for name, value in values.items()}


@functools.cache
def _gradients(mesh: Mesh) -> list[dict]:
    """Of a loss over a batch that is spread over the devices: every gradient is a sum over them."""
    move = jax.sharding.reshard if AxisType.Explicit in mesh.axis_types else jax.lax.with_sharding_constraint

    def loss(params, batch):
        whole = {name: move(p, NamedSharding(mesh, P())).ravel() for name, p in params.items()}
        return sum(jnp.mean(jnp.sin(batch[:, None] * p + 0.3)) for p in whole.values())

    params = _parameters(mesh)
    places = {name: p.sharding for name, p in params.items()}
    gradient = jax.jit(jax.grad(loss), out_shardings=places)
    batches = np.random.default_rng(1).standard_normal((STEPS, 16))
    return [gradient(params, jax.device_put(batch, NamedSharding(mesh, P("data")))) for batch in batches]


def _train(subject, mesh: Mesh) -> tuple[dict, object]:
    tx, params = subject.transform(), _parameters(mesh)
    state = tx.init(params)
    _assert_state_follows(state, params)

    # On automatic axes XLA may lay out as it likes what all leaves have a part in, unless it is told, as a training
    # step tells it.
    coupled = subject.name.split("-")[0] in (*COUPLED, *STACKED)
    places = jax.tree.map(lambda p: p.sharding, params) if coupled else None

    @functools.partial(jax.jit, out_shardings=(places, None))
    def step(params, state, grads):
        updates, state = tx.update(grads, state, params)
        return jax.tree.map(jnp.add, params, updates), state

    for grads in _gradients(mesh):
        params, state = step(params, state, grads)
    _assert_state_follows(state, params)
    return params, state


def _assert_state_follows(state, params) -> None:
    """Every axis of the state lies where the parameter's axis of that size lies: (8, 4), (8,) for rows, (4,).

    An axis that the parameter has not, such as a memory of past steps, lies on every device whole. A stack of
    matrices, under the matrices' shape such as 8x4, is spread over the mesh: each device has its share of them.
    """
    mesh = params["bias"].sharding.mesh
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        # What holds nothing lies nowhere: a side that is not turned has such a basis.
        if not leaf.size:
            continue
        if any(re.fullmatch(r"\d+x\d+", str(getattr(key, "key", ""))) for key in path):
            own = NamedSharding(mesh, P(placement.share(leaf.shape[0], mesh) or None))
            assert leaf.sharding.is_equivalent_to(own, leaf.ndim), (path, leaf.sharding)
        elif leaf.ndim:
            owner = params[path[-1].key]
            spec = (*owner.sharding.spec, None, None)
            axes = [spec[owner.shape.index(size)] if size in owner.shape else None for size in leaf.shape]
            own = NamedSharding(owner.sharding.mesh, P(*axes))
            assert leaf.sharding.is_equivalent_to(own, leaf.ndim), (path, leaf.sharding)
        else:
            assert leaf.is_fully_replicated, path


@functools.cache
def _on_one_device(subject) -> tuple[dict, object]:
    return _train(subject, _mesh(1, AxisType.Auto))


@every
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=lambda kind: kind.name)
def test_eight_devices_equal_one(subject, kind):
    mesh = _mesh(8, kind)
    wanted, wanted_state = _on_one_device(subject)
    params, state = _train(subject, mesh)
    for name, leaf in params.items():
        assert leaf.sharding.is_equivalent_to(NamedSharding(mesh, LAYOUT[name]), leaf.ndim)
        np.testing.assert_allclose(leaf, wanted[name], rtol=1e-11, atol=1e-13)
    for leaf, other in zip(jax.tree.leaves(state), jax.tree.leaves(wanted_state), strict=True):
        if leaf.dtype == jnp.bfloat16:
            np.testing.assert_array_equal(leaf, other)
        else:
            np.testing.assert_allclose(leaf, other, rtol=1e-11, atol=1e-13)
