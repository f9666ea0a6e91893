"""What each of eight devices holds: parameters, gradients and state shrink by the factor that the layout says."""

import functools

import jax
import jax.numpy as jnp
import pytest
from sharding.planned import BUILD, HYPERPARAMS, LAYOUTS, gpt, kernels, mlp

from jaxlab.core import tree
from jaxlab.core.cost import bytes_of, bytes_per_device
from jaxlab.precision import as_policy
from jaxlab.sharding import Layout, make_mesh
from jaxlab.sharding.collectives import collectives
from jaxlab.train import init_run, init_state, make_train_step
from jaxlab.train.objective import Objective, stateless

SUBJECTS = {"mlp": mlp(256, 512, 32), "gpt": gpt(64, 8, 8, 8)}
CASES = [*[("mlp", layout) for layout in LAYOUTS], ("gpt", "mixed")]


@functools.cache
def planned(name: str, layout: str):
    """The subject, its layout, and into how many parts parameters, gradients and moments are cut."""
    mesh, zero, *parts = LAYOUTS[layout]
    return SUBJECTS[name], SUBJECTS[name].layout(make_mesh(mesh), zero), parts


def held(values) -> set[int]:
    """The bytes of a tree of arrays on each device, by its shards there."""
    on = dict.fromkeys(jax.devices(), 0)
    for leaf in jax.tree.leaves(values):
        for shard in leaf.addressable_shards:
            on[shard.device] += shard.data.nbytes
    return set(on.values())


@pytest.mark.parametrize(("name", "layout"), CASES)
def test_shards_of_parameters_and_state(name: str, layout: str) -> None:
    subject, lay, (of_params, _, of_state) = planned(name, layout)
    state = init_run(subject.model.init, BUILD, HYPERPARAMS, key=jax.random.key(0), layout=lay)
    params = bytes_of(state.params)
    (on_each,) = held(state.params)
    assert on_each == bytes_per_device(state.params) == pytest.approx(params / of_params, rel=0.05)
    (on_each,) = held([leaf for leaf in jax.tree.leaves(state.opt_state) if leaf.ndim])
    assert on_each == pytest.approx(2 * params / of_state, rel=0.05)


@pytest.mark.parametrize(("name", "layout"), CASES[:-1])
def test_shards_of_gradients(name: str, layout: str) -> None:
    subject, lay, (_, of_grads, _) = planned(name, layout)

    def gradient(params, batch):
        objective = Objective(stateless(subject.loss), as_policy(None), 1, (), batch, jax.random.key(0), layout=lay)
        return objective.value_and_grad(params)[3]

    state = subject.state(lay)
    with jax.set_mesh(lay.mesh):
        compiled = jax.jit(gradient).lower(state.params, lay.abstract_batch(subject.batch)).compile()
    leaves = jax.tree.leaves(state.params)
    places = jax.tree.leaves(compiled.output_shardings)
    grads = [jax.ShapeDtypeStruct(p.shape, p.dtype, sharding=at) for p, at in zip(leaves, places, strict=True)]
    assert bytes_per_device(grads) == pytest.approx(bytes_of(grads) / of_grads, rel=0.05)
    memory = compiled.memory_analysis()
    assert memory.output_size_in_bytes == pytest.approx(bytes_of(grads) / of_grads, rel=0.05)


@pytest.mark.parametrize(("name", "layout"), [("mlp", "zero-3"), ("gpt", "mixed")])
def test_memory_of_the_compiled_step(name: str, layout: str) -> None:
    subject, lay, (of_params, _, of_state) = planned(name, layout)
    memory = subject.compiled(lay).memory_analysis()
    params = bytes_of(subject.state(lay).params)
    kept = params / of_params + 2 * params / of_state
    batch = bytes_per_device(lay.abstract_batch(subject.batch))
    assert memory.argument_size_in_bytes == pytest.approx(kept + batch, rel=0.05)
    assert memory.output_size_in_bytes == pytest.approx(kept, rel=0.05)


def test_every_kernel_is_cut_and_scales_are_not() -> None:
    subject, lay, _ = planned("gpt", "zero-3")
    params = subject.state(lay).params
    everything = dict(zip(tree.names(params), jax.tree.leaves(params), strict=True))
    cut = {name for name, leaf in everything.items() if not leaf.sharding.is_fully_replicated}
    assert cut == set(kernels(params))


def test_four_bits_count_half_a_byte() -> None:
    assert bytes_per_device({"a": jnp.zeros(6, jnp.int4), "b": jax.ShapeDtypeStruct((3,), jnp.bfloat16)}) == 9


@pytest.mark.parametrize(
    "weight",
    [lambda w: w, lambda w: w.astype(jnp.bfloat16), lambda w: w.T, lambda w: w.reshape(64, 4, 16).reshape(64, 64)],
    ids=["as it is", "cast", "turned", "reshaped"],
)
def test_stage_3_gathers_weights_again_for_the_backward_pass_whatever_a_layer_makes_of_them(weight) -> None:
    """All but the last, which forward and backward pass use one after the other."""
    layers = 4
    lay = Layout("fsdp=8", min_size=0)
    params = {str(i): jnp.ones((64, 64)) for i in range(layers)}

    def loss(params, batch, key):
        for w in params.values():
            batch = jnp.tanh(batch @ weight(w))
        return jnp.mean(batch.astype(jnp.float32) ** 2), {}

    state = init_state(params, BUILD, HYPERPARAMS, key=jax.random.key(0), layout=lay)
    compiled = make_train_step(loss, BUILD, layout=lay).lower(state, lay.put_batch(jnp.ones((16, 64)))).compile()
    gathers = sum(one.count for one in collectives(compiled) if one.kind == "all-gather")
    assert gathers >= 2 * layers - 1
