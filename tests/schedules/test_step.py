"""Step decay against the closed form and PyTorch."""

import json
import pathlib

import numpy as np
import pytest

from jaxlab import schedules

TORCH = json.loads((pathlib.Path(__file__).parents[1] / "data" / "torch_schedules.json").read_text())


def test_pytorch():
    found = schedules.step(TORCH["peak"], every=7, factor=0.3)(np.arange(len(TORCH["step"])))
    np.testing.assert_allclose(found, TORCH["step"], rtol=1e-6)


@pytest.mark.parametrize("every", [1, 3, 10, 49, 1000])
def test_falls_exactly_at_multiples(every):
    edges = np.arange(1, 100) * every
    steps = np.concatenate([np.arange(100), edges, edges - 1])
    found = schedules.step(1.0, every, factor=0.5)(steps)
    np.testing.assert_array_equal(found, 0.5 ** (steps // every))


def test_steps_above_the_whole_numbers_of_float32():
    every = 2**24 + 2
    found = schedules.step(1.0, every, factor=0.5)(np.array([every - 1, every, 2 * every - 1, 2 * every]))
    assert found.tolist() == [1.0, 0.5, 0.5, 0.25]


def test_a_fractional_step_is_on_the_stair_of_its_whole_part():
    assert schedules.step(1.0, every=2, factor=0.5)(np.array([1.9, 2.0, 3.9])).tolist() == [1.0, 0.5, 0.5]
