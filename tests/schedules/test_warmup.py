"""The linear warm-up before other schedules."""

import json
import pathlib
from typing import Any

import numpy as np
import optax

from jaxlab import schedules

TORCH = json.loads((pathlib.Path(__file__).parents[1] / "data" / "torch_schedules.json").read_text())


def test_pytorch():
    schedule = schedules.warmup(schedules.cosine(TORCH["peak"], 32), 8)
    steps = np.arange(len(TORCH["warm_cosine"]))
    # Where the rate ends in 0, PyTorch's recursion ends in 1e-19.
    np.testing.assert_allclose(schedule(steps), TORCH["warm_cosine"], rtol=1e-6, atol=1e-16)


def test_inner_schedule_begins_when_the_warmup_ends():
    found = schedules.warmup(schedules.exponential(1.0, 0.5), 4)(np.arange(7))
    assert found.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0, 0.5, 0.25]


def test_no_steps_are_no_warmup():
    inner = schedules.cosine(0.3, 100)
    np.testing.assert_array_equal(schedules.warmup(inner, 0)(np.arange(120)), inner(np.arange(120)))


def test_a_loss_driven_rate_is_multiplied_and_the_state_shows_it():
    tx = schedules.warmup(schedules.loss_driven(0.5, f=lambda loss: loss), 4)
    state, shown = tx.init(np.ones(2, np.float32)), []
    for loss in (1.0, 1.0, 2.0, 1.0, 1.0, 3.0):
        updates, state = tx.update(np.ones(2, np.float32), state, value=loss)
        shown.append(float(state.learning_rate))
        assert updates.tolist() == [-shown[-1]] * 2
    assert shown == [0.0, 0.125, 0.5, 0.375, 0.5, 1.5]


def test_a_number_is_a_constant_schedule():
    assert schedules.warmup(0.5, 2)(np.arange(4)).tolist() == [0.0, 0.25, 0.5, 0.5]


def test_a_foreign_schedule_will_do():
    foreign: Any = optax.exponential_decay(1.0, transition_steps=1, decay_rate=0.5)
    assert schedules.warmup(foreign, 2)(np.arange(4)).tolist() == [0.0, 0.5, 1.0, 0.5]
