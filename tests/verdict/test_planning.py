"""Power before the run: against its own inverse, simulation, and scipy's non-central t."""

import math

import numpy as np
import pytest
from scipy import stats

from jaxlab.verdict.compare import comparisons
from jaxlab.verdict.measure import Measure
from jaxlab.verdict.paired import power
from jaxlab.verdict.planning import detectable_effect, equivalence_power, paired_sd, power_words

ACCURACY = Measure("accuracy", "fraction correct", higher_is_better=True)
LOSS = Measure("loss", "nats", higher_is_better=False)


@pytest.mark.parametrize("seeds", [2, 3, 5, 20, 1000])
@pytest.mark.parametrize("pairs", [1, 28, 1000])
def test_effect_is_the_inverse_of_power(seeds, pairs):
    for wanted in (0.5, 0.8, 0.99):
        effect = detectable_effect(seeds, pairs, wanted)
        assert power(effect, seeds, 0.05 / pairs) == pytest.approx(wanted, abs=1e-7)


def test_power_is_scipys():
    for effect, seeds, alpha in ((0.5, 34, 0.05), (3.0, 5, 0.05 / 28), (100.0, 2, 0.05 / 28), (0.0, 9, 0.1)):
        critical = stats.t.ppf(1 - alpha / 2, seeds - 1)
        expected = stats.nct.sf(critical, seeds - 1, effect * math.sqrt(seeds))
        assert power(effect, seeds, alpha) == pytest.approx(expected, abs=1e-9)


def test_limits():
    assert detectable_effect(1) == math.inf
    assert detectable_effect(5, power_wanted=0.02) == 0.0
    assert detectable_effect(5, pairs=2, alpha=0.1) == detectable_effect(5)
    # Cohen's table: 34 pairs find half a standard deviation.
    assert 0.49 < detectable_effect(34) < 0.5


def test_a_planted_effect_is_found_with_the_power_that_was_promised():
    # Through the comparison itself, one pair of six decided by Holm.
    effect, found, rng = detectable_effect(5, pairs=3), 0, np.random.default_rng(0)
    for _ in range(400):
        x = rng.normal(size=5)
        better = x + effect + rng.normal(size=5)
        pairs = comparisons({"a": better, "b": x, "c": x + 0.5 * effect}, True)
        found += pairs[0].verdict == "better"
    # Holm's later steps can only help.
    assert stats.binomtest(found, 400, 0.8, alternative="less").pvalue > 0.001
    assert found < 400


@pytest.mark.parametrize(("margin", "seeds", "pairs"), [(1.0, 5, 1), (2.0, 5, 3), (0.5, 40, 1), (5.0, 2, 1)])
def test_power_of_equivalence_is_how_often_a_simulated_study_shows_it(margin, seeds, pairs):
    d = np.random.default_rng(1).normal(size=(20_000, seeds))
    error = d.std(axis=1, ddof=1) / math.sqrt(seeds)
    close = np.abs(d.mean(axis=1)) + stats.t.ppf(1 - 0.05 / pairs, seeds - 1) * error < margin
    expected = equivalence_power(margin, seeds, pairs)
    assert stats.binomtest(int(close.sum()), 20_000, expected).pvalue > 0.001


def test_equivalence_at_the_ends():
    assert equivalence_power(1.0, 1) == 0.0
    assert equivalence_power(1e-6, 5) == pytest.approx(0.0, abs=1e-6)
    assert equivalence_power(100.0, 5) == pytest.approx(1.0)


@pytest.mark.parametrize("seeds", [2, 5, 50, 100, 200])
@pytest.mark.parametrize("pairs", [1, 28])
def test_a_larger_margin_is_shown_more_often_up_to_one(seeds, pairs):
    power_of = [equivalence_power(float(margin), seeds, pairs) for margin in np.geomspace(0.1, 1e5, 25)]
    assert np.diff(power_of).min() >= 0.0
    assert 0.0 <= power_of[0] <= power_of[-1] <= 1.0
    assert power_of[-1] == pytest.approx(1.0, abs=1e-10 if seeds > 2 else 1e-5)


def test_a_level_of_a_half_asks_only_for_the_mean():
    # t at 1/2 is 0: the mean alone has to be within the margin.
    assert equivalence_power(1.0, 4, alpha=0.5) == pytest.approx(2.0 * stats.norm.cdf(2.0) - 1.0)


def test_sd_is_pooled_over_pairs_and_leaves_lost_runs_out():
    rng = np.random.default_rng(2)
    a, b, c = rng.normal(size=(3, 6))
    expected = math.sqrt(np.mean([np.var(x, ddof=1) for x in (a - b, a - c, b - c)]))
    assert paired_sd({"a": a, "b": b, "c": c}) == pytest.approx(expected)
    lost = [math.nan, *a[1:5], None]
    assert paired_sd({"a": lost, "b": b}) == pytest.approx(np.std((a - b)[1:5], ddof=1))


@pytest.mark.parametrize(
    "arms", [{}, {"a": [1.0, 2.0]}, {"a": [1.0], "b": [2.0]}, {"a": [None, 1.0], "b": [1.0, None]}]
)
def test_no_sd(arms):
    assert paired_sd(arms) is None


def test_words():
    assert power_words(5, 28) == (
        "With 5 report seeds and 28 pairs, a difference of 4.12 times the spread (standard deviation) of the "
        "differences from seed to seed is found with 80% power. A smaller one may stay undecided."
    )
    assert "here about 0.168 nats of test loss" in power_words(5, 1, 0.1, LOSS)
    assert power_words(5, 1, 0.01, ACCURACY, margin=0.01).endswith(
        "Arms that do not differ are shown to be within 1.00 points with 29% power."
    )
    assert power_words(5, 1, 0.0, ACCURACY, margin=0.01).endswith("with 100% power.")
    assert power_words(1, 3).startswith("One report seed cannot decide anything")
    assert power_words(5, 0) == "There is one arm, so nothing is compared."


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: detectable_effect(0), ValueError, "seeds = 0"),
        (lambda: detectable_effect(5.0), TypeError, "seeds = 5.0"),
        (lambda: detectable_effect(5, 0), ValueError, "pairs = 0"),
        (lambda: detectable_effect(5, power_wanted=1.0), ValueError, "power_wanted = 1.0"),
        (lambda: detectable_effect(5, alpha=0.0), ValueError, "alpha = 0.0"),
        (lambda: equivalence_power(0.0, 5), ValueError, "margin = 0.0"),
        (lambda: paired_sd({"a": [1.0], "b": [1.0, 2.0]}), ValueError, "'a': 1, 'b': 2"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
