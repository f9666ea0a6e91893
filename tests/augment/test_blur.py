"""Blur beside scipy's Gaussian filter, and how deviations are spread."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, stats

from jaxlab import augment

RNG = np.random.default_rng(0)
SIGMAS = np.array([0, 0.3, 1, 2.5], np.float32)


@pytest.mark.parametrize("shape", [(7, 5, 3), (1, 1, 1), (2, 9, 2)])
@pytest.mark.parametrize("radius", [0, 4])
def test_it_is_scipys(shape, radius):
    image = RNG.random(shape, np.float32)
    blur = functools.partial(augment.gaussian_blur, radius=radius)
    found = jax.jit(jax.vmap(blur, in_axes=(None, 0)))(image, SIGMAS)
    np.testing.assert_array_equal(found[0], image)
    for sigma, one in zip(SIGMAS[1:], found[1:], strict=True):
        wanted = ndimage.gaussian_filter(np.float64(image), sigma, mode="reflect", radius=radius, axes=(0, 1))
        np.testing.assert_allclose(one, wanted, atol=1e-6)


def test_the_default_window_is_scipys_default_truncation():
    image = RNG.integers(0, 256, (9, 11, 1), np.uint8)
    operation = augment.blur(2.0)
    found = jax.jit(functools.partial(augment.gaussian_blur, radius=operation.radius))(image, 2.0)
    np.testing.assert_allclose(found[..., 0], ndimage.gaussian_filter(np.float64(image[..., 0]), 2.0), atol=1e-3)


def test_deviations_are_uniform():
    keys = jax.random.split(jax.random.key(0), 1000)
    dot = jnp.zeros((9, 1, 1)).at[4].set(1.0)
    draw = jax.jit(lambda operation: jax.vmap(operation, in_axes=(0, None))(keys, dot))
    middle, beside = np.float64(draw(augment.blur(1.0)))[:, [4, 5], 0, 0].T
    # Of two neighbouring weights the ratio is exp(-1 / (2 sigma^2)).
    sigmas = np.sqrt(1 / (2 * np.log(middle / np.maximum(beside, 1e-30))))
    assert stats.kstest(sigmas[sigmas > 0.1], stats.uniform(0.1, 0.9).cdf).pvalue > 1e-3
    assert 0.07 < np.mean(sigmas <= 0.1) < 0.13


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"strength = -1: accepted is a number in \[0, inf\)"):
        augment.blur(-1)
    with pytest.raises(ValueError, match="radius = -1: accepted is a whole number of at least 0"):
        augment.blur(1.0, radius=-1)
    # Each pixel of a window is compiled: what is far too much is refused before.
    with pytest.raises(ValueError, match=r"strength = 1000\.0: accepted is a number in \[0, 32\]"):
        augment.blur(1000.0)
    with pytest.raises(ValueError, match="radius = 1000: accepted is a whole number of at least 0 and at most 128"):
        augment.gaussian_blur(jnp.ones((4, 4, 1)), 1.0, radius=1000)
    assert augment.blur(1000.0, radius=9).radius == 9
    with pytest.raises(ValueError, match=r"sigma = -0.5: accepted"):
        augment.gaussian_blur(jnp.zeros((2, 2, 1)), -0.5)
