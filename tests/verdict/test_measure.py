"""Numbers as they are shown."""

import math

import pytest

from jaxlab.verdict.measure import MINUS, Measure, enumerate_words, probability

ACCURACY = Measure("accuracy", "fraction correct", higher_is_better=True)
ERROR = Measure("squared_error", "", higher_is_better=False)


@pytest.mark.parametrize(
    ("measure", "x", "shown"),
    [
        (ACCURACY, 0.97316, "97.32%"),
        (ACCURACY, 0.0, "0.00%"),
        (ACCURACY, 1.0, "100.00%"),
        (ERROR, 3012.44, "3012"),
        (ERROR, 0.00012346, "0.0001235"),
        (ERROR, -1.5, f"{MINUS}1.500"),
        (ERROR, None, "\N{EN DASH}"),
        (ERROR, math.nan, "\N{EN DASH}"),
        (ERROR, math.inf, "\N{EN DASH}"),
    ],
)
def test_values(measure, x, shown):
    assert measure.value(x) == shown


@pytest.mark.parametrize(
    ("measure", "x", "shown"),
    [
        (ACCURACY, 0.012, "+1.20 points"),
        (ACCURACY, -0.012, f"{MINUS}1.20 points"),
        (ACCURACY, -0.00001, "0.00 points"),
        (ERROR, -0.25, f"{MINUS}0.250"),
        (ERROR, 0.0, "0"),
    ],
)
def test_differences(measure, x, shown):
    assert measure.difference(x) == shown


def test_interval_and_axes():
    assert ACCURACY.interval(-0.001, 0.01) == f"{MINUS}0.10 to +1.00 points"
    assert ACCURACY.axis("validation") == "validation accuracy (% correct)"
    assert ERROR.axis("test") == "test squared error"


def test_probability_and_lists():
    assert probability(0.0) == "< 0.001"
    assert enumerate_words(["a", "b"], "or") == "a or b"
