"""Gradient noise: its distribution, how it fades, and that its bits are those of seed, step and name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxlab import regularizers

SIZE = 40_000


def noises(tx, steps, like):
    """What is added to gradients of zero, step by step."""

    @jax.jit
    def run(state):
        def step(state, _):
            updates, state = tx.update(jax.tree.map(jnp.zeros_like, like), state)
            return state, updates

        return jax.lax.scan(step, state, length=steps)[1]

    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), run(tx.init(like)))


@pytest.mark.parametrize(("eta", "gamma"), [(0.3, 0.55), (1.0, 0.0), (0.01, 2.0)])
def test_normal_with_the_variance_of_the_paper(eta, gamma):
    """Tolerances are four standard errors: of a mean, of a variance, of a correlation, each of 40,000 numbers."""
    noise = noises(regularizers.gradient_noise(eta, gamma), 5, jnp.zeros(SIZE))
    for t, values in enumerate(noise):
        sigma = np.sqrt(eta / (1 + t) ** gamma)
        assert abs(values.mean()) < 4 * sigma / np.sqrt(SIZE)
        assert abs(values.var() / sigma**2 - 1) < 4 * np.sqrt(2 / SIZE)
        assert stats.kstest(values / sigma, "norm").pvalue > 1e-3
    between = np.corrcoef(noise)[np.triu_indices(5, 1)]
    assert np.all(np.abs(between) < 4 / np.sqrt(SIZE))


def test_leaves_and_seeds_are_independent():
    like = {"a": jnp.zeros(SIZE), "b": jnp.zeros(SIZE)}
    first, second = (noises(regularizers.gradient_noise(1.0, seed=seed), 1, like) for seed in (0, 1))
    rows = [leaf[0] for tree in (first, second) for leaf in jax.tree.leaves(tree)]
    assert np.all(np.abs(np.corrcoef(rows)[np.triu_indices(4, 1)]) < 4 / np.sqrt(SIZE))


def test_the_same_again_whatever_else_the_tree_holds():
    tx = regularizers.gradient_noise(1.0, seed=7)
    among = noises(tx, 3, {"a": jnp.zeros(5), "b": jnp.zeros(2)})
    alone = noises(tx, 3, {"a": jnp.zeros(5)})
    np.testing.assert_array_equal(among["a"], alone["a"])


def test_it_is_added_to_the_gradient_in_the_gradients_dtype():
    tx = regularizers.gradient_noise(0.25)
    for dtype in (jnp.float32, jnp.bfloat16, jnp.float16):
        g = jnp.full(100, 3.0, dtype)
        updates, _ = tx.update(g, tx.init(g))
        assert updates.dtype == dtype
        noise, _ = tx.update(jnp.zeros(100), tx.init(g))
        np.testing.assert_array_equal(updates, (3.0 + noise).astype(dtype))


def test_rules_and_masks_need_no_parameters():
    like = {"dense": {"kernel": jnp.zeros((100, 3)), "bias": jnp.zeros(300)}, "absent": None}
    by_rule = noises(regularizers.gradient_noise([("kernel", 4.0), ("", 0.0)]), 1, like)
    by_mask = noises(regularizers.gradient_noise(4.0, mask="matrices"), 1, like)
    by_function = noises(
        regularizers.gradient_noise(4.0, mask=lambda p: jax.tree.map(lambda x: x.ndim > 1, p)), 1, like
    )
    for found in (by_rule, by_mask, by_function):
        assert not found["dense"]["bias"].any()
        np.testing.assert_array_equal(found["dense"]["kernel"], by_rule["dense"]["kernel"])
    assert 1.7 < by_rule["dense"]["kernel"].std() < 2.3


def test_seeds_trace():
    g = jnp.zeros(50)
    traces = []

    def noise(seed):
        traces.append(seed)
        tx = regularizers.gradient_noise(1.0, seed=seed)
        return tx.update(g, tx.init(g))[0]

    seeds = [0, 3, 2**32 - 1]
    eager = [noise(seed) for seed in (*seeds, np.int64(3), np.float32(3), jnp.asarray(3.0))]
    assert all(np.array_equal(other, eager[1]) for other in eager[3:])
    traces.clear()
    together = jax.jit(jax.vmap(noise))(jnp.asarray(seeds, jnp.uint32))
    assert len(traces) == 1
    np.testing.assert_allclose(together, eager[:3], rtol=1e-5, atol=1e-6)
    as_hyperparameter = jax.jit(noise)(jnp.float32(3))
    np.testing.assert_allclose(as_hyperparameter, eager[1], rtol=1e-5, atol=1e-6)


def test_goes_on_after_a_resumption():
    tx, g = regularizers.gradient_noise(1.0), jnp.zeros(5)
    straight = noises(tx, 4, g)
    state = tx.init(g)
    for _ in range(2):
        _, state = tx.update(g, state)
    assert isinstance(state, tuple)
    again = type(state)(jnp.asarray(int(state.count), jnp.int32))
    for wanted in straight[2:]:
        updates, again = tx.update(g, again)
        np.testing.assert_allclose(updates, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", [-1, 2**32, 0.5, float("nan"), np.float32(np.inf)])
def test_seeds_out_of_range(seed):
    with pytest.raises(ValueError, match=r"seed = .*: accepted is a whole number in \[0, 2\*\*32\)"):
        regularizers.gradient_noise(1.0, seed=seed)


@pytest.mark.parametrize("seed", ["0", None, True, [0, 1], 1j])
def test_seeds_of_wrong_type(seed):
    with pytest.raises(TypeError, match=r"seed = .*: accepted is one whole number"):
        regularizers.gradient_noise(1.0, seed=seed)


def test_what_else_is_refused():
    with pytest.raises(ValueError, match=r"gamma = -1\.0: accepted is a number in \[0, inf\)"):
        regularizers.gradient_noise(1.0, -1.0)
    with pytest.raises(ValueError, match=r"strength = -1\.0"):
        regularizers.gradient_noise(-1.0)
    with pytest.raises(ValueError, match="no rule matches 'b'"):
        regularizers.gradient_noise([("a", 1.0)]).init({"b": jnp.ones(1)})
    tx = regularizers.gradient_noise(1.0)
    with pytest.raises(TypeError, match="an update has dtype int32"):
        tx.update(jnp.ones(2, int), tx.init(jnp.ones(2)))


def test_every_run_has_noise_of_its_own():
    """The training step passes the run's key: two seeds of a study do not share their noise."""
    tx, gradient = regularizers.gradient_noise(1.0), jnp.zeros(1000)
    state = tx.init(gradient)
    first, second, again = (tx.update(gradient, state, key=jax.random.key(seed))[0] for seed in (0, 1, 0))
    np.testing.assert_array_equal(first, again)
    assert abs(float(jnp.corrcoef(first, second)[0, 1])) < 0.15
