"""Corrections, equivalence, power and exact intervals against statsmodels' frozen numbers."""

import json
import pathlib

import pytest

from jaxlab.verdict.intervals import binomial_interval
from jaxlab.verdict.paired import equivalence_p, holm, power
from jaxlab.verdict.planning import detectable_effect

STATSMODELS = json.loads((pathlib.Path(__file__).parents[1] / "data" / "statsmodels_verdicts.json").read_text())


def test_holm():
    for case in STATSMODELS["holm"]:
        assert holm(case["p"]) == pytest.approx(case["corrected"], rel=1e-12)


def test_two_one_sided_tests():
    for case in STATSMODELS["equivalence"]:
        assert equivalence_p(case["a"], case["b"], case["margin"]) == pytest.approx(case["p"], rel=1e-9)


def test_power():
    for case in STATSMODELS["power"]:
        assert power(case["effect"], case["seeds"], case["alpha"]) == pytest.approx(case["power"], abs=1e-8)


def test_detectable_effect():
    for case in STATSMODELS["effects"]:
        assert detectable_effect(case["seeds"], case["pairs"]) == pytest.approx(case["effect"], rel=1e-5)


def test_exact_intervals():
    for case in STATSMODELS["proportions"]:
        found = binomial_interval(case["successes"], case["trials"], case["level"])
        assert found == pytest.approx(case["interval"], abs=1e-10)
