"""Flows: one matrix and one resampling, Keras's own; and the laws of a function that is traced, mapped and searched."""

import dataclasses
import functools
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from scipy import ndimage

from jaxlab import augment
from jaxlab.augment import Mixing, Pixelwise
from jaxlab.augment.compose import whole_matrix

KEY = jax.random.key(5)
COUNT, HEIGHT, WIDTH = 6, 7, 5
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, HEIGHT, WIDTH, 3)).astype(np.uint8)
TRACES = []


@jax.jit
def program(flow, key, images):
    TRACES.append(1)
    return flow.batch(key, images)


def smooth(height, width):
    row, column = np.mgrid[:height, :width]
    return (0.5 + 0.4 * np.sin(row / 9) * np.cos(column / 7))[..., None].astype(np.float32)


def keras(uniform, height, width):
    """ImageDataGenerator's map for the textbook's setting: get_random_transform and apply_affine_transform."""
    theta, tx, ty, shear, zx, zy = uniform[:6] * 2 - 1
    theta, shear = np.deg2rad(15 * theta), np.deg2rad(0.1 * shear)
    tx, ty, zx, zy = 0.1 * tx * height, 0.1 * ty * width, 1 + 0.1 * zx, 1 + 0.1 * zy
    rotation = np.array([[np.cos(theta), -np.sin(theta), 0], [np.sin(theta), np.cos(theta), 0], [0, 0, 1]])
    shift = np.array([[1, 0, tx], [0, 1, ty], [0, 0, 1]])
    sheared = np.array([[1, -np.sin(shear), 0], [0, np.cos(shear), 0], [0, 0, 1]])
    zoom = np.diag([zx, zy, 1])
    middle_row, middle_column = height / 2 - 0.5, width / 2 - 0.5
    offset = np.array([[1, 0, middle_row], [0, 1, middle_column], [0, 0, 1]])
    reset = np.array([[1, 0, -middle_row], [0, 1, -middle_column], [0, 0, 1]])
    return offset @ rotation @ shift @ sheared @ zoom @ reset


def test_the_textbook_is_keras_and_scipy_in_one_resampling():
    keys = jax.random.split(KEY, COUNT)
    made = program(augment.textbook(), KEY, IMAGES)
    numbers = jax.vmap(lambda key: jax.random.uniform(key, (7,)))(keys)
    for image, uniform, found in zip(IMAGES, np.float64(numbers), made, strict=True):
        whole = keras(uniform, HEIGHT, WIDTH)
        for channel in range(3):
            expected = ndimage.affine_transform(
                image[..., channel].astype(float), whole[:2, :2], whole[:2, 2], order=1, mode="nearest"
            )
            expected = expected[:, ::-1] if uniform[6] < 0.5 else expected
            np.testing.assert_allclose(found[..., channel], expected, atol=255e-4)


def test_a_batch_is_a_loop_and_a_program_is_what_it_compiles():
    flow = augment.textbook()
    made = program(flow, KEY, IMAGES)
    one = jax.jit(flow)
    for key, image, found in zip(jax.random.split(KEY, COUNT), IMAGES, made, strict=True):
        np.testing.assert_allclose(one(key, image), found, atol=1e-3)
    crop = augment.compose(augment.crop(2.0))
    np.testing.assert_array_equal(crop(KEY, IMAGES[0]), jax.jit(crop)(KEY, IMAGES[0]))


def test_strengths_are_traced_and_at_0_nothing_happens():
    flow = augment.textbook()
    program(flow, KEY, IMAGES)
    before = len(TRACES)
    weak = program(flow.at({"rotation": 1.0, "zoom": 0.01}), KEY, IMAGES)
    none = program(flow.at(dict.fromkeys(flow.strengths, 0.0)), KEY, IMAGES)
    assert len(TRACES) == before
    np.testing.assert_array_equal(none, IMAGES)
    assert none.dtype == np.float32
    assert np.abs(weak - IMAGES).max() > 1

    strengths = jnp.array([0.0, 1.0, 15.0])
    many = jax.jit(jax.vmap(lambda rotation: flow.at({"rotation": rotation}).batch(KEY, IMAGES)))(strengths)
    for strength, found in zip(strengths, many, strict=True):
        expected = program(flow.at({"rotation": float(strength)}), KEY, IMAGES)
        np.testing.assert_allclose(found, expected, atol=1e-3)
    assert len(TRACES) == before


@pytest.mark.parametrize("dtype", [jnp.bfloat16, np.float16, np.float32])
def test_floating_images_keep_their_dtype_and_are_computed_in_float32(dtype):
    images = (IMAGES / 255).astype(dtype)
    flow = augment.compose(augment.rotation(30.0), augment.zoom(0.2), fill="reflect")
    made = program(flow, KEY, images)
    assert made.dtype == dtype
    full = program(flow, KEY, images.astype(np.float32))
    np.testing.assert_array_equal(made, full.astype(dtype))  # Rounded once, at the end.


