"""Exactly so many of the smallest, as a stable sort finds them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.core.smallest import smallest

RNG = np.random.default_rng(0)
VALUES = {
    "ties": RNG.integers(-3, 4, (6, 5)).astype(np.float32),
    "stack": RNG.standard_normal((3, 4, 5)).astype(np.float32),
    "special": np.float32([[np.inf, -np.inf, 0.0, -1.0], [np.nan, 1e-38, -2.0, 1e38]]),
}
STACKED = {"ties": (), "stack": (0,), "special": ()}


def _sorted(values, count):
    """The first ``count`` places of a stable sort."""
    found = np.zeros(values.size, bool)
    found[np.argsort(values.ravel(), kind="stable")[:count]] = True
    return found.reshape(values.shape)


@pytest.fixture(scope="module")
def found():
    return {
        together: jax.jit(lambda share, together=together: smallest(VALUES, STACKED, share, together=together))
        for together in (False, True)
    }


@pytest.mark.parametrize("share", [0.0, 0.01, 0.25, 0.5, 0.77, 0.999, 1.0])
def test_they_are_those_of_a_stable_sort(found, share):
    alone = found[False](share)
    for name in ("ties", "special"):
        wanted = _sorted(VALUES[name], round(share * VALUES[name].size))
        np.testing.assert_array_equal(alone[name], wanted, err_msg=name)
    for layer, own in zip(alone["stack"], VALUES["stack"], strict=True):
        np.testing.assert_array_equal(layer, _sorted(own, round(share * own.size)))

    whole = found[True](share)
    flat, together = (np.concatenate([np.ravel(x[name]) for name in sorted(VALUES)]) for x in (VALUES, whole))
    np.testing.assert_array_equal(together, _sorted(flat, round(share * flat.size)))


@pytest.mark.usefixtures("x64")
def test_in_64_bits():
    values = 1 + 1e-12 * RNG.standard_normal(20)
    np.testing.assert_array_equal(smallest({"x": jnp.asarray(values)}, {"x": ()}, 0.3)["x"], _sorted(values, 6))


def test_of_nothing():
    assert smallest({}, {}, 0.5) == {}
