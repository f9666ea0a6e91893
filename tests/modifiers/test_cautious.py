"""Cautious updates and cautious decay, beyond their transcriptions."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab import modifiers, optimizers
from jaxlab.schedules import scale_by_learning_rate


def test_layers_of_a_stack_have_means_of_their_own():
    turn = optax.chain(optax.trace(1.0), scale_by_learning_rate(1.0))
    first = jnp.ones((2, 4))
    second = jnp.array([[-3.0, -3.0, -3.0, -0.5], [-0.5, -0.5, -0.5, -0.5]])

    def last(tx, gradients):
        _, state = tx.update(gradients[0], tx.init(gradients[0]))
        return tx.update(gradients[1], state)[0]

    stacked = last(modifiers.cautious(turn, layer_axes=1), (first, second))
    alone = [last(modifiers.cautious(turn), (first[i], second[i])) for i in range(2)]
    np.testing.assert_array_equal(stacked, jnp.stack(alone))
    # Three of four go on in the first layer, stretched by 4 / 3; none in the second.
    np.testing.assert_allclose(stacked[0], [8 / 3, 8 / 3, 8 / 3, 0], rtol=1e-6)
    assert not np.any(stacked[1])


def test_products_beyond_float32_have_signs():
    tx = modifiers.cautious(optax.sgd(1.0))
    g = jnp.array([1e30, -1e-30])
    np.testing.assert_allclose(tx.update(g, tx.init(g))[0], -g)


def test_decay_needs_a_rate_and_parameters():
    with pytest.raises(ValueError, match=r"keeps no learning rate.*scale_by_learning_rate"):
        modifiers.cautious_decay(optax.adam(1e-3), 0.1).init(jnp.ones(2))
    tx = modifiers.cautious_decay(optimizers.sgd(0.1), 0.1)
    with pytest.raises(ValueError, match="needs the parameters"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))


def test_decay_follows_mask_and_schedule():
    tx = modifiers.cautious_decay(optimizers.sgd(lambda t: 0.5 / (t + 1)), [("kernel", 0.25), ("", 0.5)], "matrices")
    params = {"bias": jnp.ones(1), "kernel": jnp.full((1, 1), 4.0)}
    zeros = {"bias": jnp.zeros(1), "kernel": jnp.zeros((1, 1))}
    state = tx.init(params)
    for rate in (0.5, 0.25):
        updates, state = tx.update(zeros, state, params)
        assert float(updates["bias"][0]) == 0.0
        assert float(updates["kernel"][0, 0]) == -rate * 0.25 * 4.0


def test_what_wraps_what_is_no_optimizer_says_so():
    with pytest.raises(TypeError, match=r"inner = 0.1: accepted is an optimizer"):
        modifiers.cautious(0.1)
    with pytest.raises(ValueError, match=r"min_mean = 0"):
        modifiers.cautious(optax.sgd(0.1), 0)
