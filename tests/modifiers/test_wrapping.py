"""What all modifiers share: any optax optimizer inside, in full precision; states that alias nothing; lengths kept."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from laws.subjects import types

from jaxlab import modifiers, optimizers

PARAMS = {"a": jnp.ones((3, 2), jnp.bfloat16), "b": jnp.ones(4, jnp.float16)}


@pytest.mark.parametrize(
    "wrap",
    [
        modifiers.cautious,
        modifiers.centralise,
        modifiers.clip_by_global_norm,
        modifiers.skip_nonfinite,
        lambda inner: modifiers.graft(inner, optax.adam(0.1)),
        lambda inner: modifiers.groups({"all": inner}, [("", "all")]),
    ],
    ids=["cautious", "centralise", "clip_by_global_norm", "skip_nonfinite", "graft", "groups"],
)
def test_an_optax_optimizer_of_half_precision_parameters_keeps_its_types(wrap):
    """On its own, optax.adam turns its bfloat16 state to float32 at the first float32 gradient."""
    tx = wrap(optax.adam(0.1))
    state = tx.init(PARAMS)
    assert {leaf.dtype for leaf in jax.tree.leaves(state) if leaf.ndim} == {jnp.dtype(jnp.float32)}
    for dtype in (jnp.bfloat16, jnp.float32):
        grads = jax.tree.map(lambda p, dtype=dtype: p.astype(dtype), PARAMS)
        updates, after = jax.eval_shape(tx.update, grads, state, PARAMS)
        assert types(after) == types(state)
        assert {leaf.dtype for leaf in jax.tree.leaves(updates)} == {jnp.dtype(dtype)}


def test_the_initial_point_is_a_copy():
    tx, params = modifiers.decay_to_init(optimizers.sgd(0.5), 0.5), {"w": jnp.array([1.0, 2.0])}
    state = tx.init(params)
    step = jax.jit(lambda p, s: tx.update(jax.tree.map(jnp.zeros_like, p), s, p), donate_argnums=(0, 1))
    updates, _ = step(params, state)
    np.testing.assert_array_equal(updates["w"], [0.0, 0.0])


def test_the_pull_is_the_papers_penalty_under_gradient_descent():
    """loss + lambda / 2 |p - p0|^2, differentiated."""
    start, target = jnp.array([1.0, -2.0]), jnp.array([3.0, 0.5])
    tx, p = modifiers.decay_to_init(optimizers.sgd(0.1), 0.4), start
    q, state = start, tx.init(start)
    for _ in range(5):
        updates, state = tx.update(p - target, state, p)
        p = p + updates
        q = q - 0.1 * ((q - target) + 0.4 * (q - start))
    np.testing.assert_allclose(p, q, rtol=1e-6)


def test_grafted_steps_have_the_others_length_layer_by_layer():
    tx = modifiers.graft(optimizers.adam(7.0), optax.sgd(0.5), layer_axes=1)
    g = jnp.array([[3.0, 4.0], [0.3, 0.4]])
    updates, _ = tx.update(g, tx.init(g))
    np.testing.assert_allclose(jnp.linalg.norm(updates, axis=1), [2.5, 0.25], rtol=1e-5)


def test_centralise_keeps_the_outputs_apart():
    g = jnp.arange(24.0).reshape(2, 3, 4) ** 2
    tx = modifiers.centralise(optax.sgd(1.0))
    updates, _ = tx.update({"k": g}, tx.init({"k": g}))
    np.testing.assert_allclose(updates["k"].mean((0, 1)), 0, atol=1e-4)
    layered, _ = modifiers.centralise(optax.sgd(1.0), layer_axes=1).update({"k": g}, tx.init({"k": g}))
    np.testing.assert_allclose(layered["k"].mean(1), 0, atol=1e-4)
    with pytest.raises(TypeError, match="axis = None"):
        modifiers.centralise(optax.sgd(1.0), axis=None)
