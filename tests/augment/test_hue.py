"""Hue beside the standard library's colorsys, and how angles are spread."""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxlab import augment

RNG = np.random.default_rng(0)
TURNS = np.array([0, 1 / 3, -0.49, 0.1, 1, 2.75], np.float32)
# With greys, and with colours on the corners between two sextants.
CORNERS = np.array(np.meshgrid(*[[0, 0.5, 1]] * 3), np.float32).reshape(3, -1).T
PIXELS = np.concatenate([CORNERS, RNG.random((36, 3), np.float32)]).reshape(7, 9, 3)


@pytest.fixture(scope="module")
def turned():
    """The pixels, as floating numbers and as bytes, at all angles."""

    def both(turns):
        return augment.adjust_hue(PIXELS, turns), augment.adjust_hue(np.uint8(PIXELS * 255), turns)

    return jax.jit(jax.vmap(both))(TURNS)


@pytest.mark.parametrize("scale", [1, 255])
def test_it_is_colorsys(turned, scale):
    image = PIXELS if scale == 1 else np.uint8(PIXELS * 255) / 255
    for turns, found in zip(TURNS, turned[scale == 255], strict=True):
        hsv = [colorsys.rgb_to_hsv(*map(float, pixel)) for pixel in image.reshape(-1, 3)]
        wanted = [colorsys.hsv_to_rgb((h + float(turns)) % 1, s, v) for h, s, v in hsv]
        np.testing.assert_allclose(found.reshape(-1, 3) / scale, wanted, atol=2e-6)


def test_whole_turns_change_nothing(turned):
    np.testing.assert_array_equal(turned[0][0], PIXELS)
    np.testing.assert_array_equal(turned[0][4], PIXELS)


def test_greys_have_no_hue_and_alpha_stays():
    image = jnp.asarray(RNG.random((2, 3, 4)), jnp.float32)
    np.testing.assert_array_equal(augment.adjust_hue(image[..., :2], 0.3), image[..., :2])
    np.testing.assert_array_equal(jax.jit(augment.adjust_hue)(image, 0.3)[..., 3], image[..., 3])


def test_angles_are_uniform():
    keys = jax.random.split(jax.random.key(0), 1000)
    draw = jax.jit(lambda operation: jax.vmap(operation, in_axes=(0, None))(keys, jnp.array([[[1.0, 0.0, 0.0]]])))
    found = draw(augment.hue(0.15))[:, 0, 0]
    # Within a sixth of a turn of red, either green or blue says how far.
    turns = np.float64(found[:, 1] - found[:, 2]) / 6
    assert stats.kstest(turns, stats.uniform(-0.15, 0.3).cdf).pvalue > 1e-3


def test_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"strength = 0.6: accepted is a number in \[0, 0.5\]"):
        augment.hue(0.6)
    with pytest.raises(ValueError, match="turns = nan"):
        augment.adjust_hue(PIXELS, float("nan"))
