"""Inverse square root decay against the Transformer's formula in float64."""

import numpy as np
import pytest

from jaxlab import schedules


@pytest.mark.parametrize("warmup_steps", [1, 7, 4000])
def test_the_transformers_formula(warmup_steps):
    width = 512
    steps = np.array([1, 2, 6, 7, 8, 100, 3999, 4000, 4001, 10**6, 2**31 - 1], float)
    wanted = width**-0.5 * np.minimum(steps**-0.5, steps * warmup_steps**-1.5)
    found = schedules.inverse_sqrt((width * warmup_steps) ** -0.5, warmup_steps)(steps)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_highest_at_the_end_of_the_warmup():
    found = schedules.inverse_sqrt(0.3, 10)(np.arange(100))
    assert np.argmax(found) == 10
    assert found[10] == np.float32(0.3)
    assert found[0] == 0
