"""Stochastic depth as probability has it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.models import stochastic_depth
from jaxlab.models.stochastic_depth import linear_rates

KEY = jax.random.key(3)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_whole_examples_are_dropped_and_the_mean_stays(rate):
    y = np.asarray(stochastic_depth(jnp.full((20_000, 2, 3), 2.0), rate, KEY)).reshape(20_000, 6)
    assert np.all(y == y[:, :1])
    assert set(np.unique(y)) <= {np.float32(0), np.float32(2 / (1 - np.float32(rate)))}
    error = np.sqrt(rate * (1 - rate) / len(y))
    assert abs(np.mean(y[:, 0] == 0) - rate) < 4 * error
    assert abs(y.mean() - 2) < 4 * 2 * error / (1 - rate)


def test_without_a_key_or_at_rate_zero_nothing_changes():
    x = jax.random.normal(KEY, (3, 4))
    np.testing.assert_array_equal(stochastic_depth(x, 0.5, None), x)
    np.testing.assert_array_equal(stochastic_depth(x, 0.0, KEY), x)


def test_a_dropped_branch_passes_no_gradient_not_even_of_nan():
    branch = jnp.stack([jnp.full(2, 2.0)] * 16)
    kept = np.asarray(stochastic_depth(branch, 0.5, KEY))[:, 0] > 0
    poisoned = jnp.where(kept[:, None], branch, jnp.nan)
    value, gradient = jax.value_and_grad(lambda b: jnp.sum(stochastic_depth(b, 0.5, KEY)))(poisoned)
    assert value == 8 * kept.sum()
    np.testing.assert_array_equal(gradient, np.repeat(2.0 * kept[:, None], 2, axis=1))


def test_the_rate_may_be_traced_and_the_dtype_stays():
    x = jnp.ones((64, 2), jnp.bfloat16)
    rates = jnp.array([0.0, 0.25, 0.5])
    together = jax.vmap(lambda rate: stochastic_depth(x, rate, KEY))(rates)
    assert together.dtype == jnp.bfloat16
    for y, rate in zip(together, rates, strict=True):
        np.testing.assert_array_equal(y, stochastic_depth(x, rate, KEY))


def test_rates_rise_linearly_with_the_depth():
    np.testing.assert_allclose(linear_rates(0.3, 3), [0.1, 0.2, 0.3])
    assert linear_rates(0.0, 2) == (0.0, 0.0)


@pytest.mark.parametrize("rate", [1.0, -0.1, float("nan")])
def test_rates_out_of_range_are_refused(rate):
    with pytest.raises(ValueError, match=r"stochastic_depth = .*: accepted is a number in \[0, 1\)"):
        stochastic_depth(jnp.ones(3), rate, None)
    with pytest.raises(ValueError, match=r"stochastic_depth = .*: accepted is a number in \[0, 1\)"):
        linear_rates(rate, 2)


def test_a_scalar_has_no_examples():
    with pytest.raises(ValueError, match=r"residual has shape \(\): accepted is at least one axis"):
        stochastic_depth(jnp.ones(()), 0.5, KEY)
