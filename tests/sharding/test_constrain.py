"""Activations by logical names: on automatic and explicit axes, on both, on none."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from jaxlab.sharding import constrain, make_mesh
from jaxlab.sharding.constrain import logical_spec

X = jnp.arange(64.0).reshape(8, 4, 2)


def test_without_a_mesh_and_outside_of_programs_it_is_the_identity():
    assert constrain(X, "batch", "sequence", "heads") is X
    with jax.set_mesh(make_mesh("data=8")):
        assert constrain(X, "batch") is X
    with jax.set_mesh(make_mesh("data=1", devices=jax.devices()[:1])):
        assert constrain(X, "batch", "sequence", "heads") is X


@pytest.mark.parametrize("kind", ["auto", "explicit"])
def test_axes_lie_where_their_names_say(kind):
    mesh = make_mesh("data=2,sequence=2,tensor=2", axis_types=kind)
    put = jax.jit(constrain, static_argnums=(1, 2, 3))
    with jax.set_mesh(mesh):
        x = put(X, "batch", "sequence", "heads")
        assert x.sharding.is_equivalent_to(NamedSharding(mesh, P("data", "sequence", "tensor")), 3)
        x = put(x, "batch", None, "features")
        assert x.sharding.is_equivalent_to(NamedSharding(mesh, P("data")), 3)
    assert x.tolist() == X.tolist()


def test_within_an_explicit_mesh_some_axes_may_be_automatic():
    mesh = make_mesh("data=4,tensor=2", axis_types="explicit")
    inner = jax.sharding.auto_axes(
        lambda x: 2 * constrain(x, "batch", None, "heads"), axes=("tensor",), out_sharding=P("data", None, "tensor")
    )
    with jax.set_mesh(mesh):
        x = jax.jit(inner)(jax.device_put(X, NamedSharding(mesh, P("data"))))
    assert x.tolist() == (2 * X).tolist()


def test_within_shard_map_every_device_is_alone():
    mesh = make_mesh("data=8")
    double = jax.shard_map(lambda x: 2 * constrain(x, "batch"), mesh=mesh, in_specs=P("data"), out_specs=P("data"))
    assert jax.jit(double)(X).tolist() == (2 * X).tolist()


def test_a_single_example_and_a_mapped_one_are_whole():
    with jax.set_mesh(make_mesh("data=8")):
        assert jax.jit(lambda x: constrain(x, "batch"))(X[:1]).is_fully_replicated
        mapped = jax.jit(jax.vmap(lambda x: constrain(x[None], "batch")[0]))(X)
    assert mapped.tolist() == X.tolist()


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (("batch", "length"), "axis name 'length' is unknown; accepted are batch, sequence, features, heads, hidden,"),
        ((["batch"],), r"axis name \['batch'\] is unknown; accepted are batch"),
        (("batch", None, None, None), r"4 names .* for shape \(8, 4, 2\): accepted are at most as many"),
    ],
)
def test_names_that_do_not_fit_are_refused_without_a_mesh(names, complaint):
    with pytest.raises(ValueError, match=complaint):
        constrain(X, *names)


def test_a_size_that_is_not_divided_is_named():
    complaint = (
        r"constrain: an array of shape \(8, 4, 2\): axis 2 \(heads\) is not divided by mesh axis tensor of size 4; "
        "accepted are multiples of it"
    )
    with jax.set_mesh(make_mesh("data=2,tensor=4")), pytest.raises(ValueError, match=complaint):
        jax.eval_shape(lambda x: constrain(x, "batch", None, "heads"), X)


def test_one_mesh_axis_cuts_one_axis():
    with jax.set_mesh(make_mesh("data=4,tensor=2")), pytest.raises(ValueError, match="'tensor' cuts two axes of"):
        jax.eval_shape(lambda x: constrain(x, "batch", "heads", "hidden"), X)


def test_logical_names_of_ones_own():
    assert logical_spec(("rows",), (8, 3), {"data": 4}, {"rows": "data"}) == P("data")
    assert logical_spec(("batch",), (8, 3), {"data": 2, "fsdp": 2}) in (P(("data", "fsdp")), P(("fsdp", "data")))
    assert logical_spec(("batch", "sequence"), (8,), {"sequence": 4}) == P(None)
