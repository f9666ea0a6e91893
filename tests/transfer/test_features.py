"""Features are what the model makes of each image, whatever the batches, and are computed once."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.core import safetensors
from jaxlab.transfer import features

RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((23, 4, 3)).astype(np.float32)
PARAMS = {"w": jnp.asarray(RNG.standard_normal((3, 2)), jnp.float32)}


def _apply(params, images):
    return jnp.tanh(images @ params["w"]).sum(1)


def _exact(images):
    return np.tanh(np.float64(images) @ np.float64(PARAMS["w"])).sum(1)


@pytest.mark.parametrize("batch_size", [1, 5, 23, 100])
def test_features_are_the_models_whatever_the_batches(batch_size):
    traces, done = [], []

    def apply(params, images):
        traces.append(images.shape)
        return _apply(params, images)

    found = features(apply, PARAMS, IMAGES, batch_size, progress=lambda *now: done.append(now))
    np.testing.assert_allclose(found, _exact(IMAGES), rtol=1e-5, atol=1e-6)
    size = min(batch_size, 23)
    assert set(traces) == {(size, 4, 3)}
    assert done == [(min(end, 23), 23) for end in range(size, 23 + size, size)]


def test_one_program_runs_all_batches_of_all_calls(tmp_path):
    traces = []

    class Model:
        def apply(self, params, images):
            traces.append(images.shape)
            return _apply(params, images)

    model = Model()
    for images, cache in ((IMAGES, None), (IMAGES[:12], None), (IMAGES[3:], tmp_path)):
        features(model.apply, PARAMS, images, 5, cache=cache)
    assert traces == [(5, 4, 3)]


def test_dtypes_are_the_models_and_bytes_are_bytes(tmp_path):
    images = RNG.integers(0, 256, (7, 3), np.uint8)

    def apply(params, images):
        return (images.astype(jnp.float32) / 255).astype(jnp.bfloat16)

    for _ in range(2):
        found = features(apply, {}, images, 4, cache=tmp_path)
        assert found.dtype == jnp.bfloat16
        np.testing.assert_array_equal(found, (images.astype(np.float32) / 255).astype(jnp.bfloat16))
    assert features(_apply, PARAMS, IMAGES[:0]).shape == (0, 2)


def test_they_are_computed_once(tmp_path):
    cache, done = tmp_path / "deep" / "cache", []
    first = features(_apply, PARAMS, IMAGES, 5, cache=cache)
    (kept,) = cache.iterdir()
    # What is in the file is what comes back: nothing is computed.
    marked = {"features": first + 1}
    kept.write_bytes(safetensors.header_of(marked, {}) + safetensors.data_of(marked))
    second = features(_apply, PARAMS, IMAGES, 5, cache=cache, progress=lambda *now: done.append(now))
    np.testing.assert_array_equal(second, first + 1)
    assert done == [(23, 23)]


def test_other_weights_images_and_programs_are_others(tmp_path):
    features(_apply, PARAMS, IMAGES, 5, cache=tmp_path)
    weight, pixel = PARAMS["w"].at[0, 0].add(1e-6), IMAGES.copy()
    pixel[22, 3, 2] += 1e-6
    for apply, params, images in [
        (_apply, {"w": weight}, IMAGES),
        (_apply, PARAMS, pixel),
        (_apply, PARAMS, IMAGES[::-1]),
        (lambda params, images: 2 * _apply(params, images), PARAMS, IMAGES),
    ]:
        found = features(apply, params, images, 5, cache=tmp_path)
        np.testing.assert_array_equal(found, features(apply, params, images, 5))
    assert len(list(tmp_path.iterdir())) == 5


def test_what_is_damaged_is_computed_again(tmp_path):
    first = features(_apply, PARAMS, IMAGES, 5, cache=tmp_path)
    (kept,) = tmp_path.iterdir()
    whole = kept.read_bytes()
    for content in (b"", whole[:-4], whole[:40]):
        kept.write_bytes(content)
        np.testing.assert_array_equal(features(_apply, PARAMS, IMAGES, 5, cache=tmp_path), first)
        assert kept.read_bytes() == whole


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="batch_size = 0"):
        features(_apply, PARAMS, IMAGES, 0)
    with pytest.raises(ValueError, match=r"images has shape \(\)"):
        features(_apply, PARAMS, np.float32(1))
    with pytest.raises(ValueError, match="accepted is an array with a row for each"):
        features(lambda params, images: images.sum(), PARAMS, IMAGES)
    with pytest.raises(ValueError, match="accepted is an array with a row for each"):
        features(lambda params, images: (images, images), PARAMS, IMAGES)
