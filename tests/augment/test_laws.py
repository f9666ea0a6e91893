"""What every operation obeys, whatever it does."""

import dataclasses
import functools
import inspect
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import augment
from jaxlab.augment import Geometric, Mixing, Pixelwise

RNG = np.random.default_rng(0)
KINDS = {"geometric": Geometric, "pixelwise": Pixelwise, "mixing": Mixing}
BYTES = RNG.integers(0, 256, (7, 5, 3), np.uint8)
# Of halves and quarters and so on, which bfloat16 holds exactly.
EIGHTHS = (RNG.integers(0, 129, (7, 5, 3)) / 128).astype(np.float32)
IMAGES = {
    "one pixel": RNG.random((1, 1, 1), np.float32),
    "grey and alpha": RNG.random((5, 7, 2), np.float32),
    "RGB and alpha": RNG.random((2, 1, 4), np.float32),
    "bytes": BYTES,
    "the same in floats": np.float32(BYTES) / 255,
    "float32": EIGHTHS,
    "bfloat16": jnp.asarray(EIGHTHS, jnp.bfloat16),
}
KEYS = jax.random.split(jax.random.key(0), 8)
LABEL, OTHER_LABEL = np.float32([1, 0]), np.float32([0.25, 0.75])

pytestmark = pytest.mark.parametrize("name", augment.names())


def applied(operation, key, image):
    """``(image, label)``; what mixes does so with the image upside down."""
    if isinstance(operation, Mixing):
        return operation(key, image, LABEL, image[::-1], OTHER_LABEL)
    return operation(key, image), LABEL


def strengths(name):
    info = augment.get(name)
    return [0.0, info.strength, info.search.from_unit(1)]


@functools.cache
def drawn(name):
    """Every image at every strength by every key, from one program: ``[strength, key, ...]``."""
    operation = augment.get(name).factory()

    @jax.jit
    def draw(values, keys):
        def one(strength, key):
            at = augment.compose(operation).at({name: strength}).operations[0]
            return {kind: applied(at, key, jnp.asarray(image)) for kind, image in IMAGES.items()}

        return jax.vmap(jax.vmap(one, in_axes=(None, 0)), in_axes=(0, None))(values, keys)

    return draw(jnp.asarray(strengths(name)), KEYS)


def test_the_registry_is_honest(name):
    info = augment.get(name)
    made = info.factory()
    assert made.name == info.name == name
    assert isinstance(made, KINDS[info.kind])
    assert np.float32(info.strength) == made.strength
    assert info.search.from_unit(0) == 0 < info.strength <= info.search.from_unit(1)
    assert info.factory(info.search.from_unit(1)).strength == np.float32(info.search.from_unit(1))
    assert info.meaning
    assert info.reference
    home = pathlib.Path(inspect.getfile(info.factory)).stem
    assert name.endswith(home)


def test_it_is_data_with_a_strength(name):
    made = augment.get(name).factory(0.25)
    leaves, form = jax.tree.flatten(made)
    assert any(leaf == 0.25 for leaf in leaves)
    assert jax.tree.unflatten(form, leaves) == made
    assert made == augment.get(name).factory(np.float64(0.25))
    assert hash(made) == hash(augment.get(name).factory(jnp.float32(0.25)))
    assert made != augment.get(name).factory()
    # Programs are found by structure: not even a hash that two have in common may confuse them.
    others = [augment.get(other).factory() for other in augment.names() if other != name]
    assert form not in [jax.tree.structure(other) for other in others]
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.strength = 0


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf")])
def test_a_strength_out_of_range_is_refused(name, strength):
    with pytest.raises(ValueError, match=rf"strength = {strength}: accepted is a number in [\[(]0, "):
        augment.get(name).factory(strength)


def test_without_strength_nothing_changes(name):
    for kind, image in IMAGES.items():
        images, labels = drawn(name)[kind]
        np.testing.assert_array_equal(images[0], np.broadcast_to(np.asarray(image), images[0].shape))
        np.testing.assert_array_equal(labels[0], np.broadcast_to(LABEL, labels[0].shape))


def test_with_strength_keys_differ(name):
    images, _ = drawn(name)["the same in floats"]
    different = [not np.array_equal(one, images[2, 0]) for one in images[2, 1:]]
    assert any(different)


def test_compiled_and_mapped_over_strengths_and_keys_is_one_at_a_time(name):
    images, labels = drawn(name)["float32"]
    for i, j in ((1, 0), (2, 1)):
        image, label = applied(augment.get(name).factory(strengths(name)[i]), KEYS[j], jnp.asarray(EIGHTHS))
        np.testing.assert_allclose(images[i, j], image, atol=2e-5)
        np.testing.assert_allclose(labels[i, j], label, atol=1e-6)


def test_shapes_dtypes_and_the_range_of_pixels_stay(name):
    for kind, image in IMAGES.items():
        images, labels = drawn(name)[kind]
        assert images.shape == (3, 8, *image.shape)
        assert images.dtype == (jnp.float32 if kind == "bytes" else image.dtype)
        assert images.min() >= 0
        assert images.max() <= (255 if kind == "bytes" else 1) * (1 + 1e-6)
        np.testing.assert_allclose(labels.sum(axis=-1), 1, rtol=1e-6)


def test_bytes_and_half_precision_are_the_same_pictures(name):
    results = drawn(name)
    np.testing.assert_allclose(results["bytes"][0] / 255, results["the same in floats"][0], atol=1e-5)
    rounded = results["float32"][0].astype(jnp.bfloat16)
    np.testing.assert_allclose(np.float32(results["bfloat16"][0]), np.float32(rounded), rtol=2**-7)
