"""The one home of the learning rate."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab import schedules


def update(tx, updates, state) -> Any:
    return tx.update(updates, state)


def test_scales_by_the_schedule_and_shows_the_rate():
    tx = schedules.scale_by_learning_rate(schedules.step(1.0, every=2, factor=0.5))
    params = {"a": jnp.ones(2, jnp.bfloat16), "b": None}
    state: Any = tx.init(params)
    rates = []
    for _ in range(5):
        updates, state = update(tx, {"a": jnp.full(2, 3.0, jnp.bfloat16), "b": None}, state)
        rates.append(float(state.learning_rate))
        assert updates["a"].dtype == jnp.bfloat16
        assert updates["a"].tolist() == [-3 * rates[-1]] * 2
    assert rates == [1.0, 1.0, 0.5, 0.5, 0.25]
    assert int(state.count) == 5


def test_the_rate_is_found_anywhere_in_a_state():
    tx = optax.chain(optax.trace(0.9), optax.chain(schedules.scale_by_learning_rate(0.25)))
    assert schedules.effective_learning_rate(tx.init(jnp.ones(3))) == 0.25
    assert schedules.effective_learning_rate(optax.sgd(0.1).init(jnp.ones(3))) is None


def test_state_keeps_its_types_and_traces_in_the_rate():
    traces = []

    @jax.jit
    def step(rate, updates):
        traces.append(1)
        tx = schedules.scale_by_learning_rate(schedules.warmup(rate, 2))
        before = tx.init(updates)
        new, after = update(tx, updates, before)
        assert jax.tree.map(jnp.result_type, before) == jax.tree.map(jnp.result_type, after)
        return update(tx, new, after)[0]

    for rate in (0.5, 2.0):
        np.testing.assert_array_equal(step(rate, jnp.ones(2)), np.zeros(2))
    assert len(traces) == 1


@pytest.mark.parametrize("rate", [-0.1, float("nan"), float("inf")])
def test_bad_rates_are_named(rate):
    with pytest.raises(ValueError, match="learning_rate = "):
        schedules.scale_by_learning_rate(rate)
