"""Intervals against scipy, their promised coverage, and what cannot have one."""

import math

import numpy as np
import pytest
from scipy import stats

from jaxlab.verdict.intervals import binomial_interval, bootstrap_band, t_interval


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_t_interval_is_scipys(level):
    values = np.random.default_rng(0).normal(3.0, 2.0, 7)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(level)
    np.testing.assert_allclose(t_interval(values, level), [expected.low, expected.high], rtol=1e-12)


def test_t_interval_holds_its_level():
    draws = np.random.default_rng(1).normal(size=(2000, 5))
    held = sum(low <= 0.0 <= high for low, high in map(t_interval, draws))
    assert stats.binomtest(held, 2000, 0.95).pvalue > 0.001


def test_a_bootstrap_at_five_seeds_does_not_hold_its_level():
    # Why the band is for display only: the negative control of the test above.
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(500):
        low, high = bootstrap_band(rng.normal(size=(5, 1)), draws=400)
        held += bool(low[0] <= 0.0 <= high[0])
    assert stats.binomtest(held, 500, 0.95).proportion_ci(0.999).high < 0.95


@pytest.mark.parametrize("values", [[0.5], [0.5, math.nan], [0.5, 0.6, math.inf]])
def test_one_seed_or_a_diverged_one_bounds_nothing(values):
    assert t_interval(values) == (-math.inf, math.inf)


def test_equal_values_have_an_interval_of_no_width():
    assert t_interval([0.5, 0.5, 0.5]) == (0.5, 0.5)


@pytest.mark.parametrize("values", [[], [[0.1, 0.2]]])
def test_no_values_are_an_error(values):
    with pytest.raises(ValueError, match="values has shape"):
        t_interval(values)


@pytest.mark.parametrize("level", [0.0, 1.0, 95, math.nan])
def test_level_is_a_probability(level):
    with pytest.raises(ValueError, match="level = "):
        t_interval([1.0, 2.0], level)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_binomial_interval_is_the_quantiles_of_beta_laws(level):
    tail = (1.0 - level) / 2.0
    for s in range(1, 12):
        expected = (stats.beta.ppf(tail, s, 13 - s), stats.beta.ppf(1.0 - tail, s + 1, 12 - s))
        assert binomial_interval(s, 12, level) == pytest.approx(expected, rel=1e-9)
    assert binomial_interval(0, 12, level) == (0.0, pytest.approx(1.0 - tail ** (1.0 / 12.0)))
    assert binomial_interval(12, 12, level) == (pytest.approx(tail ** (1.0 / 12.0)), 1.0)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (-1, 5), (6, 5)])
def test_binomial_counts(successes, trials):
    with pytest.raises(ValueError, match=f"successes = {successes}, trials = {trials}"):
        binomial_interval(successes, trials)


def test_band_is_scipys_percentile_bootstrap():
    rows = np.random.default_rng(3).normal(size=(12, 3))
    low, high = bootstrap_band(rows, draws=20_000)
    expected = stats.bootstrap((rows,), np.mean, axis=0, method="percentile", n_resamples=20_000, rng=4)
    np.testing.assert_allclose(low, expected.confidence_interval.low, atol=0.02)
    np.testing.assert_allclose(high, expected.confidence_interval.high, atol=0.02)


def test_band_is_the_same_every_time_and_absent_where_a_run_diverged():
    rows = np.array([[1.0, 2.0, np.nan], [2.0, 4.0, 1.0]])
    low, high = bootstrap_band(rows)
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == [False, False, True]
    np.testing.assert_array_equal(low, bootstrap_band(rows)[0])


def test_band_needs_a_seed():
    with pytest.raises(ValueError, match=r"curves has shape \(0, 3\)"):
        bootstrap_band(np.zeros((0, 3)))
