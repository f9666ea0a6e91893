"""The constant schedule."""

import numpy as np

from jaxlab import schedules


def test_constant():
    found = schedules.constant(0.1)(np.array([[0, 1, 2**31 - 1]]))
    np.testing.assert_array_equal(found, np.full((1, 3), 0.1, np.float32))
