"""The share of lost runs."""

import math

import pytest
from scipy import stats

from jaxlab.verdict.divergence_rate import divergence_rate


def test_counts_whatever_is_not_finite():
    found = divergence_rate([0.5, None, math.nan, math.inf, -math.inf, 0.0], level=0.9)
    assert (found.lost, found.runs, found.rate) == (4, 6, pytest.approx(4 / 6))
    assert found.interval == tuple(stats.binomtest(4, 6).proportion_ci(0.9, method="exact"))


def test_no_lost_run_is_no_proof_of_none():
    # The rule of three, here exact: five good runs leave a rate of up to a half.
    assert divergence_rate([1.0] * 5).interval == (0.0, pytest.approx(1.0 - 0.025**0.2))
    assert divergence_rate([None] * 5).interval == (pytest.approx(0.025**0.2), 1.0)


def test_bad_values():
    with pytest.raises(ValueError, match="values is empty"):
        divergence_rate([])
    with pytest.raises(TypeError, match="values has the value 'x'"):
        divergence_rate(["x"])
