"""Inverse time decay against the closed form in float64."""

import numpy as np
import pytest

from jaxlab import schedules


@pytest.mark.parametrize(("decay_rate", "transition_steps"), [(0.5, 1), (1.0, 1000), (20.0, 10)])
def test_closed_form(decay_rate, transition_steps):
    steps = np.array([0, 1, 2, 10, 999, 1000, 10**6, 2**31 - 1])
    found = schedules.inverse_time(0.01, decay_rate, transition_steps)(steps)
    np.testing.assert_allclose(found, 0.01 / (1 + decay_rate * steps / transition_steps), rtol=1e-6)


def test_no_decay():
    assert schedules.inverse_time(0.5, 0.0)(np.arange(3)).tolist() == [0.5] * 3
