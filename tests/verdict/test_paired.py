"""Paired tests against scipy, published examples and simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from jaxlab.verdict.paired import equivalence_p, holm, paired_t, power, seeds_needed

RNG = np.random.default_rng(0)
A, B = RNG.normal(1.0, 1.0, 6), RNG.normal(0.5, 1.0, 6)

# Student's own data (Cushny and Peebles, 1905): additional hours of sleep by two drugs in ten patients.
SLEEP_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def test_students_sleep_data():
    test = paired_t(SLEEP_1, SLEEP_2)
    assert test.difference == pytest.approx(-1.58)
    assert test.interval == pytest.approx((-2.4598858, -0.7001142), abs=1e-6)
    assert test.p == pytest.approx(0.002833, abs=1e-6)


def test_swapping_the_arms_flips_everything():
    ab, ba = paired_t(A, B, 0.9), paired_t(B, A, 0.9)
    assert ab.p == ba.p
    assert ab.interval == pytest.approx((-ba.interval[1], -ba.interval[0]))
    assert ab.difference == -ba.difference


def test_interval_excludes_zero_exactly_where_p_is_below_its_level():
    rng = np.random.default_rng(5)
    for _ in range(50):
        test = paired_t(rng.normal(0.8, 1.0, 5), rng.normal(size=5))
        assert (test.p < 0.05) == (test.interval[0] > 0.0 or test.interval[1] < 0.0)


def test_one_seed_proves_nothing():
    assert paired_t([0.9], [0.1]) == (pytest.approx(0.8), (-math.inf, math.inf), 1.0)


def test_identical_arms():
    assert paired_t([0.9, 0.8], [0.9, 0.8]) == (0.0, (0.0, 0.0), 1.0)


@pytest.mark.parametrize("seeds", [2, 5, 8])
def test_differences_without_spread_are_judged_by_their_sign(seeds):
    a = RNG.uniform(0.5, 1.0, seeds)
    test = paired_t(a + 0.01, a)
    assert test.p == pytest.approx(stats.binomtest(seeds, seeds).pvalue)
    assert test.interval == (-math.inf, math.inf)


def test_rounding_of_float32_is_no_spread():
    # 351/360 - 350/360 and 340/360 - 339/360 are one difference, but not in float32.
    a = np.array([351, 340], np.float32) / np.float32(360)
    b = np.array([350, 339], np.float32) / np.float32(360)
    assert (a[0] - b[0]) != (a[1] - b[1])
    assert paired_t(a.astype(np.float64), b.astype(np.float64)).p == 0.5


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [([], [], "shapes"), ([1.0], [1.0, 2.0], "shapes"), ([math.nan], [1.0], "accepted are finite")],
)
def test_bad_values(a, b, message):
    with pytest.raises(ValueError, match=message):
        paired_t(a, b)


@pytest.mark.parametrize("margin", [0.3, 1.0, 3.0])
def test_equivalence_is_two_one_sided_t_tests(margin):
    above = stats.ttest_rel(A + margin, B, alternative="greater").pvalue
    below = stats.ttest_rel(A - margin, B, alternative="less").pvalue
    assert equivalence_p(A, B, margin) == pytest.approx(max(above, below), rel=1e-9)


def test_equivalence_is_the_90_percent_interval_within_the_margin():
    low, high = paired_t(A, B, 0.9).interval
    reach = max(abs(low), abs(high))
    assert equivalence_p(A, B, reach * 1.001) < 0.05 < equivalence_p(A, B, reach * 0.999)


def test_equivalence_without_spread():
    assert equivalence_p([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], 0.1) == 0.125
    assert equivalence_p([1.0, 2.0, 3.0], [2.0, 3.0, 4.0], 0.1) == 1.0
    assert equivalence_p([1.0], [1.0], 0.1) == 1.0


@pytest.mark.parametrize("margin", [0.0, -1.0, math.inf, math.nan])
def test_margin_is_positive(margin):
    with pytest.raises(ValueError, match="margin = "):
        equivalence_p(A, B, margin)


def test_holm_by_hand():
    # 4 x 0.005, 3 x 0.01, 2 x 0.03, and the last not below the one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.4]) == [0.4]
    assert holm([0.9, 0.9]) == [1.0, 1.0]


def test_holm_rejects_what_its_step_down_rule_rejects():
    rng = np.random.default_rng(6)
    for _ in range(100):
        p = rng.uniform(size=8) ** 4
        rejected = set()
        for step, index in enumerate(np.argsort(p)):
            if p[index] * (8 - step) >= 0.05:
                break
            rejected.add(index)
        assert {i for i, q in enumerate(holm(p.tolist())) if q < 0.05} == rejected


@pytest.mark.parametrize("p", [[-0.1], [1.1], [math.nan]])
def test_holm_wants_probabilities(p):
    with pytest.raises(ValueError, match="p = "):
        holm(p)


@pytest.mark.parametrize(("effect", "seeds"), [(0.5, 34), (1.0, 10), (2.0, 5), (1.5, 6)])
def test_power_is_how_often_a_simulated_study_finds_the_difference(effect, seeds):
    draws = np.random.default_rng(7).normal(effect, 1.0, (4000, seeds))
    statistic = draws.mean(axis=1) / draws.std(axis=1, ddof=1) * math.sqrt(seeds)
    found = int((statistic > stats.t.ppf(0.975, seeds - 1)).sum())
    assert stats.binomtest(found, 4000, power(effect, seeds)).pvalue > 0.001


@pytest.mark.parametrize(("effect", "total"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)])
def test_seeds_needed_agrees_with_cohens_tables(effect, total):
    # Two values on either side of the effect, with a standard deviation of exactly one.
    differences = np.array([effect - math.sqrt(0.5), effect + math.sqrt(0.5)])
    assert seeds_needed(differences, np.zeros(2)) == total - 2


def test_a_stricter_level_needs_more_seeds():
    needed = [seeds_needed(A, B, alpha=alpha) or 0 for alpha in (0.05, 0.01, 0.001)]
    assert 0 < needed[0] < needed[1] < needed[2]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([1.0], [0.0]),
        ([1.0, 2.0], [1.0, 2.0]),
        ([1.0, 2.0], [0.0, 1.0]),
        ([1.0, -1.0], [0.0, 0.0]),
        ([1.0, -0.99], [0.0, 0.0]),
    ],
)
def test_no_sensible_number_of_seeds(a, b):
    assert seeds_needed(a, b) is None


def test_a_large_effect_needs_one_more_seed():
    assert seeds_needed([1.0, 1.01], [0.0, 0.0]) == 1
