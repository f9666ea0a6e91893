"""Groups: other optimizers for other leaves, frozen ones, and what goes outside."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab import modifiers, optimizers

PARAMS = {
    "embed": jnp.ones((3, 2), jnp.bfloat16),
    "blocks": [{"kernel": jnp.full((2, 2), float(i + 1)), "bias": jnp.ones(2)} for i in range(2)],
    "head": {"kernel": jnp.ones((2, 1))},
}
RULES = [("embed", "frozen"), ("head", "head"), ("bias", "plain"), ("", "decoder")]


def _groups():
    own = {
        "decoder": optimizers.adamw(0.1, b1=0.8, weight_decay=0.5),
        "plain": optax.adam(0.2),
        "head": optimizers.sgd(0.5),
        "frozen": None,
    }
    return modifiers.groups(own, RULES)


def test_each_group_has_its_optimizer_rate_decay_and_betas():
    tx, params = _groups(), PARAMS
    alone = {"kernel": optimizers.adamw(0.1, b1=0.8, weight_decay=0.5), "bias": optax.adam(0.2)}
    states = {name: one.init(params["blocks"][1][name]) for name, one in alone.items()}
    state = tx.init(params)
    update = jax.jit(tx.update)
    for scale in (1.0, -2.0, 0.5):
        grads = jax.tree.map(lambda p, scale=scale: jnp.sin(scale * p), params)
        updates, state = update(grads, state, params)
        for name, one in alone.items():
            leaf = params["blocks"][1][name]
            wanted, states[name] = one.update(grads["blocks"][1][name], states[name], leaf)
            np.testing.assert_allclose(updates["blocks"][1][name], wanted, rtol=1e-5)
        np.testing.assert_allclose(updates["head"]["kernel"], -0.5 * grads["head"]["kernel"], rtol=1e-6)


def test_frozen_is_zero_updates_of_the_gradients_type_and_no_state():
    tx = _groups()
    state = tx.init(PARAMS)
    updates, after = tx.update(PARAMS, state, PARAMS)
    np.testing.assert_array_equal(updates["embed"], jnp.zeros((3, 2), jnp.bfloat16))
    assert updates["embed"].dtype == jnp.bfloat16
    assert not [leaf for leaf in jax.tree.leaves(state) if leaf.shape == (3, 2)]
    assert jax.tree.structure(after) == jax.tree.structure(state)


def test_a_frozen_gradient_does_not_inflate_the_clipped_norm():
    tx = modifiers.clip_by_global_norm(_groups(), 1.0)
    state = tx.init(PARAMS)
    grads = jax.tree.map(lambda p: 0 * p, PARAMS)
    grads["embed"] = jnp.full((3, 2), 1e4, jnp.bfloat16)
    grads["head"]["kernel"] = jnp.array([[0.6], [0.0]])
    np.testing.assert_allclose(tx.update(grads, state, PARAMS)[0]["head"]["kernel"], [[-0.3], [0.0]], rtol=1e-6)
    # All groups count: 3 and 4 make 5.
    grads["head"]["kernel"] = jnp.array([[3.0], [0.0]])
    grads["blocks"][0]["bias"] = jnp.array([4.0, 0.0])
    np.testing.assert_allclose(tx.update(grads, state, PARAMS)[0]["head"]["kernel"], [[-0.3], [0.0]], rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, 1e30])
def test_a_frozen_gradient_is_no_reason_to_skip(bad):
    grads = jax.tree.map(jnp.ones_like, PARAMS)
    grads["embed"] = jnp.full((3, 2), bad, jnp.bfloat16)
    for skip in (modifiers.skip_nonfinite, modifiers.skip_spikes):
        tx = skip(_groups())
        updates, state = tx.update(grads, tx.init(PARAMS), PARAMS, value=1.0)
        assert int(state.skipped) == 0
        np.testing.assert_array_equal(updates["embed"], jnp.zeros((3, 2), jnp.bfloat16))
        np.testing.assert_allclose(updates["head"]["kernel"], -0.5)


@pytest.mark.parametrize("decay", [modifiers.cautious_decay, modifiers.decay_to_init])
def test_a_decay_around_groups_leaves_frozen_leaves_alone(decay):
    tx = decay(modifiers.groups({"free": optimizers.sgd(0.5), "still": None}, [("a", "still"), ("", "free")]), 0.5)
    params = {"a": jnp.ones(1), "b": jnp.ones(1)}
    moved = jax.tree.map(lambda p: 3 * p, params)
    updates, _ = tx.update(params, tx.init(params), moved)
    assert updates["a"].tolist() == [0.0]
    assert updates["b"].item() < -0.5


@pytest.mark.parametrize("wrapped", [modifiers.cautious_decay, modifiers.decay_to_init, modifiers.clip_update_rms])
def test_what_is_multiplied_by_the_learning_rate_takes_that_of_the_group(wrapped):
    rates = {"a": 0.5, "b": 0.125}
    labels = [("a", "a"), ("b", "b")]
    params = {name: jnp.ones(2) for name in rates}
    grads = {"a": jnp.full(2, 4.0), "b": jnp.full(2, 3.0)}
    inner = modifiers.groups({name: optimizers.sgd(rate) for name, rate in rates.items()}, labels)
    outside = wrapped(inner)
    inside = modifiers.groups({name: wrapped(optimizers.sgd(rate)) for name, rate in rates.items()}, labels)
    # One rate behind both groups of directions is that of both.
    behind = wrapped(optax.chain(modifiers.groups({"a": optax.identity()}, [("", "a")]), optimizers.sgd(0.5)))
    moved = jax.tree.map(lambda p: 3 * p, params)
    found, wanted, common = (tx.update(grads, tx.init(params), moved)[0] for tx in (outside, inside, behind))
    for name in rates:
        np.testing.assert_array_equal(found[name], wanted[name])
    np.testing.assert_array_equal(common["a"], wanted["a"])


def test_groups_in_groups_freeze_too():
    inner = modifiers.groups({"on": optax.sgd(1.0), "off": None}, [("bias", "off"), ("", "on")])
    tx = modifiers.clip_by_global_norm(modifiers.groups({"all": inner}, lambda name, leaf: "all"), 1.0)
    params = {"bias": jnp.ones(1), "kernel": jnp.ones(1)}
    updates, _ = tx.update({"bias": jnp.full(1, 1e3), "kernel": jnp.full(1, 0.5)}, tx.init(params), params)
    assert (float(updates["bias"][0]), float(updates["kernel"][0])) == (0.0, -0.5)


def test_mistakes_are_named():
    sgd = optax.sgd(0.1)
    with pytest.raises(ValueError, match=r"labels\['head'\] = 'haed': accepted are 'body', 'head'"):
        modifiers.groups({"body": sgd, "head": sgd}, [("head", "haed"), ("", "body")])
    with pytest.raises(ValueError, match=r"transforms\['head'\]: no rule leads there"):
        modifiers.groups({"body": sgd, "head": sgd}, [("", "body")])
    with pytest.raises(ValueError, match=r"leaf 'w' has the label 'x': accepted are 'body'"):
        modifiers.groups({"body": sgd}, lambda name, leaf: "x").init({"w": jnp.ones(1)})
    with pytest.raises(ValueError, match="no rule matches 'w'"):
        modifiers.groups({"body": sgd}, [("kernel", "body")]).init({"w": jnp.ones(1)})
    with pytest.raises(TypeError, match=r"transforms\['body'\] = 0.1: accepted are an optimizer, and None"):
        modifiers.groups({"body": 0.1}, [("", "body")])
