"""Decoupled weight decay against its closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab import regularizers, schedules


def shrink(rate, strength, steps, tx_before=None):
    """Parameters after steps of zero gradients, in one compiled loop."""
    before = tx_before or optax.identity()
    tx = optax.chain(before, regularizers.decoupled_decay(strength), schedules.scale_by_learning_rate(rate))
    params = {"w": jnp.array([1.0, -3.0]), "b": jnp.array(0.5)}

    def one(carry, _):
        params, state = carry
        updates, state = tx.update(jax.tree.map(jnp.zeros_like, params), state, params)
        return (optax.apply_updates(params, updates), state), None

    (after, _), _ = jax.lax.scan(one, (params, tx.init(params)), length=steps)
    return params, after


@pytest.mark.parametrize("before", [None, optax.scale_by_adam()])
def test_shrinks_by_the_rate_times_the_strength(before):
    params, after = shrink(0.1, 0.5, 40, before)
    factor = (1 - 0.1 * 0.5) ** 40
    jax.tree.map(lambda p, a: np.testing.assert_allclose(a, factor * p, rtol=5e-6), params, after)


def test_follows_the_schedule():
    rates = np.asarray(schedules.cosine(0.1, 30)(np.arange(30)), np.float64)
    params, after = shrink(schedules.cosine(0.1, 30), 0.5, 30)
    factor = np.prod(1 - rates * 0.5)
    jax.tree.map(lambda p, a: np.testing.assert_allclose(a, factor * p, rtol=5e-6), params, after)


def test_only_where_the_mask_says_so():
    tx = regularizers.decoupled_decay(0.5, [("w", True), ("b", False)])
    params = {"w": jnp.array(2.0), "b": jnp.array(2.0)}
    updates, _ = tx.update({"w": jnp.ones(()), "b": jnp.ones(())}, tx.init(params), params)
    assert jax.tree.map(float, updates) == {"w": 2.0, "b": 1.0}
