from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab.core import chain as module


def chain(*transforms) -> Any:
    """The chain, its trees untyped: these tests look into them."""
    return module.chain(*transforms)


def _spy(seen):
    """Notes the dtypes and the extra arguments that reach it."""

    def update(updates, state, params=None, **extra):
        seen.append(([leaf.dtype for leaf in jax.tree.leaves(updates)], extra))
        return updates, state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def test_full_precision_between_gradient_dtypes_at_the_ends():
    seen = []
    grads = {"a": jnp.ones(2, jnp.bfloat16), "b": jnp.ones(2, jnp.float16), "c": jnp.ones(2), "d": None}
    tx = chain(_spy(seen), optax.scale(0.5), _spy(seen))
    updates, _ = tx.update(grads, tx.init(grads))
    assert jax.tree.map(jnp.result_type, updates) == jax.tree.map(jnp.result_type, grads)
    assert all(dtype == jnp.float32 for dtypes, _ in seen for dtype in dtypes)


def test_a_small_float16_gradient_survives_the_middle():
    """1e-4 squared is below the smallest float16, and 300 squared above the largest."""
    square_and_back = chain(optax.stateless(lambda u, p: jax.tree.map(jnp.square, u)), _root())
    for value in (1e-4, 300.0):
        g = jnp.full(3, value, jnp.float16)
        np.testing.assert_array_equal(square_and_back.update(g, square_and_back.init(g))[0], g)


def _root():
    return optax.stateless(lambda u, p: jax.tree.map(jnp.sqrt, u))


def test_state_and_order_are_those_of_optax():
    parts = (optax.trace(0.9), optax.scale(0.1), optax.clip(0.05))
    ours, theirs = chain(*parts), optax.chain(*parts)
    grads = {"w": jnp.array([1.0, -0.3])}
    ours_state, theirs_state = ours.init(grads), theirs.init(grads)
    assert jax.tree.structure(ours_state) == jax.tree.structure(theirs_state)
    for _ in range(3):
        a, ours_state = ours.update(grads, ours_state)
        b, theirs_state = theirs.update(grads, theirs_state)
        np.testing.assert_array_equal(a["w"], b["w"])


def test_extra_arguments_reach_those_who_take_them_alone():
    seen = []
    tx = chain(optax.scale(1.0), _spy(seen))
    tx.update(jnp.ones(1), tx.init(jnp.ones(1)), value=3.0)
    assert seen[0][1] == {"value": 3.0}


def test_empty_tree():
    tx = chain(optax.scale(2.0), optax.trace(0.9))
    assert tx.update({}, tx.init({}))[0] == {}


def test_chains_nest():
    inner = chain(optax.scale(1 / 3), optax.scale(3.0))
    tx = chain(inner, chain(inner))
    g = jnp.full(2, 1.0078125, jnp.bfloat16)
    np.testing.assert_array_equal(tx.update(g, tx.init(g))[0], g)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_x64(dtype, x64):
    seen = []
    tx = chain(_spy(seen))
    g = jnp.ones(2, dtype)
    assert tx.update(g, tx.init(g))[0].dtype == dtype
    assert seen[0][0] == [jnp.float64]


@pytest.mark.parametrize("bad", [3, [optax.scale(1.0)], optax.scale])
def test_what_is_no_transform_is_refused(bad):
    with pytest.raises(TypeError, match=r"argument 1 is .*accepted are transforms"):
        module.chain(optax.scale(1.0), bad)
