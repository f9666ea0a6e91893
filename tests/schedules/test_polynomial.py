"""Polynomial decay against the closed form in float64 and PyTorch."""

import json
import pathlib

import numpy as np
import pytest

from jaxlab import schedules

TORCH = json.loads((pathlib.Path(__file__).parents[1] / "data" / "torch_schedules.json").read_text())


@pytest.mark.parametrize("run", TORCH["polynomial"], ids=lambda run: str(run["options"]))
def test_pytorch(run):
    total, power = run["options"]["total_iters"], run["options"]["power"]
    found = schedules.polynomial(TORCH["peak"], total, power)(np.arange(len(run["rates"])))
    np.testing.assert_allclose(found, run["rates"], rtol=2e-6)


@pytest.mark.parametrize("power", [0.3, 1.0, 1.7, 3.0])
@pytest.mark.parametrize("final", [0.0, 1e-4])
def test_closed_form_to_the_last_step(power, final):
    total = 10_000
    steps = np.concatenate([np.arange(0, total, 37), np.arange(total - 10, total + 10)])
    found = schedules.polynomial(0.01, total, power, final)(steps)
    left = np.clip((total - steps) / total, 0, 1)
    np.testing.assert_allclose(found, final + (0.01 - final) * left ** float(np.float32(power)), rtol=3e-6)


def test_may_rise():
    assert schedules.polynomial(0.0, 4, 1.0, final=1.0)(np.arange(6)).tolist() == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
