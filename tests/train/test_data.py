"""Batches are a function of the key and the step, and an epoch shows every example once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxlab.train import data

KEY = jax.random.key(3)


def positions(examples, batch_size, steps):
    """The examples shown in the first steps, one after the other."""
    one = jax.jit(lambda step: data.batch_indices(KEY, step, examples=examples, batch_size=batch_size))
    return np.asarray(jax.lax.map(one, jnp.arange(steps))).reshape(-1)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 1437, 60_000])
def test_permute_is_a_bijection(n):
    order = jax.jit(lambda seed: data.permute(jnp.arange(n), n, seed))(jnp.uint32(n))
    np.testing.assert_array_equal(np.sort(order), np.arange(n))


@pytest.mark.parametrize(("examples", "batch_size"), [(12, 4), (10, 4), (7, 3), (5, 8), (1, 1)])
def test_each_epoch_shows_every_example_exactly_once(examples, batch_size):
    steps = 6 * examples // batch_size + 1
    shown = positions(examples, batch_size, steps)
    epochs = shown[: len(shown) // examples * examples].reshape(-1, examples)
    assert len(epochs) >= 3
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(examples))
    if examples > 4:
        assert not np.array_equal(epochs[0], epochs[1])


def test_permutations_are_uniform():
    """Where each element lands, and where pairs land, over many seeds: chi-square against uniformity."""
    n, seeds = 8, 8_000
    orders = jax.jit(jax.vmap(lambda s: data.permute(jnp.arange(n), n, s)))(jnp.arange(seeds, dtype=jnp.uint32))
    orders = np.asarray(orders)
    places = [np.bincount(orders[:, i], minlength=n) for i in range(n)]
    assert min(stats.chisquare(place).pvalue for place in places) > 1e-4
    pairs = np.bincount(orders[:, 0] * n + orders[:, 5], minlength=n * n)
    assert stats.chisquare(pairs[pairs > 0]).pvalue > 1e-4
    assert (pairs > 0).sum() == n * (n - 1)


def test_keys_and_epochs_decide_the_order():
    first = data.batch_indices(jax.random.key(0), 0, examples=1000, batch_size=100)
    again = data.batch_indices(jax.random.key(0), 0, examples=1000, batch_size=100)
    other = data.batch_indices(jax.random.key(1), 0, examples=1000, batch_size=100)
    np.testing.assert_array_equal(first, again)
    assert np.mean(np.asarray(first) == np.asarray(other)) < 0.1


def test_late_positions_do_not_overflow():
    """Beyond 2**31 examples: still a permutation of each epoch."""
    step = 2**31 // 8 + 5
    shown = [data.batch_indices(KEY, step + i, examples=16, batch_size=8) for i in range(2)]
    assert int(step) % 2 == 1  # so these two batches end one epoch and begin the next
    halves = [set(np.asarray(half).tolist()) for half in shown]
    assert all(len(half) == 8 and max(half) < 16 for half in halves)


def test_the_split_is_a_partition_that_the_key_decides():
    pool = 50
    training, validation = data.split_sizes(pool, 0.3)
    assert (training, validation) == (35, 15)
    splits = [np.asarray(data.split_indices(jax.random.key(k), jnp.arange(pool), pool=pool)) for k in (0, 1)]
    for split in splits:
        np.testing.assert_array_equal(np.sort(split), np.arange(pool))
    assert set(splits[0][:training]) != set(splits[1][:training])


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="batch_size = 0: accepted is a whole number of at least 1"):
        data.batch_indices(KEY, 0, examples=3, batch_size=0)
    with pytest.raises(ValueError, match=r"steps = 4294968 times batch_size = 1000.*2\*\*32"):
        data.check_length(4_294_968, 1000)
    with pytest.raises(ValueError, match="leaves one side empty"):
        data.split_sizes(3, 0.1)
    with pytest.raises(ValueError, match=r"leading axes \[\(2,\), \(3,\)\]"):
        data.count({"x": jnp.zeros(2), "y": jnp.zeros(3)})
    with pytest.raises(ValueError, match="no arrays"):
        data.count({})
