"""Steps that are not taken change nothing, and are counted."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab import modifiers, optimizers


def _same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nothing_changes_but_a_counter(bad):
    tx, params = modifiers.skip_nonfinite(optimizers.adam(0.1)), jnp.ones(2)
    _, state = tx.update(jnp.ones(2), tx.init(params), params)
    updates, after = tx.update(jnp.array([1.0, bad]), state, params)
    np.testing.assert_array_equal(updates, [0.0, 0.0])
    _same(after.inner, state.inner)
    assert int(after.skipped) == 1


def test_it_never_gives_up():
    """optax.apply_if_finite applies what is bad after max_consecutive_errors."""
    tx, params = modifiers.skip_nonfinite(optax.adam(0.1)), jnp.ones(2)

    @jax.jit
    def many(state):
        bad = jnp.array([1.0, jnp.nan])
        return jax.lax.scan(lambda state, _: tx.update(bad, state, params)[::-1], state, length=1000)

    fresh = tx.init(params)
    state, updates = many(fresh)
    assert not np.any(updates)
    assert int(state.skipped) == 1000
    _same(state.inner, fresh.inner)


def test_an_update_that_is_not_finite_is_skipped_though_its_gradient_is():
    overflow = optax.stateless(lambda updates, params: jax.tree.map(lambda u: u * 1e30 * 1e30, updates))
    tx = modifiers.skip_nonfinite(overflow)
    assert not np.any(tx.update(jnp.ones(2), tx.init(jnp.ones(2)))[0])
    # Finite in float32, none in the float16 that the caller gets.
    tx = modifiers.skip_nonfinite(optax.sgd(1e4))
    updates, state = tx.update(jnp.full(2, 100.0, jnp.float16), tx.init(jnp.ones(2)))
    assert (updates.dtype, int(state.skipped)) == (jnp.float16, 1)
    assert not np.any(updates)


def test_a_state_may_hold_random_keys():
    """As that of optax's noise does: no cast knows them."""
    tx = modifiers.skip_nonfinite(optax.noisy_sgd(0.1, key=jax.random.key(0)))
    state = tx.init(jnp.ones(2))
    _, good = tx.update(jnp.ones(2), state)
    _, bad = tx.update(jnp.array([1.0, jnp.nan]), state)
    keys = [
        [leaf for leaf in jax.tree.leaves(s) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)]
        for s in (state, good, bad)
    ]
    assert keys[0] == keys[2] != keys[1]


def _transcription(losses, norms, sigmas, decay, warmup):
    """Which readings are spikes, by weights and variances of float64."""
    spikes, kept = [], {"loss": (0.0, 0.0), "norm": (0.0, 0.0)}
    for t, readings in enumerate(zip(losses, norms, strict=True)):
        out = False
        for name, x in zip(kept, readings, strict=True):
            mean, variance = kept[name]
            bound = np.inf if t < warmup else mean + sigmas * np.sqrt(variance)
            out |= not x <= bound
            if np.isfinite(x):
                w, off = max(1 - decay, 1 / (t + 1)), min(x, bound) - mean
                kept[name] = mean + w * off, (1 - w) * (variance + w * off**2)
        spikes.append(out)
    return spikes


def test_spikes_of_loss_and_norm_are_skipped_as_transcribed():
    rng = np.random.default_rng(0)
    losses, norms = 2 + 0.1 * rng.standard_normal(60), 1 + 0.1 * rng.standard_normal(60)
    losses[[20, 40]], norms[[30]], losses[50], norms[45] = 9.0, 7.0, np.nan, np.inf
    numbers = {"sigmas": 3.0, "decay": 0.9, "warmup_steps": 10}
    tx, params = modifiers.skip_spikes(optimizers.momentum(0.1), **numbers), jnp.zeros(1)

    def step(state, reading):
        loss, norm = reading
        updates, state = tx.update(norm[None], state, params, value=loss)
        return state, (updates[0] == 0, state.inner)

    readings = jnp.asarray(losses, jnp.float32), jnp.asarray(norms, jnp.float32)
    state, (skipped, inner) = jax.jit(lambda s, r: jax.lax.scan(step, s, r))(tx.init(params), readings)
    wanted = _transcription(losses, norms, 3.0, 0.9, 10)
    assert {20, 30, 40, 45, 50} <= set(np.flatnonzero(wanted))
    np.testing.assert_array_equal(skipped, wanted)
    assert int(state.skipped) == sum(wanted)
    # A skipped step leaves the velocity and the count of the optimizer alone.
    for leaf in jax.tree.leaves(inner):
        np.testing.assert_array_equal(leaf[20], leaf[19])
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(state))


def test_a_level_that_has_changed_for_good_becomes_the_usual_one():
    tx = modifiers.skip_spikes(optax.sgd(1.0), sigmas=6.0, decay=0.9, warmup_steps=5)
    losses = jnp.concatenate([1 + 0.01 * jnp.sin(jnp.arange(30.0)), 2 + 0.01 * jnp.sin(jnp.arange(60.0))])

    def step(state, loss):
        _, after = tx.update(jnp.ones(1), state, value=loss)
        return after, after.skipped - state.skipped

    _, skipped = jax.jit(lambda s: jax.lax.scan(step, s, losses))(tx.init(jnp.ones(1)))
    assert skipped[30] == 1
    assert 1 <= skipped.sum() < 20
    assert not np.any(skipped[-20:])


def test_the_loss_is_needed():
    tx = modifiers.skip_spikes(optax.sgd(1.0))
    with pytest.raises(ValueError, match=r"value = None: skip_spikes needs the loss"):
        tx.update(jnp.ones(1), tx.init(jnp.ones(1)))
    with pytest.raises(TypeError, match=r"shape \(2,\): accepted is one number"):
        tx.update(jnp.ones(1), tx.init(jnp.ones(1)), value=jnp.ones(2))
