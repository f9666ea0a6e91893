"""What every loss obeys, whatever it measures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import losses

RNG = np.random.default_rng(0)
N, CLASSES = 8, 5
OUTPUTS = {"cross_entropy": 2 * RNG.normal(size=(N, CLASSES)).astype(np.float32)}
TARGETS = {
    "mse": RNG.normal(size=N).astype(np.float32),
    "cross_entropy": RNG.integers(CLASSES, size=N),
    "log_loss": RNG.integers(2, size=N),
    "hinge": RNG.integers(2, size=N),
}
WEIGHTS = np.array([1.0, 0.5, 0.0, 2.0, 0.0, 0.25, 1.0, 3.0], np.float32)


def example(name):
    function = losses.get(name).function
    outputs = OUTPUTS.get(name, 2 * np.linspace(-1.3, 1.7, N).astype(np.float32))
    return function, outputs, TARGETS[name]


def test_table_is_complete():
    assert set(TARGETS) == set(losses.names())


@pytest.mark.parametrize("name", TARGETS)
class TestEveryLoss:
    def test_jit_is_eager(self, name):
        function, outputs, targets = example(name)
        for reduction in ("mean", "sum", "none"):
            jitted = jax.jit(lambda o, t, w, reduction=reduction: function(o, t, weights=w, reduction=reduction))
            eager = function(outputs, targets, weights=WEIGHTS, reduction=reduction)
            np.testing.assert_allclose(jitted(outputs, targets, WEIGHTS), eager, rtol=1e-6)

    def test_reductions_are_of_the_same_values(self, name):
        function, outputs, targets = example(name)
        values = function(outputs, targets, reduction="none")
        assert values.shape == (N,)
        np.testing.assert_allclose(function(outputs, targets, reduction="sum"), np.sum(values), rtol=1e-6)
        np.testing.assert_allclose(function(outputs, targets), np.mean(values), rtol=1e-6)
        weighted = function(outputs, targets, weights=WEIGHTS, reduction="none")
        np.testing.assert_allclose(weighted, WEIGHTS * values, rtol=1e-6)
        mean = function(outputs, targets, weights=WEIGHTS)
        np.testing.assert_allclose(mean, np.average(values, weights=WEIGHTS), rtol=1e-6)

    def test_booleans_select(self, name):
        function, outputs, targets = example(name)
        keep = WEIGHTS > 0
        values = function(outputs, targets, reduction="none")
        np.testing.assert_allclose(function(outputs, targets, weights=keep), np.mean(values[keep]), rtol=1e-6)

    def test_vmap_is_a_loop(self, name):
        function, outputs, targets = example(name)
        members = np.stack([outputs, -outputs])
        weights = np.stack([WEIGHTS, WEIGHTS[::-1]])
        together = jax.vmap(lambda o, w: function(o, targets, weights=w))(members, weights)
        alone = [function(o, targets, weights=w) for o, w in zip(members, weights, strict=True)]
        np.testing.assert_allclose(together, alone, rtol=1e-6)

    @pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
    @pytest.mark.parametrize("size", [0.0, 1e4, -1e4])
    def test_values_and_gradients_are_finite_at_1e4(self, name, dtype, size):
        function, outputs, targets = example(name)
        extreme = jnp.asarray(np.sign(outputs) * size, dtype)
        value, slope = jax.value_and_grad(function)(extreme, targets)
        assert value.dtype == jnp.float32
        assert slope.dtype == dtype
        assert np.isfinite(value)
        assert np.isfinite(np.asarray(slope, np.float32)).all()

    @pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
    def test_float32_inside(self, name, dtype):
        function, outputs, targets = example(name)
        low = jnp.asarray(outputs, dtype)
        full = low.astype(jnp.float32)
        value, slope = jax.value_and_grad(function)(low, targets)
        expected, expected_slope = jax.value_and_grad(function)(full, targets)
        np.testing.assert_array_equal(value, expected)
        np.testing.assert_array_equal(slope, expected_slope.astype(dtype))

    def test_nothing_counts_where_the_weight_is_zero(self, name):
        function, outputs, targets = example(name)
        expected = jax.value_and_grad(function)(outputs, targets, weights=WEIGHTS)
        padded = np.where((WEIGHTS == 0).reshape(-1, *[1] * (outputs.ndim - 1)), np.nan, outputs)
        found = jax.value_and_grad(function)(padded, targets, weights=WEIGHTS)
        jax.tree.map(np.testing.assert_array_equal, found, expected)
        assert np.isfinite(found[1]).all()

    def test_nan_is_not_hidden_elsewhere(self, name):
        function, outputs, targets = example(name)
        broken = outputs.copy()
        broken[0] = np.nan
        assert np.isnan(function(broken, targets))

    def test_mean_of_nothing_is_zero_with_zero_gradient(self, name):
        function, outputs, targets = example(name)
        value, slope = jax.value_and_grad(function)(outputs, targets, weights=np.zeros(N))
        assert value == 0
        assert not slope.any()
        assert function(outputs[:0], targets[:0]) == 0

    def test_shapes_that_differ_are_named(self, name):
        function, outputs, targets = example(name)
        with pytest.raises(ValueError, match=r"shape \(8,.*\(8, 1\)"):
            function(outputs, targets[:, None])
        with pytest.raises(ValueError, match=r"shape \(8,.*\(5,\)"):
            function(outputs, targets[:5])
        with pytest.raises(ValueError, match=r"weights has shape \(5,\): accepted is \(8,\)"):
            function(outputs, targets, weights=np.ones(5))
        with pytest.raises(ValueError, match="reduction = 'men': unknown, did you mean 'mean'"):
            function(outputs, targets, reduction="men")

    def test_float64_under_x64(self, name, x64):
        function, outputs, targets = example(name)
        assert function(outputs, targets).dtype == jnp.float64
