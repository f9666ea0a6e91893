"""Groups: which weights share one, how the size counts, what the penalty's gradient is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import optimizers, regularizers

X = np.random.default_rng(0).normal(size=(3, 2, 4, 5))


def landed(params, strength, **choices):
    tx = regularizers.proximal_group_lasso(optimizers.sgd(0.5), strength, **choices)
    zeros = jax.tree.map(jnp.zeros_like, params)
    return jax.tree.map(jnp.add, params, tx.update(zeros, tx.init(params), params)[0])


@pytest.mark.parametrize(("axis", "inside"), [(0, (1, 2, 3)), (-2, (0, 1, 3)), (3, (0, 1, 2)), (None, (0, 1, 2, 3))])
def test_groups_of_a_convolution_kernel_against_numpy(axis, inside, x64):
    size = np.prod([X.shape[i] for i in inside])
    norms = np.sqrt(np.sum(X**2, inside, keepdims=True))
    # Beside the median, not on it, where rounding would decide.
    strength = 2.01 * np.median(norms / np.sqrt(size)) * (0.5 if axis is None else 1.0)
    wanted = X * np.maximum(1 - 0.5 * strength * np.sqrt(size) / norms, 0)
    found = np.asarray(landed(jnp.asarray(X), strength, axis=axis))
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(found == 0, wanted == 0)
    penalty = regularizers.group_lasso_penalty(jnp.asarray(X), 0.3, axis)
    np.testing.assert_allclose(penalty, 0.3 * np.sqrt(size) * norms.sum(), rtol=1e-12)


def test_vectors_and_scalars_are_groups_of_one_unless_the_leaf_is_the_group():
    params = {"bias": jnp.array([3.0, -0.25, 4.0, 0.0]), "scale": jnp.asarray(-2.0)}
    apart = landed(params, 1.0)
    assert (apart["bias"].tolist(), apart["scale"].tolist()) == ([2.5, 0.0, 3.5, 0.0], -1.5)
    whole = landed(params, 2.5, axis=None)
    np.testing.assert_allclose(whole["bias"], params["bias"] * (1 - 2.5 / np.sqrt(25.0625)), rtol=1e-6)


def test_huge_groups_do_not_overflow():
    params = jnp.full((2, 3), 1e30)
    np.testing.assert_allclose(landed(params, 1.0), params)


def test_the_penaltys_gradient_at_zero_groups_is_zero():
    w = jnp.array([[3.0, 4.0], [0.0, 0.0]])
    slope = jax.grad(regularizers.group_lasso_penalty)(w, 0.5)
    np.testing.assert_allclose(slope, [[0.3 * np.sqrt(2), 0.4 * np.sqrt(2)], [0.0, 0.0]], rtol=1e-6)


def test_the_axis_is_checked():
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    with pytest.raises(TypeError, match=r"axis = 0\.0: accepted are an integer, and None for the whole leaf"):
        landed(params, 1.0, axis=0.0)
    with pytest.raises(ValueError, match="axis = -3: leaf 'kernel' has 2 axes, accepted are -2 to 1"):
        landed(params, 1.0, axis=-3)
    with pytest.raises(ValueError, match="axis = 2: leaf 'kernel'"):
        regularizers.group_lasso_penalty(params, 1.0, axis=2)
    landed(params, 1.0, axis=2, mask=[("bias", True), ("", False)])
