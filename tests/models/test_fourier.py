"""Fourier features against their formula."""

import jax.numpy as jnp
import numpy as np

from jaxlab.models import fourier_features

RNG = np.random.RandomState(0)
X, B = RNG.uniform(0, 1, (5, 2)), RNG.standard_normal((2, 3))


def test_the_formula():
    angles = 2 * np.pi * X @ B
    expected = np.concatenate([np.cos(angles), np.sin(angles)], 1)
    np.testing.assert_allclose(fourier_features(jnp.asarray(X), jnp.asarray(B)), expected, atol=2e-6)


def test_similarity_depends_on_the_difference_of_coordinates_alone():
    features = np.asarray(fourier_features(jnp.concatenate([X, X + 0.3]), 4 * B), np.float64)
    similar = features @ features.T
    np.testing.assert_allclose(similar[:5, :5], similar[5:, 5:], atol=1e-4)


def test_angles_of_many_turns_survive_half_precision():
    x = jnp.asarray(np.arange(8.0).reshape(4, 2) / 8, jnp.bfloat16)
    y = fourier_features(x, 100 * B)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.float32(y), fourier_features(x.astype(jnp.float32), 100 * B), atol=4e-3)
