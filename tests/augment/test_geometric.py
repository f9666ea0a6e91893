"""What each geometric operation draws under keys, against the closed form of its distribution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxlab import augment

COUNT, HEIGHT, WIDTH = 4_000, 12, 20
STRENGTHS = {
    "crop": 3.0,
    "resized_crop": 0.75,
    "horizontal_flip": 0.3,
    "vertical_flip": 0.8,
    "rotation": 40.0,
    "shift": 0.25,
    "shear": 30.0,
    "zoom": 0.4,
}
NAMES = list(STRENGTHS)
TRACES = []


@jax.jit
def program(operations, keys):
    """The maps of all operations under all keys."""
    TRACES.append(1)
    drawn = [jax.vmap(lambda key, o=o: o.matrix(key, HEIGHT, WIDTH))(keys) for o in operations]
    return {o.name: maps for o, maps in zip(operations, drawn, strict=True)}


def maps(strengths):
    operations = [getattr(augment, name)(strength) for name, strength in strengths.items()]
    return jax.device_get(program(operations, jax.random.split(jax.random.key(0), COUNT)))


@pytest.fixture(scope="module")
def drawn():
    return {name: np.float64(found) for name, found in maps(STRENGTHS).items()}


def centred(maps):
    """The offsets of maps whose origin is the middle of the image."""
    middle = np.array([(HEIGHT - 1) / 2, (WIDTH - 1) / 2])
    return maps[:, :, 2] + maps[:, :, :2] @ middle - middle


def assert_uniform(values, low, high):
    assert low - 1e-4 <= values.min() <= low + 0.01 * (high - low)
    assert high - 0.01 * (high - low) <= values.max() <= high + 1e-4
    assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-3


def assert_unrelated(*columns):
    """Neither to each other, nor to what the next key draws."""
    others = [*columns, *(np.roll(column, 1) for column in columns)]
    found = np.corrcoef(others) - np.eye(len(others))
    assert np.abs(found).max() < 4 / np.sqrt(COUNT)


def test_rotation(drawn):
    found = drawn["rotation"]
    angles = np.degrees(np.arctan2(found[:, 1, 0], found[:, 0, 0]))
    assert_uniform(angles, -40, 40)
    assert_unrelated(angles)
    np.testing.assert_allclose(
        found[:, :, :2] @ found[:, :, :2].swapaxes(1, 2), np.eye(2)[None] + 0 * angles[:, None, None], atol=1e-6
    )
    np.testing.assert_allclose(np.linalg.det(found[:, :, :2]), 1, atol=1e-6)
    np.testing.assert_allclose(centred(found), 0, atol=1e-4)


def test_shift(drawn):
    found = drawn["shift"]
    np.testing.assert_array_equal(found[:, :, :2] - np.eye(2), 0)
    rows, columns = found[:, 0, 2] / HEIGHT, found[:, 1, 2] / WIDTH
    assert_uniform(rows, -0.25, 0.25)
    assert_uniform(columns, -0.25, 0.25)
    assert_unrelated(rows, columns)


def test_shear(drawn):
    found = drawn["shear"]
    angles = np.degrees(np.arcsin(-found[:, 0, 1]))
    assert_uniform(angles, -30, 30)
    assert_unrelated(angles)
    np.testing.assert_array_equal(found[:, :, 0] - [1, 0], 0)
    np.testing.assert_allclose(found[:, 1, 1], np.cos(np.radians(angles)), atol=1e-6)
    np.testing.assert_allclose(centred(found), 0, atol=1e-4)


def test_zoom(drawn):
    found = drawn["zoom"]
    assert_uniform(found[:, 0, 0], 0.6, 1.4)
    assert_uniform(found[:, 1, 1], 0.6, 1.4)
    assert_unrelated(found[:, 0, 0], found[:, 1, 1])
    np.testing.assert_array_equal(found[:, [0, 1], [1, 0]], 0)
    np.testing.assert_allclose(centred(found), 0, atol=1e-4)


@pytest.mark.parametrize(("name", "axis"), [("horizontal_flip", 1), ("vertical_flip", 0)])
def test_flips(drawn, name, axis):
    found = drawn[name]
    flipped = found[:, axis, axis] == -1
    assert stats.binomtest(int(flipped.sum()), COUNT, STRENGTHS[name]).pvalue > 1e-3
    assert_unrelated(flipped.astype(float))
    mirror = np.eye(2, 3)
    mirror[axis, axis], mirror[axis, 2] = -1, (HEIGHT, WIDTH)[axis] - 1
    np.testing.assert_array_equal(found, np.where(flipped[:, None, None], mirror, np.eye(2, 3)))


def test_crop(drawn):
    found = drawn["crop"]
    np.testing.assert_array_equal(found[:, :, :2] - np.eye(2), 0)
    for offsets in found[:, :, 2].T:
        values, counts = np.unique(offsets, return_counts=True)
        assert values.tolist() == list(range(-3, 4))
        assert stats.chisquare(counts).pvalue > 1e-3
    assert_unrelated(*found[:, :, 2].T)


def test_resized_crop(drawn):
    found = drawn["resized_crop"]
    tall, wide = found[:, 0, 0], found[:, 1, 1]
    area, ratio = tall * wide, np.log(wide / tall)
    assert_uniform(area, 0.25, 1)
    # Given the area: uniform as far as both sides fit.
    most = np.minimum(np.log(4 / 3), -np.log(area))
    fits = most > 1e-3
    assert_uniform(ratio[fits] / most[fits], -1, 1)
    assert max(tall.max(), wide.max()) <= 1 + 1e-6
    np.testing.assert_array_equal(found[:, [0, 1], [1, 0]], 0)
    # Pixel i is the square from i - 1/2 to i + 1/2: the window's first edge, as a part of the room beside it.
    top = (found[:, 0, 2] - tall / 2 + 0.5)[fits] / ((1 - tall) * HEIGHT)[fits]
    left = (found[:, 1, 2] - wide / 2 + 0.5)[fits] / ((1 - wide) * WIDTH)[fits]
    for place, side in ((top, tall[fits]), (left, wide[fits])):
        assert_uniform(place[side < 0.95], 0, 1)
    assert np.abs(np.corrcoef([area[fits], ratio[fits], top, left]) - np.eye(4)).max() < 0.08


def test_no_strength_is_the_identity_to_the_bit_in_the_same_program(drawn):
    for name, found in maps(dict.fromkeys(NAMES, 0.0)).items():
        np.testing.assert_array_equal(found, np.broadcast_to(np.eye(2, 3), found.shape), err_msg=name)
    assert len(TRACES) == 1


def test_a_crop_never_exceeds_its_padding_and_cuts_fractions_off():
    last = jnp.full(2, 1 - 2**-24, jnp.float32)
    strengths = np.float32([1.0, 1.9, 16.0, 1e6])
    found = jax.jit(jax.vmap(lambda strength: augment.crop(strength).warp(last, 8, 8)[:, 2]))(strengths)
    np.testing.assert_array_equal(found, np.repeat(np.floor(strengths)[:, None], 2, axis=1))


def test_a_call_is_one_resampling_through_the_matrix_of_its_key():
    key, image = jax.random.key(3), np.random.default_rng(0).random((7, 5, 2), np.float32)
    one = augment.rotation(30.0)
    calls = (
        lambda key, image: augment.affine(image, one.matrix(key, 7, 5), "constant", 0.5),
        lambda key, image: one(key, image, "constant", 0.5),
        augment.compose(one, fill="constant", value=0.5),
    )
    expected, *found = jax.jit(lambda key, image: [call(key, image) for call in calls])(key, image)
    for made in found:
        np.testing.assert_allclose(made, expected, atol=1e-6)


BAD = {
    "crop": (-1.0, r"\[0, inf\)"),
    "resized_crop": (1.0, r"\[0, 1\)"),
    "horizontal_flip": (1.1, r"\[0, 1\]"),
    "vertical_flip": (-0.1, r"\[0, 1\]"),
    "rotation": (181.0, r"\[0, 180\]"),
    "shift": (1.5, r"\[0, 1\]"),
    "shear": (90.0, r"\[0, 90\)"),
    "zoom": (1.0, r"\[0, 1\)"),
}


@pytest.mark.parametrize("name", NAMES)
def test_bad_strengths_are_named(name):
    strength, accepted = BAD[name]
    for bad in (strength, np.nan):
        with pytest.raises(ValueError, match=f"strength = {bad}: accepted is a number in {accepted}"):
            getattr(augment, name)(bad)
    with pytest.raises(TypeError, match="strength = 'a lot'"):
        getattr(augment, name)("a lot")


def test_a_ratio_below_1_is_named():
    with pytest.raises(ValueError, match=r"ratio = 0.5: accepted is a number in \[1, inf\)"):
        augment.resized_crop(0.5, 0.5)
