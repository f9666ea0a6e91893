"""Dropout as probability has it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.models import dropout

KEY = jax.random.key(3)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_right_fraction_is_dropped_and_the_mean_stays(rate):
    y = np.asarray(dropout(jnp.full(100_000, 2.0), rate, KEY))
    assert set(np.unique(y)) <= {np.float32(0), np.float32(2 / (1 - np.float32(rate)))}
    error = np.sqrt(rate * (1 - rate) / y.size)
    assert abs(np.mean(y == 0) - rate) < 4 * error
    assert abs(y.mean() - 2) < 4 * 2 * error / (1 - rate)


def test_without_a_key_or_at_rate_zero_nothing_changes():
    x = jax.random.normal(KEY, (3, 4))
    np.testing.assert_array_equal(dropout(x, 0.5, None), x)
    np.testing.assert_array_equal(dropout(x, 0.0, KEY), x)


def test_the_rate_may_be_traced_and_the_dtype_stays():
    x = jnp.ones(64, jnp.bfloat16)
    rates = jnp.array([0.0, 0.25, 0.5])
    together = jax.vmap(lambda rate: dropout(x, rate, KEY))(rates)
    assert together.dtype == jnp.bfloat16
    for y, rate in zip(together, rates, strict=True):
        np.testing.assert_array_equal(y, dropout(x, rate, KEY))


@pytest.mark.parametrize("rate", [1.0, -0.1, float("nan")])
def test_rates_out_of_range_are_refused(rate):
    with pytest.raises(ValueError, match=r"dropout = .*: accepted is a number in \[0, 1\)"):
        dropout(jnp.ones(3), rate, None)
