"""A picture of what operations do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import augment

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (4, 5, 3), np.uint8)
KEY = jax.random.key(0)


def test_rows_are_operations_and_columns_draws():
    operations = [augment.cutout(0.5, value=1.0), augment.cutmix(1.0), augment.horizontal_flip(1.0)]
    grid, labels = augment.preview(IMAGE, KEY, draws=6, operations=operations, other=np.zeros_like(IMAGE))
    assert grid.shape == (3 * 4, 6 * 5, 3)
    assert grid.dtype == np.uint8
    assert labels == ["cutout 0.5", "cutmix 1", "horizontal_flip 1"]
    cells = grid.reshape(3, 4, 6, 5, 3).swapaxes(1, 2)
    kept = cells == IMAGE
    assert (cells[0][~kept[0]] == 255).all()
    assert (cells[1][~kept[1]] == 0).all()
    for row in (0, 1):
        assert len({cell.tobytes() for cell in cells[row]}) > 1
    np.testing.assert_array_equal(cells[2], np.broadcast_to(IMAGE[:, ::-1], cells[2].shape))


def test_every_operation_has_a_row_at_its_default():
    image = jnp.full((2, 2, 1), 0.5, jnp.bfloat16)
    grid, labels = augment.preview(image, KEY, draws=1)
    assert grid.shape == (2 * len(augment.names()), 2, 1)
    assert grid.dtype == jnp.bfloat16
    assert labels == [f"{name} {augment.get(name).strength:g}" for name in augment.names()]


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"other has shape \(4, 5, 1\): accepted is the image's, \(4, 5, 3\)"):
        augment.preview(IMAGE, KEY, other=IMAGE[..., :1])
    with pytest.raises(ValueError, match="draws = 0: accepted"):
        augment.preview(IMAGE, KEY, draws=0)
    with pytest.raises(ValueError, match=r"operations = \[\]: accepted is at least one"):
        augment.preview(IMAGE, KEY, operations=[])