@pytest.mark.parametrize("fill", ["nearest", "constant", "reflect", "wrap"])
def test_whole_pixels_stay_exact_through_flips_and_crops(fill):
    flow = augment.compose(
        augment.horizontal_flip(1.0), augment.crop(2.0), augment.vertical_flip(1.0), fill=fill, value=9
    )
    made = program(flow, KEY, IMAGES)
    mode = {"nearest": "edge", "constant": "constant", "reflect": "symmetric", "wrap": "wrap"}[fill]
    more = {"constant_values": 9} if fill == "constant" else {}
    padded = np.pad(IMAGES[:, :, ::-1], ((0, 0), (2, 2), (2, 2), (0, 0)), mode, **more)
    places = set()
    for image, found in zip(padded, np.asarray(made), strict=True):
        cut = {
            (row, column): image[row : row + HEIGHT, column : column + WIDTH][::-1]
            for row in range(5)
            for column in range(5)
        }
        places |= {place for place, window in cut.items() if np.array_equal(window, found)}
    assert len(places) > 1


def test_one_resampling_is_close_to_several_of_a_smooth_image():
    image, key = smooth(40, 48), jax.random.key(2)
    operations = [augment.rotation(20.0), augment.horizontal_flip(1.0), augment.shift(0.1), augment.zoom(0.2)]

    @jax.jit
    def both(key, image):
        numbers, apart, maps = jax.random.uniform(key, (6,)), image, []
        for one in operations:
            own, numbers = numbers[: one.draws], numbers[one.draws :]
            maps.append(one.warp(own, 40, 48))
            apart = augment.affine(apart, maps[-1])
        return apart, augment.compose(*operations)(key, image), maps, whole_matrix(operations, key, 40, 48)

    apart, once, maps, drawn = jax.device_get(both(key, image))
    whole = functools.reduce(np.matmul, [np.vstack([one, [0, 0, 1]]) for one in maps]).astype(float)
    np.testing.assert_allclose(drawn, whole[:2], rtol=1e-5, atol=1e-5)
    expected = ndimage.affine_transform(
        image[..., 0].astype(float), whole[:2, :2], whole[:2, 2], order=1, mode="nearest"
    )
    np.testing.assert_allclose(once[..., 0], expected, atol=1e-5)
    inside = (slice(14, -14), slice(14, -14))
    np.testing.assert_allclose(once[inside], apart[inside], atol=5e-3)


def test_gradients_are_finite_in_pixels_and_strengths():
    flow = augment.compose(
        *augment.textbook().operations, augment.crop(2.0), augment.resized_crop(0.5), fill="constant"
    )

    def loss(strengths, images):
        return jnp.mean(flow.at(strengths).batch(KEY, images) ** 2)

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1)))
    images = jnp.asarray(IMAGES / 255, jnp.float32)
    for scale in (0.0, 1.0):
        strengths = {name: scale * strength for name, strength in flow.strengths.items()}
        found = jax.device_get(gradient(strengths, images))
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
    assert found[0]["rotation"] != 0
    assert np.abs(found[1]).max() > 0


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Lighter(Pixelwise):
    """Adds a part of white, which it takes for 1."""

    name: ClassVar[str] = "lighter"

    def __call__(self, key, image):
        assert image.dtype == np.float32
        assert image.shape == (HEIGHT, WIDTH, 3)
        return image + self.strength


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Exchange(Mixing):
    """The other example."""

    name: ClassVar[str] = "exchange"

    def __call__(self, key, image, label, other_image, other_label):
        return other_image, other_label


def test_operations_on_colours_see_white_as_1():
    flow = augment.compose(augment.horizontal_flip(1.0), Lighter(0.5), augment.vertical_flip(1.0))
    expected = IMAGES[:, ::-1, ::-1].astype(float)
    np.testing.assert_allclose(program(flow, KEY, IMAGES), expected + 127.5, atol=1e-3)
    made = program(flow, KEY, IMAGES.astype(np.float32) / 255)
    np.testing.assert_allclose(made, expected / 255 + 0.5, atol=1e-6)
    np.testing.assert_array_equal(program(flow.at({"lighter": 0.0}), KEY, IMAGES), expected)  # To the bit.
    # What lies outside is on the image's own scale.
    away = augment.compose(augment.crop(1e5), Lighter(0.0), fill="constant", value=51.0)
    np.testing.assert_allclose(program(away, KEY, IMAGES), 51, atol=1e-3)


