"""Cosine decay against the closed form in float64 and PyTorch."""

import json
import pathlib

import numpy as np
import pytest

from jaxlab import schedules

TORCH = json.loads((pathlib.Path(__file__).parents[1] / "data" / "torch_schedules.json").read_text())


def test_pytorch():
    found = schedules.cosine(TORCH["peak"], 40, final=0.004)(np.arange(len(TORCH["cosine"])))
    np.testing.assert_allclose(found, TORCH["cosine"], rtol=1e-6)


@pytest.mark.parametrize("final", [0.0, 1e-4, 0.02])
def test_closed_form_to_the_last_step(final):
    total = 10_000
    steps = np.concatenate([np.arange(0, total, 37), np.arange(total - 10, total)])
    found = schedules.cosine(0.01, total, final)(steps)
    falling = np.sin(np.pi / 2 * (total - steps) / total) ** 2  # keeps its digits, relative, where 1 + cos does not
    np.testing.assert_allclose(found, final + (0.01 - final) * falling, rtol=1e-6)
    np.testing.assert_allclose(falling, (1 + np.cos(np.pi * steps / total)) / 2, rtol=0, atol=1e-15)


def test_stays_at_the_final_value():
    found = schedules.cosine(0.3, 100, final=0.1)(np.array([100, 101, 150, 200, 2**31 - 1]))
    assert set(found.tolist()) == {float(np.float32(0.1))}


def test_no_steps_at_all_are_refused():
    with pytest.raises(ValueError, match="total_steps = 0"):
        schedules.cosine(0.1, 0)
