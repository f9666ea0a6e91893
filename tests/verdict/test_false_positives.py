"""The promise itself: two names for one recipe are told apart in at most 5% of studies; by a bootstrap in more."""

import numpy as np
import pytest
from scipy import stats

from jaxlab.verdict.compare import comparisons
from jaxlab.verdict.paired import paired_t

STUDIES, SEEDS = 2000, 5

LAWS = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "skewed": lambda rng, shape: rng.exponential(size=shape),  # most runs good, a few much worse
    "counts": lambda rng, shape: rng.binomial(360, 0.97, size=shape) / 360,  # accuracy on 360 examples: ties
}


@pytest.fixture(scope="module", params=LAWS)
def studies(request):
    """Two arms of one law with seeds of their own, [studies, arms, seeds]."""
    return LAWS[request.param](np.random.default_rng(11), (STUDIES, 2, SEEDS))


def test_one_pair_is_told_apart_in_at_most_five_percent(studies):
    called = sum(comparisons({"a": a, "b": b}, True)[0].verdict != "undecided" for a, b in studies)
    assert stats.binomtest(called, STUDIES, 0.05, alternative="greater").pvalue > 0.01


def test_a_percentile_bootstrap_fails_the_same_gate(studies):
    d = studies[:, 0] - studies[:, 1]
    picked = np.random.default_rng(12).integers(0, SEEDS, (400, SEEDS))
    means = d[:, picked].mean(axis=-1)
    low, high = np.quantile(means, [0.025, 0.975], axis=1)
    called = int(((low > 0.0) | (high < 0.0)).sum())
    assert stats.binomtest(called, STUDIES, 0.05, alternative="greater").pvalue < 1e-6


def test_the_fast_paired_test_is_scipys(studies):
    test = stats.ttest_rel(studies[:200, 0], studies[:200, 1], axis=1)
    ends = test.confidence_interval(0.9)
    for i, (a, b) in enumerate(studies[:200]):
        found = paired_t(a, b, 0.9)
        assert found.p == pytest.approx(test.pvalue[i], rel=1e-9)
        assert found.interval == pytest.approx((ends.low[i], ends.high[i]), rel=1e-9, abs=1e-12)