def test_examples_are_mixed_with_others_and_with_their_labels():
    flow = augment.compose(augment.horizontal_flip(1.0), Exchange(1.0))
    labels = np.eye(COUNT)
    mixed = jax.jit(flow.batch)
    partners = set()
    for seed in range(20):
        key = jax.random.wrap_key_data(np.uint32([0, seed]))
        images, found = jax.device_get(mixed(key, IMAGES, labels))
        others = np.argmax(np.asarray(found), axis=1)
        assert sorted(others) == list(range(COUNT))
        assert np.all(others != np.arange(COUNT))
        np.testing.assert_array_equal(images, IMAGES[others, :, ::-1])
        partners.add(int(others[0]))
    assert partners == set(range(1, COUNT))
    alone, label = mixed(KEY, IMAGES[:1], labels[:1])
    np.testing.assert_array_equal(alone, IMAGES[:1, :, ::-1])
    np.testing.assert_array_equal(label, labels[:1])


def test_labels_pass_a_flow_that_does_not_mix():
    flow, labels = augment.compose(augment.horizontal_flip(1.0)), np.eye(COUNT, 4)
    images, found = jax.jit(flow.batch)(jax.random.PRNGKey(0), IMAGES, labels)  # A raw key, too.
    np.testing.assert_array_equal(images, IMAGES[:, :, ::-1])
    np.testing.assert_array_equal(found, labels)


def test_a_batch_that_is_spread_over_devices():
    flow, images = augment.compose(augment.rotation(20.0)), IMAGES[:4]
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:4])
    with jax.set_mesh(mesh):
        spread = jax.device_put(images, NamedSharding(mesh, PartitionSpec("data")))
        made = program(flow, KEY, spread)
        assert made.sharding.spec[0] == "data"
    np.testing.assert_allclose(made, program(flow, KEY, images), atol=1e-3)


def test_a_flow_is_a_tree_of_its_numbers_and_equal_to_its_like():
    flow = augment.textbook()
    leaves = jax.tree.leaves(flow)
    assert [float(leaf) for leaf in leaves] == pytest.approx([15, 0.1, 0.1, 0.1, 0.5, 0])
    assert {name: float(x) for name, x in flow.strengths.items()} == pytest.approx(
        {"rotation": 15, "shift": 0.1, "shear": 0.1, "zoom": 0.1, "horizontal_flip": 0.5}
    )
    assert flow == augment.textbook()
    assert hash(flow) == hash(augment.textbook())
    assert flow != flow.at({"shear": 5.0})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (augment.compose, "accepted is at least one"),
        (lambda: augment.compose(augment.crop(1), augment.crop(2)), "crop is given twice"),
        (lambda: augment.compose(augment.crop(1), fill="mirror"), "fill = 'mirror': unknown"),
        (lambda: augment.compose(augment.crop(1), value=np.inf), "value = inf"),
        (lambda: augment.textbook().at({"rotatoin": 3.0}), "strengths = 'rotatoin': unknown, did you mean 'rotation'"),
        (lambda: augment.textbook().at({"zoom": 1.0}), r"zoom = 1.0: accepted is a number in \[0, 1\)"),
        (
            lambda: augment.textbook()(KEY, IMAGES),
            r"image has shape \(6, 7, 5, 3\): accepted is \[height width channels",
        ),
        (lambda: augment.textbook().batch(KEY, IMAGES[0]), r"images has shape \(7, 5, 3\): accepted is \[n height"),
        (lambda: augment.textbook().batch(KEY, IMAGES, np.arange(6)), r"labels has shape \(6,\): .* \[6, classes\]"),
        (lambda: augment.textbook().batch(KEY, IMAGES, np.eye(5)), r"labels has shape \(5, 5\)"),
        (
            lambda: augment.compose(Exchange(1.0))(KEY, IMAGES[0]),
            r"exchange mixes examples: .*flow\.batch\(key, images",
        ),
        (lambda: augment.compose(Exchange(1.0)).batch(KEY, IMAGES), "exchange mixes examples"),
    ],
)
def test_bad_values_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: augment.compose(augment.rotation), "is no operation: accepted are those such as"),
        (lambda: augment.compose(augment.textbook()), "is no operation"),
        (
            lambda: augment.textbook().at(["rotation"]),
            r"strengths = \['rotation'\]: accepted are numbers by name, of rot",
        ),
        (lambda: augment.textbook()(None, IMAGES[0]), "key = None: accepted is one key"),
        (lambda: augment.textbook().batch(jax.random.split(KEY), IMAGES), "accepted is one key, such as"),
        (lambda: augment.textbook().batch(KEY, IMAGES > 3), "images has dtype bool"),
    ],
)
def test_what_is_of_another_kind_is_named(call, message):
    with pytest.raises(TypeError, match=message):
        call()
