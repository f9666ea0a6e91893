"""The probability of being better: counting, ties, lost runs, and an interval that holds."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from jaxlab.verdict.superiority import p_better

NAN = math.nan


def test_wins_and_ties_are_counted_for_both_directions():
    a, b = [1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 2.0, 4.0, 3.0, 4.0]
    assert p_better(a, b, higher_is_better=True).probability == pytest.approx((3 + 0.5) / 5)
    assert p_better(a, b, higher_is_better=False).probability == pytest.approx((1 + 0.5) / 5)


def test_estimate_is_mann_whitneys_of_each_pair():
    # Independent of the counting: the sign of each difference, on a scale from 0 to 1.
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, (2, 40))
    assert p_better(a, b, True).probability == pytest.approx(np.mean(np.sign(a - b) / 2 + 0.5))


def test_without_ties_the_interval_is_scipys_exact_one():
    found = p_better([1.0, 1.0, 1.0, 0.0, 1.0], [0.5] * 5, True, level=0.9)
    assert found.interval == tuple(stats.binomtest(4, 5).proportion_ci(0.9, method="exact"))


def test_swapping_the_arms_mirrors_everything():
    a, b = [0.9, 0.8, NAN, 0.7], [0.8, 0.8, 0.5, 0.9]
    ab, ba = p_better(a, b, True), p_better(b, a, True)
    assert ab.probability == pytest.approx(1.0 - ba.probability)
    assert ab.interval == pytest.approx((1.0 - ba.interval[1], 1.0 - ba.interval[0]))


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_a_lost_run_loses_and_two_tie(higher_is_better):
    assert p_better([None, NAN], [-1e300, 1e300], higher_is_better).probability == 0.0
    assert p_better([0.0], [math.inf], higher_is_better).probability == 1.0
    assert p_better([None, -math.inf], [NAN, None], higher_is_better) == (0.5, (0.0, 1.0))


def test_the_same_arm_twice_excludes_nothing():
    assert p_better([0.9] * 5, [0.9] * 5, True) == (0.5, (0.0, 1.0))


@pytest.mark.parametrize("tie", [0.0, 0.3])
@pytest.mark.parametrize("win", [0.1, 0.5, 0.65])
def test_the_interval_holds_the_probability_often_enough(win, tie):
    # Exact: every outcome of 6 seeds, by its multinomial probability.
    truth, held = win + 0.5 * tie, 0.0
    values = {"win": (1.0, 0.0, win), "tie": (0.0, 0.0, tie), "loss": (0.0, 1.0, 1.0 - win - tie)}
    for counts in itertools.product(range(7), repeat=2):
        wins, ties = counts
        if wins + ties > 6:
            continue
        seen = ["win"] * wins + ["tie"] * ties + ["loss"] * (6 - wins - ties)
        low, high = p_better([values[s][0] for s in seen], [values[s][1] for s in seen], True).interval
        chance = stats.multinomial.pmf([wins, ties, 6 - wins - ties], 6, [win, tie, 1.0 - win - tie])
        held += chance * (low <= truth <= high)
    assert held >= 0.95


@pytest.mark.parametrize(
    ("a", "b", "error", "message"),
    [
        ([], [], ValueError, "a has 0 values and b has 0"),
        ([1.0], [1.0, 2.0], ValueError, "a has 1 values and b has 2"),
        (["1"], [1.0], TypeError, "a has the value '1'"),
        ([1.0], [True], TypeError, "b has the value True"),
    ],
)
def test_bad_values(a, b, error, message):
    with pytest.raises(error, match=message):
        p_better(a, b, True)


def test_bad_level():
    with pytest.raises(ValueError, match="level = 1"):
        p_better([1.0], [0.0], True, level=1)
