"""Learning-rate sensitivity against integrals in closed form."""

import math

import numpy as np
import pytest

from jaxlab.verdict.sensitivity import lr_sensitivity

NAN = math.nan
DECADE = math.log(10.0)


def irregular(low, high, count, *through):
    """Rates in no regular grid, with those named among them, in no order."""
    rng = np.random.default_rng(0)
    return rng.permutation(np.concatenate([np.exp(rng.uniform(math.log(low), math.log(high), count)), through]))


def test_a_parabola_on_the_log_axis():
    rates = irregular(1e-4, 1.0, 400, 1e-4, 1e-2, 1.0)
    loss = 0.3 + 0.7 * np.log(rates / 1e-2) ** 2
    # The mean of c x^2 over [-w, w] and over [0, w] is c w^2 / 3.
    for factor in (3.0, 10.0):
        found = lr_sensitivity(rates, loss, False, floor=50.0, factor=factor)
        assert found == pytest.approx((0.7 * math.log(factor) ** 2 / 3,) * 2, rel=2e-3)


def test_a_parabola_cut_by_the_floor():
    rates = np.geomspace(1e-3, 1e-1, 2001)
    loss = np.log(rates / 1e-2) ** 2
    # Beyond |x| = 1 the loss is that of no training: (1/3 + (w - 1)) / w.
    expected = (1.0 / 3.0 + DECADE - 1.0) / DECADE
    assert lr_sensitivity(rates, loss, False, floor=1.0) == pytest.approx((expected, expected), rel=1e-4)
    # What diverged counts the same as what is no better than the floor.
    lost = np.where(loss > 1.0, NAN, loss)
    assert lr_sensitivity(rates, lost, False, floor=1.0) == pytest.approx((expected, expected), rel=1e-3)


def test_straight_lines_are_exact_on_any_grid():
    # Loss rises 1 a decade to the left and 3 to the right; the window ends between the points.
    rates = irregular(1e-3, 1e1, 9, 1e-3, 1e-1, 1e1)
    x = np.log10(rates) + 1.0
    loss = np.where(x < 0, -x, 3.0 * x)
    found = lr_sensitivity(rates, loss, False, floor=100.0, factor=10**0.5)
    assert found == pytest.approx(((0.25 + 0.75) / 2, 0.75))


def test_the_window_is_clipped_to_what_was_tried():
    # One decade left at slope 1, half a decade right at slope 3: (0.5 + 0.375) / 1.5.
    rates, loss = [1e-3, 1e-1, 10**-0.5], [2.0, 0.0, 1.5]
    assert lr_sensitivity(rates, loss, False) == pytest.approx(((0.5 + 0.375) / 1.5, 0.75))


def test_an_accuracy_is_a_loss_turned_round():
    rates, loss = irregular(1e-3, 1.0, 7), np.random.default_rng(1).normal(size=7)
    assert lr_sensitivity(rates, -loss, True, floor=-1.0) == lr_sensitivity(rates, loss, False, floor=1.0)
    assert lr_sensitivity(rates, -loss, True) == lr_sensitivity(rates, loss, False)


def test_scale_and_shift():
    rates, values = irregular(1e-3, 1.0, 7), np.random.default_rng(2).normal(size=7)
    plain = lr_sensitivity(rates, values, True)
    assert lr_sensitivity(rates * 100, 2 * values + 5, True) == pytest.approx((2 * plain.two_sided, 2 * plain.right))


def test_two_rates():
    # The better one is the largest tried, so nothing is known of what lies right of it.
    assert lr_sensitivity([0.01, 0.1], [0.5, 0.9], True) == (pytest.approx(0.2), None)
    assert lr_sensitivity([0.1, 0.01], [0.5, 0.9], True) == (pytest.approx(0.2), pytest.approx(0.2))
    assert lr_sensitivity([0.01, 0.1], [0.9, None], True, floor=0.1) == (pytest.approx(0.4), pytest.approx(0.4))


def test_one_rate_has_no_window():
    assert lr_sensitivity([0.1], [0.5], True) == (None, None)


def test_without_a_floor_a_diverged_rate_is_the_worst_that_finished():
    found = lr_sensitivity([0.01, 0.1, 1.0], [0.5, 0.9, None], True)
    assert found == (pytest.approx(0.2), pytest.approx(0.2))


@pytest.mark.parametrize("values", [[0.9, None], [0.9, 0.9, NAN], [None, NAN]])
def test_nothing_tells_what_a_diverged_rate_costs(values):
    rates = np.geomspace(0.01, 0.1, len(values))
    assert lr_sensitivity(rates, values, True) == (None, None)


@pytest.mark.parametrize("values", [[0.05, 0.1], [None, None], [0.1, None]])
def test_no_rate_is_better_than_no_training(values):
    assert lr_sensitivity([0.01, 0.1], values, True, floor=0.1) == (None, None)


def test_equal_values_are_no_sensitivity():
    assert lr_sensitivity([0.01, 0.1, 1.0], [0.9, 0.9, 0.9], True) == (0.0, 0.0)


def test_a_rate_tried_twice_counts_by_its_mean():
    once = lr_sensitivity([0.01, 0.1, 1.0], [0.5, 0.9, 0.3], True, floor=0.1)
    assert lr_sensitivity([0.1, 0.01, 0.1, 1.0], [0.8, 0.5, 1.0, 0.3], True, floor=0.1) == pytest.approx(once)


@pytest.mark.parametrize(
    ("rates", "values", "options", "error", "message"),
    [
        ([], [], {}, ValueError, "rates has shape"),
        ([0.1], [1.0, 2.0], {}, ValueError, "rates has shape"),
        ([0.0, 0.1], [1.0, 2.0], {}, ValueError, "rates = "),
        ([NAN, 0.1], [1.0, 2.0], {}, ValueError, "rates = "),
        ([0.1], ["x"], {}, TypeError, "values has the value 'x'"),
        ([0.1], [1.0], {"factor": 1.0}, ValueError, "factor = 1"),
        ([0.1], [1.0], {"floor": NAN}, ValueError, "floor = nan"),
    ],
)
def test_bad_input(rates, values, options, error, message):
    with pytest.raises(error, match=message):
        lr_sensitivity(rates, values, True, **options)
