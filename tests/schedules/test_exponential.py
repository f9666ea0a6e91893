"""Exponential decay against the closed form in float64 and PyTorch."""

import json
import pathlib

import numpy as np
import pytest

from jaxlab import schedules

TORCH = json.loads((pathlib.Path(__file__).parents[1] / "data" / "torch_schedules.json").read_text())


def test_pytorch():
    found = schedules.exponential(TORCH["peak"], 0.93)(np.arange(len(TORCH["exponential"])))
    # float32 rounds 0.93 by 5e-9, 6e-9 of itself, and the last power is the 40th.
    np.testing.assert_allclose(found, TORCH["exponential"], rtol=1e-6)


@pytest.mark.parametrize("transition_steps", [1, 1000])
def test_closed_form(transition_steps):
    steps = np.arange(0, 1000 * transition_steps, 7 * transition_steps)
    rate = float(np.float32(0.99))
    found = schedules.exponential(0.01, 0.99, transition_steps)(steps)
    np.testing.assert_allclose(found, 0.01 * rate ** (steps / transition_steps), rtol=1e-6)


def test_smooth_between_transitions():
    assert schedules.exponential(1.0, 0.25, transition_steps=10)(5).item() == pytest.approx(0.5, rel=1e-6)


def test_stairs_are_those_of_step_decay():
    steps = np.arange(100)
    stairs = schedules.step(0.3, every=7, factor=0.9)(steps)
    np.testing.assert_array_equal(schedules.exponential(0.3, 0.9, 7, staircase=True)(steps), stairs)
    np.testing.assert_array_equal(schedules.staircase(0.3, 0.9, 7)(steps), stairs)
    with pytest.raises(ValueError, match="transition_steps = 0"):
        schedules.staircase(0.3, 0.9, 0)


def test_no_horizon():
    assert schedules.exponential(1.0, 0.5)(2**31 - 1).item() == 0
    assert schedules.exponential(1.0, 2.0)(10).item() == 1024
