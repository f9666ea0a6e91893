"""Brightness, contrast and saturation beside Pillow; alpha and greys; how factors are spread."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy import stats

from jaxlab import augment

RNG = np.random.default_rng(0)
FACTORS = np.array([0, 0.3, 0.95, 1, 1.4, 2.7], np.float32)
IMAGES = RNG.integers(0, 256, (len(FACTORS), 7, 5, 4), np.uint8)
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
PAIRS = {
    "brightness": (augment.adjust_brightness, ImageEnhance.Brightness),
    "contrast": (augment.adjust_contrast, ImageEnhance.Contrast),
    "saturation": (augment.adjust_saturation, ImageEnhance.Color),
}


@pytest.mark.parametrize("channels", MODES)
@pytest.mark.parametrize("name", PAIRS)
def test_it_is_pillows_within_one_grey_level(name, channels):
    ours, theirs = PAIRS[name]
    images = IMAGES[..., :channels]
    both = jax.jit(lambda images, f: (jax.vmap(ours)(images, f), jax.vmap(ours)(images / jnp.float32(255), f)))
    in_bytes, in_floats = both(images, FACTORS)
    for image, factor, found in zip(images, FACTORS, in_bytes, strict=True):
        picture = Image.fromarray(image[..., 0] if channels == 1 else image, MODES[channels])
        wanted = np.asarray(theirs(picture).enhance(float(factor)), np.float32).reshape(image.shape)
        assert np.abs(found - wanted).max() < 1.001
        if channels in (2, 4):
            np.testing.assert_array_equal(found[..., -1], image[..., -1])
    np.testing.assert_allclose(in_floats * 255, in_bytes, atol=1e-3)
    np.testing.assert_array_equal(in_bytes[3], images[3])  # The factor 1.


def test_greys_have_no_saturation():
    found = jax.jit(augment.adjust_saturation)(IMAGES[0, ..., :2], 3.0)
    np.testing.assert_array_equal(found, IMAGES[0, ..., :2])


@pytest.mark.parametrize("make", [augment.brightness, augment.contrast, augment.saturation])
def test_factors_are_uniform_around_one_and_never_negative(make):
    image = jnp.array([[[0.3, 0.25, 0.2]]])
    keys = jax.random.split(jax.random.key(0), 1000)
    draw = jax.jit(lambda operation: jax.vmap(operation, in_axes=(0, None))(keys, image))
    for strength, low, high in ((0.4, 0.6, 1.4), (1.5, 0, 2.5)):
        # All three multiply the difference of a pixel's channels by the factor.
        found = draw(make(strength))[:, 0, 0]
        factors = np.float64(found[:, 0] - found[:, 2]) / 0.1
        assert stats.kstest(factors, stats.uniform(low - 1e-6, high - low + 2e-6).cdf).pvalue > 1e-3


@pytest.mark.parametrize("adjust", [pair[0] for pair in PAIRS.values()])
def test_bad_arguments_are_named(adjust):
    with pytest.raises(ValueError, match=r"factor = -1: accepted is a number in \[0, inf\)"):
        adjust(IMAGES[0], -1)
    with pytest.raises(ValueError, match="image has 5 channels: accepted are 1"):
        adjust(jnp.zeros((2, 2, 5)), 1.0)
    with pytest.raises(ValueError, match=r"image has shape \(2, 2\): accepted is \[height width channels\]"):
        adjust(jnp.zeros((2, 2)), 1.0)
    with pytest.raises(TypeError, match="image has dtype bool"):
        adjust(jnp.zeros((2, 2, 1), bool), 1.0)
