"""Cutout: how much is cut, and where."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import augment

DRAWS = 4000


@pytest.fixture(scope="module")
def seen():
    """``strength -> [draws, 7, 5]``: which pixels are kept; one program."""
    keys = jax.random.split(jax.random.key(0), DRAWS)
    draw = jax.jit(lambda operation: jax.vmap(operation, in_axes=(0, None))(keys, jnp.ones((7, 5, 2))))
    return lambda strength: np.asarray(draw(augment.cutout(strength)))


@pytest.mark.parametrize("side", [1, 3, 5])
def test_a_whole_number_of_rows_is_a_square_anywhere(seen, side):
    kept = seen(side / 5)
    np.testing.assert_array_equal(kept[..., 0], kept[..., 1])
    cut = 1 - kept[..., 0]
    rows, columns = cut.any(axis=2), cut.any(axis=1)
    # A product of an interval of rows and one of columns, each as long as the side, or less at an edge.
    np.testing.assert_array_equal(cut, rows[:, :, None] & columns[:, None])
    for line in (rows, columns):
        assert line.sum(axis=1).max() == side
        inner = ~line[:, [0, -1]].any(axis=1)
        assert (line[inner].sum(axis=1) == side).all()
        assert (np.abs(np.diff(line.astype(int), axis=1)).sum(axis=1) <= 2).all()


@pytest.mark.parametrize("strength", [0.1, 0.5, 1.0])
def test_each_pixel_is_cut_as_often_as_squares_reach_it(seen, strength):
    side = 5 * strength

    def probability(length):
        places = np.arange(length) + 0.5
        return (np.minimum(places + side / 2, length) - np.maximum(places - side / 2, 0)) / length

    wanted = probability(7)[:, None] * probability(5)
    found = 1 - seen(strength)[..., 0].mean(axis=0)
    np.testing.assert_allclose(found, wanted, atol=4 * np.sqrt(0.25 / DRAWS))


def test_what_is_cut_takes_the_value():
    operation = augment.cutout(1.0, value=0.5)
    found = jax.jit(operation)(jax.random.key(0), jnp.full((4, 4, 1), 200, jnp.uint8))
    assert set(np.unique(found)) == {127.5, 200.0}


def test_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"strength = 1.5: accepted is a number in \[0, 1\]"):
        augment.cutout(1.5)
    with pytest.raises(ValueError, match=r"value = 255: accepted is a number in \[0, 1\]"):
        augment.cutout(0.5, value=255)
