"""Soft orthogonality: its gradient three ways, and what it does."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab import regularizers

SHAPES = [(5, 3), (3, 5), (4, 4), (1, 6), (6, 1), (2, 2, 3, 4), (1, 2, 1, 5), (3, 0), (0, 3)]


def transcription(w, strength):
    """Bansal et al. 2018 with a half: 1/2 |W'W - I|^2 for the matrix that the last axis leaves, by columns or rows."""
    flat = w.reshape(int(np.prod(w.shape[:-1])), w.shape[-1])
    if flat.shape[0] < flat.shape[1]:
        gap = flat @ flat.T - np.eye(flat.shape[0])
        slope = 2 * gap @ flat
    else:
        gap = flat.T @ flat - np.eye(flat.shape[1])
        slope = 2 * flat @ gap
    return strength / 2 * np.sum(gap**2), strength * slope.reshape(w.shape)


def added(params, strength, mask=None):
    tx = regularizers.orthogonality(strength, mask)
    return tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)[0]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradient_and_penalty_against_numpy_and_jax_grad(shape, x64):
    w = np.random.default_rng(0).normal(size=shape)
    penalty, slope = transcription(w, 0.3)
    np.testing.assert_allclose(added(jnp.asarray(w), 0.3), slope, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(regularizers.orthogonality_penalty(jnp.asarray(w), 0.3), penalty, rtol=1e-12)
    by_jax = jax.grad(regularizers.orthogonality_penalty)(jnp.asarray(w), 0.3)
    np.testing.assert_allclose(by_jax, slope, rtol=1e-12, atol=1e-13)


def test_the_larger_gram_matrix_has_the_same_gradient(x64):
    w = jnp.asarray(np.random.default_rng(0).normal(size=(3, 5)))
    larger = jax.grad(lambda w: 0.3 / 2 * jnp.sum((w.T @ w - jnp.eye(5)) ** 2))(w)
    np.testing.assert_allclose(added(w, 0.3), larger, rtol=1e-12)


def test_leaves_below_two_axes_pass_and_rules_hold():
    params = {"a": jnp.full((2, 2), 2.0), "b": jnp.full((2, 2), 2.0), "bias": jnp.ones(2), "scale": jnp.ones(())}
    found = added(params, [("a", 0.5), ("", 1.0)], mask=[("^b$", False), ("", True)])
    wanted = transcription(np.full((2, 2), 2.0), 0.5)[1]
    np.testing.assert_array_equal(found["a"], wanted)
    assert not any(found[name].any() for name in ("b", "bias", "scale"))
    assert regularizers.orthogonality_penalty({"bias": jnp.ones(2)}, 1.0) == 0


@pytest.mark.parametrize("shape", [(6, 3), (3, 6)], ids=str)
def test_descent_ends_at_an_orthonormal_set(shape):
    w = jnp.asarray(0.5 * np.random.default_rng(0).normal(size=shape), "float32")
    tx = optax.chain(regularizers.orthogonality(1.0), optax.sgd(0.1))

    def step(_, w):
        return optax.apply_updates(w, tx.update(jnp.zeros_like(w), tx.init(w), w)[0])

    w = np.asarray(jax.lax.fori_loop(0, 300, step, w), np.float64)
    gram = w.T @ w if shape[0] > shape[1] else w @ w.T
    np.testing.assert_allclose(gram, np.eye(3), atol=1e-6)
