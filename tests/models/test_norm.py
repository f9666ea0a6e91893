"""RMSNorm against its formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxlab.models import RMSNorm
from jaxlab.models.norm import rms_norm

X = np.random.RandomState(0).standard_normal((2, 3, 8)).astype(np.float32)


def test_the_formula():
    expected = X / np.sqrt(np.mean(np.float64(X) ** 2, -1, keepdims=True) + 1e-2)
    np.testing.assert_allclose(rms_norm(X, 1e-2), expected, rtol=1e-6)


def test_scale_multiplies_and_starts_at_one():
    module = RMSNorm(8)
    np.testing.assert_array_equal(module(jnp.asarray(X)), rms_norm(jnp.asarray(X)))
    module.scale[...] = jnp.arange(8.0)
    np.testing.assert_allclose(module(jnp.asarray(X)), rms_norm(jnp.asarray(X)) * np.arange(8), rtol=1e-6)
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(nnx.state(module))]
    assert len(names) == 1
    assert "scale" in names[0]


def test_half_precision_neither_overflows_nor_leaves_its_dtype():
    for dtype in (jnp.float16, jnp.bfloat16):
        y = rms_norm(jnp.full((2, 8), 1e4, dtype))  # whose squares float16 does not hold
        assert y.dtype == dtype
        np.testing.assert_array_equal(np.float32(y), 1)


def test_zeros_stay_zeros_with_a_finite_gradient():
    value, gradient = jax.value_and_grad(lambda x: jnp.sum(rms_norm(x)))(jnp.zeros(4))
    assert value == 0
    assert np.all(np.isfinite(gradient))


def test_no_features_are_refused():
    with pytest.raises(ValueError, match="features = 0: accepted is a whole number of at least 1"):
        RMSNorm(0)
