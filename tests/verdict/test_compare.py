"""Every pair, its verdict, and the rate of false claims."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxlab.verdict.compare import Comparison, comparisons
from jaxlab.verdict.paired import seeds_needed

ARMS = {
    "adam": [0.971, 0.975, 0.969, 0.973, 0.972],
    "adamw": [0.972, 0.974, 0.971, 0.973, 0.971],
    "sgd": [0.951, 0.957, 0.948, 0.953, 0.950],
}


def test_every_pair_once_in_the_order_of_the_arms():
    found = comparisons(ARMS, higher_is_better=True)
    assert [(c.a, c.b) for c in found] == [("adam", "adamw"), ("adam", "sgd"), ("adamw", "sgd")]


def test_numbers_are_scipys_and_holms():
    found = comparisons(ARMS, higher_is_better=True)
    p = [stats.ttest_rel(ARMS[c.a], ARMS[c.b]).pvalue for c in found]
    assert [c.p for c in found] == pytest.approx(p)
    smallest, middle, largest = sorted(p)
    corrected = {smallest: 3 * smallest, middle: max(3 * smallest, 2 * middle), largest: largest}
    assert [c.p_holm for c in found] == pytest.approx([corrected[value] for value in p])
    for c in found:
        test = stats.ttest_rel(ARMS[c.a], ARMS[c.b])
        assert c.difference == pytest.approx(np.mean(np.subtract(ARMS[c.a], ARMS[c.b])))
        assert c.interval == pytest.approx(tuple(test.confidence_interval(0.95)))


def test_holm_corrects_over_the_pairs_with_a_baseline_alone():
    found = comparisons(ARMS, higher_is_better=True, margin=0.003, baseline="adam")
    assert [(c.a, c.b) for c in found] == [("adamw", "adam"), ("sgd", "adam")]
    assert [c.verdict for c in found] == ["equivalent", "worse"]
    smallest, largest = sorted(c.p for c in found)
    assert sorted(c.p_holm for c in found) == pytest.approx([2 * smallest, max(2 * smallest, largest)])
    with pytest.raises(ValueError, match="baseline = 'adamm': unknown, did you mean 'adam'"):
        comparisons(ARMS, higher_is_better=True, baseline="adamm")


def test_verdicts():
    near, far, also_far = comparisons(ARMS, higher_is_better=True)
    assert (near.verdict, far.verdict, also_far.verdict) == ("undecided", "better", "better")
    assert near.seeds_needed is not None
    assert near.seeds_needed > 5
    assert far.seeds_needed is None


def test_a_loss_reads_the_other_way():
    up = comparisons(ARMS, higher_is_better=True)
    down = comparisons(ARMS, higher_is_better=False)
    swapped = {"better": "worse", "undecided": "undecided"}
    assert [c.verdict for c in down] == [swapped[c.verdict] for c in up]
    for c, d in zip(up, down, strict=True):
        # The difference stays that of the metric itself.
        assert (d.difference, d.p) == pytest.approx((c.difference, c.p))
        assert d.interval == pytest.approx(c.interval)


def test_flipped_twice_is_itself():
    for c in comparisons(ARMS, higher_is_better=True):
        assert c.flipped().flipped() == c
        assert (c.flipped().a, c.flipped().difference) == (c.b, -c.difference)


def test_margin_makes_close_arms_equivalent():
    near, far, _ = comparisons(ARMS, higher_is_better=True, margin=0.01)
    assert (near.verdict, far.verdict) == ("equivalent", "better")
    assert comparisons(ARMS, higher_is_better=True, margin=0.5)[1].verdict == "equivalent"


def test_one_seed_decides_nothing():
    [found] = comparisons({"a": [1.0], "b": [0.0]}, higher_is_better=True, margin=5.0)
    assert found == Comparison("a", "b", 1.0, (-math.inf, math.inf), 1.0, 1.0, "undecided", None)


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_identical_arms_are_undecided(higher_is_better):
    [found] = comparisons({"a": [1.0, 2.0, 1.5], "b": [1.0, 2.0, 1.5]}, higher_is_better)
    assert found == Comparison("a", "b", 0.0, (0.0, 0.0), 1.0, 1.0, "undecided", None)
    assert math.copysign(1.0, found.difference) == math.copysign(1.0, found.interval[0]) == 1.0


def test_a_single_arm_has_no_pairs():
    assert comparisons({"a": [1.0, 2.0]}, higher_is_better=True) == []


def test_arrays_of_any_make_are_values():
    expected = comparisons({"a": [1.0, 2.0, 4.0], "b": [0.0, 0.5, 3.0]}, higher_is_better=True)
    makers: list[Callable[[list[float]], Any]] = [np.array, jnp.asarray, tuple]
    for make in makers:
        arms = {"a": make([1.0, 2.0, 4.0]), "b": make([0.0, 0.5, 3.0])}
        assert comparisons(arms, higher_is_better=True) == expected


def test_a_comparison_is_plain_data():
    [found] = comparisons({"a": [1.0, 2.0], "b": [0.0, 0.5]}, higher_is_better=True)
    names = {"a", "b", "difference", "interval", "p", "p_holm", "verdict", "seeds_needed"}
    assert set(dataclasses.asdict(found)) == names
    assert all(type(x) is float for x in (found.difference, *found.interval, found.p, found.p_holm))


@pytest.mark.parametrize(
    ("arms", "error", "message"),
    [
        ({}, ValueError, "arms is empty"),
        ({"a": [], "b": []}, ValueError, "at least one seed"),
        ({"a": [1.0], "b": [1.0, 2.0]}, ValueError, "'a': 1, 'b': 2"),
        ({"a": ["0.9"]}, TypeError, r"arms\['a'\] has the value '0.9'"),
        ({"a": [True]}, TypeError, r"arms\['a'\] has the value True"),
    ],
)
def test_bad_arms(arms, error, message):
    with pytest.raises(error, match=message):
        comparisons(arms, higher_is_better=True)


def test_bad_margin_and_level():
    with pytest.raises(ValueError, match=r"margin = -0\.1"):
        comparisons(ARMS, higher_is_better=True, margin=-0.1)
    with pytest.raises(ValueError, match="level = 95"):
        comparisons(ARMS, higher_is_better=True, level=95)


def test_false_winners_among_equal_arms_stay_within_five_percent():
    # Five names for one recipe, ten pairs, five seeds that share a part of their noise.
    rng = np.random.default_rng(0)
    false, plain, studies = 0, 0, 200
    for _ in range(studies):
        shared = rng.normal(size=5)
        found = comparisons({str(i): shared + rng.normal(size=5) for i in range(5)}, higher_is_better=True)
        false += any(c.verdict != "undecided" for c in found)
        plain += any(c.p < 0.05 for c in found)
    assert stats.binomtest(false, studies).proportion_ci(0.99).low < 0.05
    # The negative control: without the correction the same studies call winners all the time.
    assert stats.binomtest(plain, studies).proportion_ci(0.99).low > 0.05


def test_a_planted_difference_is_found():
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(200):
        x = rng.normal(size=5)
        found += comparisons({"a": x + 3.0 + rng.normal(size=5), "b": x}, higher_is_better=True)[0].verdict == "better"
    # The non-central t distribution promises this power at an effect of 3 standard deviations and 5 seeds.
    promised = float(stats.nct.sf(stats.t.ppf(0.975, 4), 4, 3.0 * math.sqrt(5)))
    assert stats.binomtest(found, 200, promised).pvalue > 0.001


def test_seeds_needed_counts_with_the_level_that_holm_leaves():
    found = comparisons(ARMS, higher_is_better=True)
    near = found[0]
    assert [c.verdict for c in found].count("undecided") == 1
    assert near.seeds_needed == seeds_needed(ARMS["adam"], ARMS["adamw"], alpha=0.05)
    # A third arm that nothing separates: three open pairs share the level.
    arms = {**ARMS, "sgd": [0.970, 0.972, 0.973, 0.969, 0.972]}
    for c in comparisons(arms, higher_is_better=True):
        assert c.verdict == "undecided"
        assert c.seeds_needed == seeds_needed(arms[c.a], arms[c.b], alpha=0.05 / 3)
