"""Steps to target: first crossings, medians and signs that take a miss as infinitely late."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from jaxlab.verdict.steps_to_target import median_steps, sooner, steps_to_target

INF, NAN = math.inf, math.nan


def test_first_evaluation_at_the_target_or_beyond():
    curves = [[0.1, 0.5, 0.4, 0.9], [0.5, 0.1, 0.1, 0.1], [0.1, 0.2, 0.3, 0.49], [0.9, 0.9, 0.9, 0.9]]
    assert steps_to_target([5, 10, 15, 20], curves, 0.5, True).tolist() == [10, 5, INF, 5]
    assert steps_to_target([5, 10, 15, 20], curves, 0.1, False).tolist() == [5, 10, 5, INF]


def test_divergence():
    # Minus infinity is no loss that was reached; who reached the target and broke later has reached it.
    curves = [[NAN, NAN, NAN], [None, 0.2, 0.1], [0.1, NAN, INF], [-INF, 0.5, -INF]]
    assert steps_to_target([1, 2, 3], curves, 0.2, False).tolist() == [INF, 2, 1, INF]


@pytest.mark.parametrize(
    ("steps", "curves", "target", "message"),
    [
        ([1, 2], [[0.1]], 0.5, "steps has shape"),
        ([], [[]], 0.5, "steps has shape"),
        ([1], [], 0.5, "steps has shape"),
        ([2, 2], [[0.1, 0.2]], 0.5, "increasing"),
        ([1, 2], [[0.1, 0.2]], NAN, "target = nan"),
    ],
)
def test_bad_curves(steps, curves, target, message):
    with pytest.raises(ValueError, match=message):
        steps_to_target(steps, curves, target, True)


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95, 0.99])
def test_the_interval_of_the_median_is_between_the_right_order_statistics(level):
    for n in range(1, 25):
        values = np.random.default_rng(n).permutation(np.arange(1.0, n + 1.0))
        # By enumeration of the binomial distribution with integers alone.
        below = list(itertools.accumulate(math.comb(n, i) for i in range(n + 1)))
        rank = sum(2 * count <= (1.0 - level) * 2**n for count in below)
        expected = (float(rank), float(n + 1 - rank)) if rank else (0.0, INF)
        assert median_steps(values, level).interval == expected


def test_misses_are_later_than_every_number():
    assert median_steps([10, INF, 20]) == (20.0, (0.0, INF))
    assert median_steps([10, INF, INF]).median == INF
    assert median_steps([10, 20, INF, INF]).median == INF
    assert median_steps([INF] * 6) == (INF, (INF, INF))
    assert median_steps([*[10.0] * 8, INF]) == (10.0, (10.0, 10.0))


def test_the_interval_holds_the_median_of_a_law_with_misses():
    # Misses on 40% of the seeds: the median is that of an exponential at 0.5 / 0.6 of its mass.
    rng = np.random.default_rng(0)
    truth, held = -math.log(1.0 - 0.5 / 0.6), 0
    for _ in range(500):
        values = np.where(rng.random(9) < 0.4, INF, rng.exponential(size=9))
        low, high = median_steps(values).interval
        held += low <= truth <= high
    assert stats.binomtest(held, 500, 0.95, alternative="less").pvalue > 0.001


def test_sign_test_is_the_share_of_all_sign_patterns_as_lopsided():
    for wins, losses in itertools.product(range(5), repeat=2):
        a = [1.0] * wins + [2.0] * losses + [3.0, INF]
        b = [2.0] * wins + [1.0] * losses + [3.0, INF]
        patterns = list(itertools.product((-1, 1), repeat=wins + losses))
        as_lopsided = sum(abs(sum(signs)) >= abs(wins - losses) for signs in patterns)
        assert sooner(a, b) == (wins, losses, pytest.approx(as_lopsided / len(patterns)))


def test_a_miss_loses_against_any_hit():
    assert sooner([1e9, INF], [INF, 1.0])[:2] == (1, 1)
    assert sooner([INF] * 3, [INF] * 3) == (0, 0, 1.0)


@pytest.mark.parametrize("steps", [[], [NAN], [-1.0], [[1.0]]])
def test_bad_steps(steps):
    with pytest.raises(ValueError, match="values = "):
        median_steps(steps)
    with pytest.raises(ValueError, match="a = "):
        sooner(steps, steps)


def test_arms_share_seeds():
    with pytest.raises(ValueError, match="a and b have 1 and 2 values"):
        sooner([1.0], [1.0, 2.0])
