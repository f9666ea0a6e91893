"""Labels never touch, stay in their room and in their order, and move no more than they must."""

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize

from jaxlab.report.labels import spread


def cases():
    rng = np.random.default_rng(0)
    for count, crowd in itertools.product((1, 2, 5, 12), (0.01, 0.3, 1.5)):
        yield rng.normal(0.5, crowd, count)
    yield np.zeros(8)
    yield np.ones(3)


@pytest.mark.parametrize("wanted", list(cases()), ids=str)
def test_apart_inside_and_in_order(wanted):
    placed = spread(wanted, 0.08, 0.0, 1.0)
    order = np.argsort(wanted, kind="stable")
    assert (np.diff(placed[order]) >= 0.08 - 1e-9).all()
    assert placed.min() >= -1e-9
    assert placed.max() <= 1.0 + 1e-9


def test_labels_that_do_not_touch_stay_where_they_are():
    np.testing.assert_allclose(spread([0.9, 0.1, 0.5], 0.2, 0.0, 1.0), [0.9, 0.1, 0.5])


def test_no_arrangement_is_closer():
    wanted = np.array([0.50, 0.52, 0.55, 0.95, 0.97])
    gap = {"type": "ineq", "fun": lambda z: np.diff(z) - 0.1}
    best = minimize(lambda z: ((z - wanted) ** 2).sum(), np.linspace(0, 1, 5), bounds=[(0, 1)] * 5, constraints=gap)
    np.testing.assert_allclose(spread(wanted, 0.1, 0.0, 1.0), best.x, atol=1e-5)


def test_without_room_they_share_it_evenly():
    np.testing.assert_allclose(spread([0.5] * 5, 1.0, 0.0, 1.0), [0.0, 0.25, 0.5, 0.75, 1.0])
