"""Resampling against scipy.ndimage, in float64, through random maps and through those that each operation draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from jaxlab import augment
from jaxlab.augment import matrix

SCIPY = {"nearest": "nearest", "constant": "grid-constant", "reflect": "reflect", "wrap": "grid-wrap"}
SHAPES = [(1, 1, 1), (1, 1, 4), (7, 5, 1), (7, 5, 2), (7, 5, 3), (8, 8, 4), (1, 6, 1)]
OPERATIONS = [
    augment.crop(3.0),
    augment.resized_crop(0.9),
    augment.horizontal_flip(0.5),
    augment.vertical_flip(0.5),
    augment.rotation(180.0),
    augment.shift(1.0),
    augment.shear(60.0),
    augment.zoom(0.9),
]
VALUE = 0.3


@pytest.fixture(scope="module")
def results():
    """For each shape the image, the maps, and what they make of it with each fill: one program for all."""
    rng = np.random.default_rng(0)
    images = [rng.random(shape, np.float32) for shape in SHAPES]
    # The ends of what is drawn, and between.
    uniform = np.concatenate([rng.random((5, 4)), np.zeros((1, 4)), np.full((1, 4), 1 - 2**-24)]).astype(np.float32)
    wild = np.concatenate([rng.normal(size=(10, 2, 2)), rng.normal(size=(10, 2, 1)) * 20], axis=2).astype(np.float32)

    def made(image):
        height, width, _ = image.shape
        drawn = [jax.vmap(lambda u, o=o: o.warp(u[: o.draws], height, width))(uniform) for o in OPERATIONS]
        maps = jnp.concatenate([*drawn, wild])
        return maps, {f: jax.vmap(lambda m, f=f: augment.affine(image, m, f, VALUE))(maps) for f in SCIPY}

    made_of_all = jax.device_get(jax.jit(lambda images: [made(image) for image in images])(images))
    return list(zip(images, made_of_all, strict=True))


@pytest.mark.parametrize("fill", SCIPY)
def test_equals_scipy(results, fill):
    for image, (maps, filled) in results:
        for one, found in zip(maps.astype(np.float64), filled[fill], strict=True):
            for channel in range(image.shape[2]):
                expected = ndimage.affine_transform(
                    image[..., channel].astype(np.float64),
                    one[:, :2],
                    one[:, 2],
                    order=1,
                    mode=SCIPY[fill],
                    cval=VALUE,
                )
                np.testing.assert_allclose(found[..., channel], expected, atol=1e-4, err_msg=f"{image.shape} {one}")


WHOLE = {"down": [[1, 0, -2], [0, 1, 0]], "flip": [[1, 0, 0], [0, -1, 4]], "turn": [[0, 1, 0], [-1, 0, 4]]}


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, jnp.bfloat16])
def test_whole_pixels_are_exact(dtype):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (5, 5, 2)).astype(dtype)
    made = jax.jit(lambda image, maps: jax.tree.map(lambda m: augment.affine(image, m, "wrap"), maps))(
        image, {name: np.float32(m) for name, m in WHOLE.items()}
    )
    assert all(leaf.dtype == (np.float32 if dtype == np.uint8 else dtype) for leaf in made.values())
    expected = {"down": np.roll(image, 2, axis=0), "flip": image[:, ::-1], "turn": np.rot90(image)}
    for name, leaf in made.items():
        np.testing.assert_array_equal(np.float64(leaf), np.float64(expected[name]), err_msg=name)


def test_a_map_that_is_not_finite_reads_nothing_outside_of_the_image():
    bad = np.float32([[[number, 0, 0], [0, 1, 0]] for number in (np.inf, -np.inf, np.nan, 1e30)])
    for fill in ("nearest", "wrap"):
        made = np.asarray(jax.jit(jax.vmap(lambda m, f=fill: augment.affine(np.ones((3, 4, 1)), m, f)))(bad))
        assert np.all(np.isnan(made) | (made == 1))


def test_double_precision(x64):
    rng = np.random.default_rng(0)
    image, turn = rng.random((7, 5, 1)), np.array([[0.8, -0.6, 1.1], [0.6, 0.8, -0.3]])
    made = augment.affine(image, turn, "reflect")
    assert made.dtype == np.float64
    expected = ndimage.affine_transform(image[..., 0], turn[:, :2], turn[:, 2], order=1, mode="reflect")
    np.testing.assert_allclose(made[..., 0], expected, atol=1e-13)


def test_products_and_centres_of_maps():
    rng = np.random.default_rng(0)
    first, then = rng.normal(size=(2, 2, 3)).astype(np.float32)
    square = [np.vstack([m, [0, 0, 1]]).astype(np.float64) for m in (first, then)]
    np.testing.assert_allclose(matrix.product(first, then), (square[0] @ square[1])[:2], rtol=1e-5)
    moved = matrix.about_centre(jnp.asarray(first), 7, 4)
    to, back = np.eye(3), np.eye(3)
    to[:2, 2], back[:2, 2] = [3, 1.5], [-3, -1.5]
    np.testing.assert_allclose(moved, (to @ square[0] @ back)[:2], rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((3, 3)), np.eye(2, 3)), r"image has shape \(3, 3\): accepted is \[height width channels\]"),
        ((np.zeros((3, 0, 1)), np.eye(2, 3)), r"image has shape \(3, 0, 1\)"),
        ((np.zeros((3, 3, 1)), np.eye(3)), r"matrix has shape \(3, 3\): accepted is \[2 3\]"),
        ((np.zeros((3, 3, 1)), np.eye(2, 3), "mirror"), r"fill = 'mirror': unknown.*nearest, constant, reflect, wrap"),
        ((np.zeros((3, 3, 1)), np.eye(2, 3), "constant", np.nan), r"value = nan"),
    ],
)
def test_bad_values_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        augment.affine(*arguments)


def test_what_is_no_pixel_is_named():
    with pytest.raises(TypeError, match="image has dtype bool: accepted are bytes"):
        augment.affine(np.zeros((3, 3, 1), bool), np.eye(2, 3))
    with pytest.raises(TypeError, match="image has dtype complex64"):
        augment.affine(np.zeros((3, 3, 1), np.complex64), np.eye(2, 3))
