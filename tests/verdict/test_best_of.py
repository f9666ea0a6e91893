"""The expected best of k against every subset there is."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from jaxlab.verdict.best_of import expected_best, expected_best_band

NAN = math.nan


def by_enumeration(values, higher_is_better):
    """The mean of the best over all subsets in exact fractions; None as soon as one subset has none."""
    pick, found = (max if higher_is_better else min), []
    for k in range(1, len(values) + 1):
        bests = []
        for subset in itertools.combinations(values, k):
            finished = [Fraction(x) for x in subset if x is not None and math.isfinite(x)]
            bests.append(pick(finished) if finished else None)
        found.append(None if None in bests else sum(bests, Fraction(0)) / len(bests))
    return found


@pytest.mark.parametrize("higher_is_better", [True, False])
@pytest.mark.parametrize(
    "values",
    [
        [0.5],
        [0.3, 0.9, 0.1, 0.7, 0.2, 0.65, 0.4, 0.93],
        [1.0, 1.0, 2.0, 2.0, 2.0],
        [-3.0, 4.0, None, 1e-3, 7e5, NAN, math.inf],
        [None, 0.5, None],
        [None, None],
    ],
)
def test_all_subsets(values, higher_is_better):
    found, expected = expected_best(values, higher_is_better), by_enumeration(values, higher_is_better)
    assert [x is None for x in found] == [x is None for x in expected]
    for x, exact in zip(found, expected, strict=True):
        assert x is None or x == pytest.approx(float(exact), rel=1e-13)


def test_ends_are_the_mean_and_the_best():
    values = np.random.default_rng(0).normal(size=50)
    found = expected_best(values, True)
    assert found[0] == pytest.approx(values.mean())
    assert found[-1] == values.max()
    assert (np.diff(found) > 0).all()


def test_many_trials_neither_overflow_nor_cancel():
    # Of 1..n the expected best of k is k (n + 1) / (k + 1); binomials of 5000 have 1500 digits.
    n = 2000
    k = np.arange(1, n + 1)
    np.testing.assert_allclose(expected_best(range(1, n + 1), True), k * (n + 1) / (k + 1), rtol=1e-11)


def test_it_is_unbiased_and_drawing_with_replacement_is_not():
    # The best of 4 of uniform numbers is 4/5 on average, whatever number of trials it is told from.
    draws = np.random.default_rng(1).uniform(size=(2000, 6))
    found = np.array([expected_best(row, True)[3] for row in draws])
    error = found.std() / math.sqrt(len(found))
    assert abs(found.mean() - 0.8) < 4 * error
    i = np.arange(1, 7)
    biased = np.sort(draws) @ ((i / 6) ** 4 - ((i - 1) / 6) ** 4)
    assert biased.mean() < 0.8 - 10 * error


def test_order_does_not_matter_and_a_loss_mirrors_an_accuracy():
    values = [0.3, None, 0.9, 0.1]
    assert expected_best(values, True) == expected_best(values[::-1], True)
    mirrored = expected_best([None if x is None else -x for x in values], False)
    assert mirrored == [None if x is None else -x for x in expected_best(values, True)]
    assert math.copysign(1.0, expected_best([0.0, 1.0], False)[1]) == 1.0


def test_band_holds_the_curve_of_a_resample_and_is_the_same_every_time():
    values = np.random.default_rng(2).normal(size=12)
    low, high = expected_best_band(values, True)
    curve = np.array(expected_best(values, True), float)
    assert (low < high).all()
    assert (low < curve).all()
    assert (curve[:6] < high[:6]).all()
    assert high[-1] == values.max()
    np.testing.assert_array_equal(expected_best_band(values, True), (low, high))
    # At k = 1 it is the bootstrap of a mean.
    means = np.random.default_rng(3).choice(values, (20_000, 12)).mean(axis=1)
    np.testing.assert_allclose([low[0], high[0]], np.quantile(means, [0.025, 0.975]), atol=0.06)


def test_band_of_a_loss_is_the_mirror_image():
    values = np.random.default_rng(4).normal(size=8)
    low, high = expected_best_band(values, True)
    np.testing.assert_allclose(expected_best_band(-values, False), (-high, -low))


@pytest.mark.parametrize(("lost", "edge"), [(1, 0), (5, 1)])
def test_band_has_no_edge_where_too_many_resamples_have_no_best(lost, edge):
    # A resample of 6 has no best of k if it holds k lost trials or more, and that number is binomial.
    ends = expected_best_band([None] * lost + [0.5] * (6 - lost), True)
    without = stats.binom.sf(np.arange(6), 6, lost / 6)
    np.testing.assert_array_equal(np.isnan(ends[edge]), without > (0.025, 0.975)[edge])
    assert np.isnan(ends[edge]).tolist() == [True, True, True, False, False, False]


def test_band_of_trials_that_all_diverged():
    assert np.isnan(expected_best_band([None, None], True)).all()


def test_bad_values():
    with pytest.raises(ValueError, match="values is empty"):
        expected_best([], True)
    with pytest.raises(TypeError, match="values has the value 'x'"):
        expected_best(["x"], True)
    with pytest.raises(ValueError, match="level = 2"):
        expected_best_band([1.0], True, level=2)
