"""Warm-up, stable, decay."""

import numpy as np
import pytest

from jaxlab import schedules


@pytest.mark.parametrize(("warmup_steps", "decay_steps"), [(100, 2000), (1, 1), (3, 9997), (5000, 5000)])
def test_trapezoid(warmup_steps, decay_steps):
    total = 10_000
    steps = np.concatenate([np.arange(0, total, 37), np.arange(total - 10, total + 10), [2**31 - 1]])
    corners = ([0, warmup_steps, total - decay_steps, total], [0.0, 0.01, 0.01, 0.001])
    found = schedules.wsd(0.01, total, warmup_steps, decay_steps, final=0.001)(steps)
    np.testing.assert_allclose(found, np.interp(steps, *corners), rtol=1e-6)


@pytest.mark.parametrize(
    ("cooldown", "shape"),
    [
        ("linear", lambda u: 1 - u),
        ("cosine", lambda u: np.sin(np.pi / 2 * (1 - u)) ** 2),
        ("1-sqrt", lambda u: 1 - np.sqrt(u)),
    ],
)
@pytest.mark.parametrize("final", [0.0, 0.002])
def test_cooldowns_to_the_last_step(cooldown, shape, final):
    total, decay = 10_000, 2000
    steps = np.concatenate([np.arange(7990, 8020), np.arange(8020, 9980, 7), np.arange(9980, 10_010)])
    over = np.clip((steps - (total - decay)) / decay, 0, 1)
    found = schedules.wsd(0.01, total, 100, decay, final, cooldown=cooldown)(steps)
    np.testing.assert_allclose(found, final + (0.01 - final) * shape(over), rtol=2e-6)


def test_the_registered_names_are_the_cooldowns():
    steps, numbers = np.arange(120), (0.3, 100, 10, 40, 0.01)
    for factory, cooldown in ((schedules.wsd_cosine, "cosine"), (schedules.wsd_1_sqrt, "1-sqrt")):
        np.testing.assert_array_equal(factory(*numbers)(steps), schedules.wsd(*numbers, cooldown=cooldown)(steps))
    with pytest.raises(ValueError, match="cooldown = 'sqrt': unknown, did you mean '1-sqrt'"):
        schedules.wsd(*numbers, cooldown="sqrt")


@pytest.mark.parametrize("cooldown", ["linear", "cosine", "1-sqrt"])
def test_no_cooldown_drops(cooldown):
    found = schedules.wsd(0.5, 10, 0, 0, cooldown=cooldown)(np.array([0, 1, 9, 10, 11]))
    assert found.tolist() == [0.5, 0.5, 0.5, 0.0, 0.0]


def test_without_warmup_or_decay():
    steps = np.array([0, 1, 9, 10, 11])
    assert schedules.wsd(0.5, 10, 0, 0)(steps).tolist() == [0.5, 0.5, 0.5, 0.0, 0.0]
    assert schedules.wsd(0.5, 10, 0, 2)(steps).tolist() == [0.5, 0.5, 0.25, 0.0, 0.0]
    assert schedules.wsd(0.5, 10, 2, 0, final=0.125)(steps).tolist() == [0.0, 0.25, 0.5, 0.125, 0.125]


def test_nothing_knows_the_horizon_before_the_cooldown():
    early = np.arange(80)
    np.testing.assert_array_equal(schedules.wsd(0.3, 100, 10, 20)(early), schedules.wsd(0.3, 400, 10, 20)(early))


def test_lengths_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"warmup_steps = 60 \+ decay_steps = 50: .* total_steps = 100"):
        schedules.wsd(0.1, 100, 60, 50)
    with pytest.raises(ValueError, match="total_steps = 0"):
        schedules.wsd(0.1, 0, 0, 0)
