"""One cycle against PyTorch."""

import json
import pathlib

import numpy as np
import pytest

from jaxlab import schedules

TORCH = json.loads((pathlib.Path(__file__).parents[1] / "data" / "torch_schedules.json").read_text())


@pytest.mark.parametrize("run", TORCH["one_cycle"], ids=lambda run: str(run["options"]))
def test_pytorch(run):
    found = schedules.one_cycle(TORCH["peak"], len(run["rates"]), **run["options"])(np.arange(len(run["rates"])))
    np.testing.assert_allclose(found, run["rates"], rtol=2e-6)


def test_the_last_step_has_the_final_value_which_stays():
    total = 10_000
    found = schedules.one_cycle(0.5, total)(np.array([total - 1, total, 2**31 - 1]))
    assert set(found.tolist()) == {float(np.float32(0.5) / np.float32(25) / np.float32(1e4))}


def test_near_the_end():
    total, final = 10_000, 0.5 / 25 / 1e4
    steps, top = np.arange(total - 20, total), 0.3 * total - 1
    wanted = final + (0.5 - final) * np.sin(np.pi / 2 * (total - 1 - steps) / (total - 1 - top)) ** 2
    np.testing.assert_allclose(schedules.one_cycle(0.5, total)(steps), wanted, rtol=1e-6)


def test_all_rise():
    found = schedules.one_cycle(1.0, 11, pct_start=1.0, div_factor=2.0, final_div_factor=2.0)(np.array([0, 5, 10, 11]))
    np.testing.assert_allclose(found, [0.5, 0.75, 1.0, 0.25], rtol=1e-6)
