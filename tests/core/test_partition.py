"""Each leaf meets its own transform alone, whatever the tree and whoever calls."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab import optimizers
from jaxlab.core.partition import PartitionState, partition

PARAMS = {"encoder": {"bias": jnp.ones(3), "kernel": jnp.ones((2, 3))}, "head": [jnp.full(2, 2.0), jnp.ones(())]}
RULES = [("bias$", "sgd"), ("^head/1", "frozen"), ("", "adam")]


def _transform():
    return partition({"adam": optimizers.adam(0.1), "sgd": optimizers.sgd(0.5), "frozen": None}, RULES)


def test_each_leaf_moves_as_its_transform_alone_moves_it():
    tx = _transform()
    state = tx.init(PARAMS)
    adam, sgd = optimizers.adam(0.1), optimizers.sgd(0.5)
    kernel, adam_state = PARAMS["encoder"]["kernel"], adam.init(PARAMS["encoder"]["kernel"])
    for scale in (1.0, -0.3, 2.0):
        grads = jax.tree.map(lambda p, scale=scale: scale * (1 + p), PARAMS)
        updates, state = jax.jit(tx.update)(grads, state, PARAMS)
        wanted, adam_state = adam.update(grads["encoder"]["kernel"], adam_state, kernel)
        np.testing.assert_allclose(updates["encoder"]["kernel"], wanted, rtol=1e-6)
        bias = grads["encoder"]["bias"]
        np.testing.assert_array_equal(updates["encoder"]["bias"], sgd.update(bias, sgd.init(bias))[0])
        assert float(updates["head"][1]) == 0.0


def test_a_transform_keeps_state_of_its_own_leaves_alone():
    state = _transform().init(PARAMS)
    assert isinstance(state, PartitionState)
    assert dict(state.routes)["head/1"] == "frozen"
    sizes = {label: sum(x.size for x in jax.tree.leaves(inner) if x.ndim) for label, inner in state.inner.items()}
    assert sizes == {"adam": 2 * (6 + 2), "sgd": 0}


def test_absent_and_masked_gradients_stay_absent():
    tx = _transform()
    state = tx.init(PARAMS)
    grads = {"encoder": {"bias": None, "kernel": jnp.ones((2, 3))}, "head": [jnp.ones(2), jnp.ones(())]}
    updates, after = tx.update(grads, state, PARAMS)
    assert updates["encoder"]["bias"] is None
    assert jax.tree.structure(after) == jax.tree.structure(state)


def test_functions_of_the_parameters_are_functions_of_the_own_leaves():
    """The others stand still: a partition of the coordinates, for whoever asks more than a gradient."""
    seen = {}

    def look(updates, state, params=None, **extra):
        other = jax.tree.map(lambda p: p + 1, params)
        seen["value"] = extra["value_fn"](other)
        seen["grad"] = extra["grad_fn"](other)
        seen["hvp"] = extra["hvp_fn"](params, other)
        return updates, state

    tx = partition(
        {"mine": optax.GradientTransformationExtraArgs(lambda p: optax.EmptyState(), look), "other": None},
        [("a", "mine"), ("b", "other")],
    )

    def loss(params):
        return jnp.sum(params["a"] ** 2) * jnp.sum(params["b"])

    params = {"a": jnp.array([1.0, 2.0]), "b": jnp.array([3.0])}
    hvp = lambda at, vector: jax.jvp(jax.grad(loss), (at,), (vector,))[1]  # noqa: E731
    tx.update(params, tx.init(params), params, value_fn=loss, grad_fn=jax.grad(loss), hvp_fn=hvp)
    assert float(seen["value"]) == (4 + 9) * 3
    np.testing.assert_array_equal(seen["grad"]["a"], [12.0, 18.0])
    np.testing.assert_array_equal(seen["hvp"]["a"], [12.0, 18.0])
    assert set(seen["grad"]) == set(seen["hvp"]) == {"a"}


def test_gradients_of_single_examples_are_those_of_the_own_leaves():
    examples = {"a": jnp.array([[1.0], [2.0]]), "b": jnp.array([[3.0], [4.0]])}
    seen = {}

    def per_example_grad_fn(params, each=None, microbatch=None):
        return examples if each is None else jax.tree.map(lambda x: (x.sum(), microbatch), jax.vmap(each)(examples))

    def look(updates, state, params=None, **extra):
        seen["all"] = extra["per_example_grad_fn"](params)
        seen["sum"] = extra["per_example_grad_fn"](params, each=lambda g: {**g, "count": jnp.ones(())}, microbatch=2)
        return updates, state

    mine = optax.GradientTransformationExtraArgs(lambda p: optax.EmptyState(), look)
    tx, params = partition({"mine": mine, "other": None}, [("a", "mine"), ("b", "other")]), {"a": 0.0, "b": 0.0}
    tx.update(params, tx.init(params), params, per_example_grad_fn=per_example_grad_fn)
    assert set(seen["all"]) == {"a"}
    assert seen["sum"] == {"a": (3.0, 2), "count": (2.0, 2)}


def test_without_parameters_a_part_is_given_its_own_gradient():
    seen = {}

    def look(updates, state, params=None, **extra):
        seen.update(extra)
        return updates, state

    mine = optax.GradientTransformationExtraArgs(lambda p: optax.EmptyState(), look)
    tx, grads = partition({"mine": mine, "other": None}, [("a", "mine"), ("b", "other")]), {"a": 1.0, "b": 2.0}
    tx.update(grads, tx.init(grads), grad=grads)
    assert seen == {"grad": {"a": 1.0}}


def test_bad_input():
    with pytest.raises(ValueError, match="at least one label"):
        partition({}, [])
    with pytest.raises(TypeError, match=r"transforms\['x'\] = 3: accepted are a transform, and None"):
        partition({"x": 3}, [])
    with pytest.raises(ValueError, match="leaf 'a' has the label 'slow': accepted are 'fast'"):
        partition({"fast": optax.sgd(1.0)}, [("", "slow")]).init({"a": jnp.ones(1)})
    with pytest.raises(ValueError, match="leaf 'a' has the label -100: accepted are 'fast'"):
        partition({"fast": optax.sgd(1.0)}, lambda name, leaf: -100).init({"a": jnp.ones(1)})
    with pytest.raises(ValueError, match="no rule matches 'a'"):
        partition({"fast": optax.sgd(1.0)}, [("b", "fast")]).init({"a": jnp.ones(1)})
    with pytest.raises(ValueError, match=r"several leaves of the names \['a/b'\]"):
        partition({"fast": optax.sgd(1.0)}, [("", "fast")]).init({"a/b": jnp.ones(1), "a": {"b": jnp.ones(2)}})
