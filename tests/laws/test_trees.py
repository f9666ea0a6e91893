"""Any tree, any container, any caller."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState
from laws import subjects
from laws.subjects import DISTINCT, PLAIN, stand_trial

every = stand_trial(DISTINCT)
plain = stand_trial(PLAIN)


@every
@pytest.mark.parametrize("tree", [{}, [], (), {"a": None, "b": [optax.MaskedNode()]}], ids=str)
def test_trees_without_leaves(subject, tree):
    tx = subject.transform()
    updates, state = tx.update(tree, tx.init(tree), tree)
    assert updates == tree
    assert jax.tree.structure(state) == jax.tree.structure(tx.init(tree))


@every
def test_a_lone_array_is_a_tree(subject):
    tx = subject.transform()
    for shape in ((), (3, 4)):
        params = jnp.ones(shape)
        updates, _ = tx.update(jnp.ones(shape), tx.init(params), params)
        assert updates.shape == shape


@every
def test_absent_and_masked_leaves_stay_so_and_do_not_matter(subject):
    tx = subject.transform()
    alone = {"w": jnp.ones((3, 4))}
    among = {"a": None, "m": optax.MaskedNode(), "w": jnp.ones((3, 4)), "z": None}
    alone_state, state = tx.init(alone), tx.init(among)
    for _ in range(2):
        wanted, alone_state = tx.update(alone, alone_state, alone)
        updates, state = tx.update(among, state, among)
        np.testing.assert_array_equal(updates["w"], wanted["w"])
        assert (updates["a"], updates["m"], updates["z"]) == (None, optax.MaskedNode(), None)


@every
def test_an_absent_gradient_gives_an_absent_update(subject):
    """Of a parameter that is there: what no loss depends on, as some callers report it, and others as zeros."""
    tx = subject.transform()
    params = {"v": jnp.ones(5), "w": jnp.ones((3, 4))}
    state = tx.init(params)
    updates, after = tx.update({"v": None, "w": jnp.ones((3, 4))}, state, params)
    others = {"w": params["w"]} | ({} if subject.name.split("-")[0] in subjects.WITHOUT else {"v": jnp.zeros(5)})
    own = {name: params[name] for name in others}
    wanted, _ = tx.update(others, tx.init(own), own)
    assert updates["v"] is None
    rounding = 1e-6 if subject.name.split("-")[0] in subjects.COUPLED else 0.0
    np.testing.assert_allclose(updates["w"], wanted["w"], rtol=rounding, atol=0.0)
    assert subjects.types(after) == subjects.types(state)


@every
def test_unknown_extra_arguments_are_ignored(subject):
    tx = subject.transform()
    params, grads = subjects.parameters(), subjects.gradients(0)
    state = tx.init(params)
    wanted = tx.update(grads, state, params)
    told = tx.update(grads, state, params, value=jnp.ones(()), value_fn=lambda p: 0.0, nobody_knows_this="word")
    jax.tree.map(np.testing.assert_array_equal, told, wanted)


@every
def test_parameters_may_be_left_out_unless_declared(subject):
    tx = subject.transform()
    params, grads = subjects.parameters(), subjects.gradients(0)
    state = tx.init(params)
    if subject.needs_params:
        with pytest.raises(ValueError, match="param"):
            tx.update(grads, state)
    else:
        jax.tree.map(np.testing.assert_array_equal, tx.update(grads, state), tx.update(grads, state, params))


class LinenModel(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1, name="head")(nn.tanh(nn.Dense(3, name="body")(x)))


class NnxModel(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.body = nnx.Linear(2, 3, rngs=rngs)
        self.head = nnx.Linear(3, 1, rngs=rngs)


def _plain_parameters() -> dict:
    rng = np.random.default_rng(0)
    shapes = {"body": {"bias": (3,), "kernel": (2, 3)}, "head": {"bias": (1,), "kernel": (3, 1)}}
    return jax.tree.map(lambda s: jnp.asarray(rng.standard_normal(s), "float32"), shapes, is_leaf=_is_shape)


def _is_shape(x) -> bool:
    return isinstance(x, tuple)


def _gradient(params: dict, i: int) -> dict:
    return jax.tree.map(lambda p: jnp.sin(p * (i + 1)), params)


@every
def test_linen_nnx_and_plain_dicts_are_trained_alike(subject):
    """To the bit, with the same names: random bits, masks and rules depend on them."""
    tx, params = subject.transform(), _plain_parameters()

    linen = TrainState.create(apply_fn=LinenModel().apply, params=jax.tree.map(jnp.copy, params), tx=tx)
    model = NnxModel(nnx.Rngs(0))
    nnx.update(model, jax.tree.map(jnp.copy, params))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)

    state = tx.init(params)
    for i in range(2):
        grads = _gradient(params, i)
        linen = linen.apply_gradients(grads=grads)
        boxed = nnx.state(model, nnx.Param)
        nnx.replace_by_pure_dict(boxed, grads)
        optimizer.update(model, boxed)
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)

    trained = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    jax.tree.map(np.testing.assert_array_equal, linen.params, params)
    jax.tree.map(np.testing.assert_array_equal, trained, params)


@plain
def test_works_inside_optax_wrappers(subject):
    """One program: each wrapper's cond and masks demand stable types. Every wrapper's own meaning holds."""
    params = {"a": jnp.ones(5), "b": jnp.ones((3, 4), jnp.bfloat16), "c": jnp.ones((3, 4), jnp.float16)}
    first, second = ({n: (jnp.cos(p * (i + 2))).astype(p.dtype) for n, p in params.items()} for i in range(2))
    bad = jax.tree.map(lambda g: jnp.full_like(g, jnp.nan), first)
    mask = {"a": True, "b": False, "c": True}
    tx = subject.transform()
    alone = {
        "every two": optax.MultiSteps(tx, 2).gradient_transformation(),
        "masked": optax.masked(tx, mask),
        "if finite": optax.apply_if_finite(tx, 3),
        "chained": optax.chain(optax.clip_by_global_norm(1e4), tx, optax.scale(0.5)),
        "bare": tx,
    }
    step = jax.jit(lambda g, states: {name: tx.update(g, states[name], params) for name, tx in alone.items()})

    fresh = {name: tx.init(params) for name, tx in alone.items()}
    updates, states = _unzip(step(first, fresh))
    for name in alone:
        assert subjects.types(states[name]) == subjects.types(fresh[name]), name
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(updates["every two"]))
    assert updates["masked"]["b"].tolist() == first["b"].tolist()
    bare = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), updates["bare"])
    among = bare
    if subject.name in subjects.WHOLE:
        own = {n: params[n] for n in "ac"}
        among = jax.tree.map(np.float32, tx.update({n: first[n] for n in "ac"}, tx.init(own), own)[0])
    for name, factor, wanted in (("masked", 1.0, among), ("if finite", 1.0, bare), ("chained", 0.5, bare)):
        for leaf in "ac":
            np.testing.assert_allclose(np.float32(updates[name][leaf]), factor * wanted[leaf], rtol=3e-3, atol=1e-7)

    # The mean of two gradients, once; a step that is not finite changes neither updates nor the inner state.
    mean = jax.tree.map(lambda x, y: (x + y) / 2, first, second)
    after_two, _ = _unzip(step(second, states))
    wanted, _ = _unzip(step(mean, fresh))
    np.testing.assert_allclose(after_two["every two"]["a"], wanted["bare"]["a"], rtol=1e-5, atol=1e-7)
    after_bad, bad_states = _unzip(step(bad, states))
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(after_bad["if finite"]))
    inner = [s["if finite"].inner_state for s in (bad_states, states)]
    jax.tree.map(np.testing.assert_array_equal, *inner)


def _unzip(results: dict) -> tuple[dict, dict]:
    return {name: pair[0] for name, pair in results.items()}, {name: pair[1] for name, pair in results.items()}
