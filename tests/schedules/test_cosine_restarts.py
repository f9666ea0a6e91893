"""Cosine decay with restarts against PyTorch, and around every boundary."""

import json
import pathlib

import jax
import numpy as np
import pytest

from jaxlab import schedules

TORCH = json.loads((pathlib.Path(__file__).parents[1] / "data" / "torch_schedules.json").read_text())


@jax.jit
def rates(steps, period, factor=1.0, peak_factor=1.0, final=0.0):
    return schedules.cosine_restarts(1.0, period, factor, peak_factor, final)(steps)


@pytest.mark.parametrize("run", TORCH["cosine_restarts"], ids=lambda run: str(run["options"]))
def test_pytorch(run):
    options = run["options"]
    final = options.get("eta_min", 0.0) / TORCH["peak"]
    found = rates(np.arange(len(run["rates"])), options["T_0"], options.get("T_mult", 1), final=final)
    np.testing.assert_allclose(TORCH["peak"] * found, run["rates"], rtol=2e-6)


def waves(period, factor, peak_factor, horizon):
    """Start, length and height of every wave, added up in float64, exact for whole numbers."""
    start, length, height = 0.0, float(period), 1.0
    while start < horizon:
        yield start, length, height
        start, length, height = start + length, length * factor, height * peak_factor


def reference(steps, found):
    starts, lengths, heights = np.array(found).T
    n = np.searchsorted(starts, steps, side="right") - 1
    return heights[n] * np.sin(np.pi / 2 * (lengths[n] - (steps - starts[n])) / lengths[n]) ** 2


@pytest.mark.parametrize(
    ("period", "factor"),
    [(1, 2), (3, 2), (10, 2), (1, 3), (7, 3), (10, 10), (1000, 4), (4, 1.5), (100, 1.25), (1, 1000)],
)
def test_around_every_boundary_of_growing_waves(period, factor):
    # With fractions a wave's start is rounded in float32 where it has more digits than that.
    horizon = 1000 if factor % 1 else 2**24
    found = list(waves(period, factor, 0.5, horizon))
    edges = np.array([np.ceil(start) for start, _, _ in found])
    steps = np.unique(np.concatenate([edges + k for k in (-2, -1, 0, 1, 2)]))
    steps = steps[(steps >= 0) & (steps < horizon)].astype(np.int32)
    precision = {"rtol": 1e-6} if factor % 1 == 0 else {"rtol": 1e-4}
    np.testing.assert_allclose(rates(steps, period, factor, 0.5), reference(steps, found), **precision)


@pytest.mark.parametrize("period", [1, 2, 3, 7, 10, 1000, 2**20])
def test_around_every_boundary_of_equal_waves(period):
    number = min(2**24 // period, 5000)
    edges = np.concatenate([np.arange(number), 2**24 // period - np.arange(1, 1 + number // 2)]) * period
    steps = np.unique(np.concatenate([edges + k for k in (-1, 0, 1)]).clip(0, 2**24 - 1)).astype(np.int32)
    found = rates(steps, period)
    np.testing.assert_allclose(found, np.sin(np.pi / 2 * (period - steps % period) / period) ** 2, rtol=1e-6)
    assert (np.asarray(found)[steps % period == 0] == 1).all()


def test_a_factor_just_above_one():
    factor = float(np.float32(1 + 1e-6))
    found = list(waves(10, factor, 1.0, 10_000))
    steps = np.arange(5, 10_000, 10)
    np.testing.assert_allclose(rates(steps, 10, factor), reference(steps, found), rtol=1e-3)


def test_a_wave_that_ends_between_steps():
    wanted = np.sin(np.pi / 2 * np.array([1, 0.6, 0.2, 0.8, 0.4, 1])) ** 2
    np.testing.assert_allclose(rates(np.arange(6), 2.5), wanted, rtol=1e-6)


def test_peaks_fall_and_the_final_value_stays():
    found = schedules.cosine_restarts(0.8, 4, 1, peak_factor=0.5, final=0.1)(np.array([0, 2, 4, 6, 8]))
    np.testing.assert_allclose(found, [0.8, 0.45, 0.4, 0.25, 0.2], rtol=1e-6)
