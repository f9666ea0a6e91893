"""The noise scale against the closed form of a linear model, and against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.core.noise_scale import noise_scale, noise_scale_of_two

DIMENSIONS, NOISE = 5, 0.7
OFFSET = np.array([0.4, -0.3, 0.2, 0.0, 0.5], np.float32)


def gradients(key, examples):
    """Of (x . offset - noise)^2 with x standard normal: what a linear model off by ``offset`` sees of each example."""
    inputs, noise = jax.random.split(key)
    x = jax.random.normal(inputs, (examples, DIMENSIONS))
    residual = x @ OFFSET - NOISE * jax.random.normal(noise, (examples,))
    return 2 * residual[:, None] * x


def closed_form():
    """E xx'd = d and E |xx'd|^2 = (n + 2) |d|^2 for a standard normal x of n dimensions."""
    square = float(np.sum(np.float64(OFFSET) ** 2))
    trace = 4 * ((DIMENSIONS + 1) * square + NOISE**2 * DIMENSIONS)
    return trace, 4 * square


def assert_mean(values, wanted):
    values = np.asarray(values, np.float64)
    assert abs(values.mean() - wanted) < 4 * values.std(ddof=1) / np.sqrt(values.size)


def test_estimates_are_unbiased_on_a_linear_model():
    keys = jax.random.split(jax.random.key(0), 20_000)
    found = jax.jit(jax.vmap(lambda key: noise_scale(gradients(key, 8))))(keys)
    trace, square = closed_form()
    assert_mean(found.trace, trace)
    assert_mean(found.squared_norm, square)
    biased = np.asarray(found.squared_norm) + np.asarray(found.trace) / 8
    assert biased.mean() > 1.5 * square  # what |mean|^2 alone would be
    assert np.isinf(found.scale[found.squared_norm <= 0]).all()


def test_many_examples_give_the_scale_itself():
    found = noise_scale(gradients(jax.random.key(1), 200_000))
    trace, square = closed_form()
    assert float(found.scale) == pytest.approx(trace / square, rel=0.03)


def test_two_batch_sizes_are_unbiased_and_agree_with_single_gradients():
    def squares(key):
        each = gradients(key, 8)
        small = jnp.mean(jnp.sum(each.reshape(4, 2, -1).mean(1) ** 2, axis=-1))
        return small, jnp.sum(each.mean(0) ** 2)

    small, big = jax.jit(jax.vmap(squares))(jax.random.split(jax.random.key(2), 20_000))
    found = noise_scale_of_two(small, big, small=2, big=8)
    trace, square = closed_form()
    assert_mean(found.trace, trace)
    assert_mean(found.squared_norm, square)
    each = gradients(jax.random.key(3), 16)
    singles = noise_scale_of_two(jnp.mean(jnp.sum(each**2, -1)), jnp.sum(each.mean(0) ** 2), small=1, big=16)
    np.testing.assert_allclose(singles, noise_scale(each), rtol=1e-5)


def test_trees_are_one_long_gradient():
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(10, 7)) + 1.0
    tree = {"a": flat[:, :3].astype(np.float32), "b": flat[:, 3:].astype(np.float32).reshape(10, 2, 2)}
    mean = flat.mean(0)
    trace = flat.var(0, ddof=1).sum()
    square = mean @ mean - trace / 10
    np.testing.assert_allclose(noise_scale(tree), [trace, square, trace / square], rtol=1e-5)
    whole = [flat.var(0).sum(), mean @ mean, flat.var(0).sum() / (mean @ mean)]
    np.testing.assert_allclose(noise_scale(tree, whole=True), whole, rtol=1e-5)


def test_low_precision_gradients_are_summed_in_full():
    grads = jnp.ones((4, 3000), jnp.bfloat16)
    found = noise_scale(grads)
    assert (found.trace.dtype, float(found.squared_norm), float(found.scale)) == (jnp.float32, 3000.0, 0.0)


@pytest.mark.parametrize("bad", [(), jnp.ones(()), jnp.ones((1, 3)), {"a": jnp.ones((2, 3)), "b": jnp.ones((3, 3))}])
def test_bad_trees_are_refused(bad):
    with pytest.raises(
        ValueError, match=r"per_example_grads has leading axes .*: accepted is one length of at least 2"
    ):
        noise_scale(bad)


@pytest.mark.parametrize(("small", "big", "message"), [(0, 4, "small = 0"), (4, 4, "big = 4: accepted is .* least 5")])
def test_bad_sizes_are_refused(small, big, message):
    with pytest.raises(ValueError, match=message):
        noise_scale_of_two(1.0, 1.0, small, big)
