"""Splits that never change, constants that the test set has no part in."""

import numpy as np
import pytest

from jaxlab.tasks import standardise, train_test_split


def test_every_example_is_on_one_side_with_its_label():
    data = {"x": np.arange(40).reshape(20, 2), "y": np.arange(20)}
    pool, test = train_test_split(data, 0.25)
    assert len(test["y"]) == 5
    assert sorted([*pool["y"], *test["y"]]) == list(range(20))
    for part in (pool, test):
        np.testing.assert_array_equal(part["x"][:, 0], 2 * part["y"])


def test_the_permutation_is_frozen():
    _, test = train_test_split(np.arange(1797), 0.2)
    assert test[:8].tolist() == [1081, 1707, 927, 713, 262, 182, 303, 895]


@pytest.mark.parametrize("fraction", [0.01, 0.99])
def test_an_empty_side_is_refused(fraction):
    with pytest.raises(ValueError, match=rf"test_fraction = {fraction} of 10 examples"):
        train_test_split(np.arange(10), fraction)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, float("nan")])
def test_fractions_out_of_range_are_refused(fraction):
    with pytest.raises(ValueError, match=r"test_fraction = .* a number in \(0, 1\)"):
        train_test_split(np.arange(10), fraction)


def test_standardised_by_the_pool_alone():
    rng = np.random.RandomState(0)
    pool, test = rng.normal(3, 5, (200, 4)), rng.normal(-1, 2, (50, 4))
    new_pool, new_test = standardise(pool, test)
    np.testing.assert_allclose(new_pool.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(new_pool.std(0), 1, rtol=1e-6)
    np.testing.assert_allclose(new_test * pool.std(0) + pool.mean(0), test, rtol=1e-5, atol=1e-6)
    assert new_pool.dtype == new_test.dtype == np.float32
    one_constant, _ = standardise(pool, test, axis=None)
    assert one_constant.std() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("data", [None, 3.0, "abc", [1.0, 2.0], {"x": np.ones(4), "y": np.ones(5)}])
def test_data_without_a_common_axis_of_examples_is_refused(data):
    with pytest.raises(ValueError, match="accepted is one leading axis, of examples, for all"):
        train_test_split(data)
