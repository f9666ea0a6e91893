"""What every function of the step obeys, whatever its shape. (Loss-driven ones are transforms: see tests/laws.)"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import schedules

STEPS = np.array([0, 1, 7, 20, 50, 79, 80, 99, 100, 101, 5000])

# Each number of each schedule, then other values for the same numbers.
NUMBERS = {
    "constant": ({"value": 0.3}, {"value": 2.0}),
    "exponential": (
        {"peak": 0.3, "decay_rate": 0.5, "transition_steps": 10.0},
        {"peak": 2.0, "decay_rate": 0.99, "transition_steps": 1.0},
    ),
    "staircase": (
        {"peak": 0.3, "decay_rate": 0.5, "transition_steps": 20.0},
        {"peak": 2.0, "decay_rate": 0.99, "transition_steps": 7.0},
    ),
    "step": ({"peak": 0.3, "every": 20.0, "factor": 0.1}, {"peak": 2.0, "every": 7.0, "factor": 0.9}),
    "inverse_time": (
        {"peak": 0.3, "decay_rate": 0.5, "transition_steps": 10.0},
        {"peak": 2.0, "decay_rate": 3.0, "transition_steps": 1.0},
    ),
    "inverse_sqrt": ({"peak": 0.3, "warmup_steps": 20.0}, {"peak": 2.0, "warmup_steps": 50.0}),
    "polynomial": (
        {"peak": 0.3, "total_steps": 100.0, "power": 0.5, "final": 0.0},
        {"peak": 2.0, "total_steps": 80.0, "power": 2.0, "final": 0.5},
    ),
    "cosine": (
        {"peak": 0.3, "total_steps": 100.0, "final": 0.0},
        {"peak": 2.0, "total_steps": 80.0, "final": 0.5},
    ),
    "cosine_restarts": (
        {"peak": 0.3, "period": 20.0, "period_factor": 1.0, "peak_factor": 1.0, "final": 0.0},
        {"peak": 2.0, "period": 7.0, "period_factor": 2.0, "peak_factor": 0.5, "final": 0.1},
    ),
    "one_cycle": (
        {"peak": 0.3, "total_steps": 100.0, "pct_start": 0.3, "div_factor": 25.0, "final_div_factor": 1e4},
        {"peak": 2.0, "total_steps": 80.0, "pct_start": 0.5, "div_factor": 10.0, "final_div_factor": 2.0},
    ),
    "warmup": ({"schedule": 0.3, "warmup_steps": 20.0}, {"schedule": 2.0, "warmup_steps": 50.0}),
    **dict.fromkeys(
        ("wsd", "wsd_cosine", "wsd_1_sqrt"),
        (
            {"peak": 0.3, "total_steps": 100.0, "warmup_steps": 20.0, "decay_steps": 50.0, "final": 0.0},
            {"peak": 2.0, "total_steps": 80.0, "warmup_steps": 1.0, "decay_steps": 79.0, "final": 0.5},
        ),
    ),
    "join": ({"first": 0.3, "then": 0.1, "at": 50.0}, {"first": 2.0, "then": 3.0, "at": 1.0}),
}
LENGTHS = ("transition_steps", "every", "total_steps", "warmup_steps", "decay_steps", "period", "at")
FACTORS = (
    "decay_rate",
    "factor",
    "power",
    "period_factor",
    "peak_factor",
    "pct_start",
    "div_factor",
    "final_div_factor",
)


def values(name, numbers, steps):
    return schedules.get(name).factory(**numbers)(steps)


def test_table_is_complete():
    assert set(NUMBERS) == {name for name in schedules.names() if not schedules.get(name).takes_loss}


@pytest.mark.parametrize("name", NUMBERS)
class TestEverySchedule:
    def test_traced_is_concrete_in_one_compilation_whatever_the_numbers(self, name):
        traces = []

        @jax.jit
        def traced(numbers, steps):
            traces.append(name)
            return values(name, numbers, steps)

        for numbers in NUMBERS[name]:
            np.testing.assert_allclose(traced(numbers, STEPS), values(name, numbers, STEPS), rtol=3e-7, atol=1e-9)
        assert len(traces) == 1

    def test_vmap_over_every_number_is_a_loop(self, name):
        first, second = NUMBERS[name]
        stacked = {number: jnp.array([first[number], second[number]]) for number in first}
        together = jax.vmap(lambda numbers: values(name, numbers, STEPS))(stacked)
        for row, numbers in zip(together, (first, second), strict=True):
            np.testing.assert_allclose(row, values(name, numbers, STEPS), rtol=3e-7, atol=1e-9)

    def test_elementwise_over_steps_of_any_type(self, name):
        numbers = NUMBERS[name][0]
        whole = values(name, numbers, STEPS)
        assert whole.shape == STEPS.shape
        assert whole.dtype == jnp.float32
        for step, value in zip(STEPS, whole, strict=True):
            for form in (int(step), np.int64(step), jnp.int32(step), jnp.uint32(step), float(step)):
                one = values(name, numbers, form)
                assert one.shape == ()
                assert one.dtype == jnp.float32
                np.testing.assert_allclose(one, value, rtol=3e-7, atol=1e-9)
        np.testing.assert_array_equal(values(name, numbers, STEPS.reshape(1, -1)), whole[None])

    def test_lengths_of_zero_give_numbers_and_gradients(self, name):
        numbers = {key: 0.0 if key in LENGTHS else value for key, value in NUMBERS[name][0].items()}
        traced = jax.jit(lambda numbers, step: values(name, numbers, step))
        slopes = jax.jit(jax.grad(lambda numbers, step: values(name, numbers, step)))
        for step in (0, 1, 1000):
            assert np.isfinite(traced(numbers, step))
            assert all(np.isfinite(slope) for slope in slopes(numbers, step).values())

    def test_gradients_are_finite_at_extremes(self, name):
        slopes = jax.jit(jax.grad(lambda numbers, step: values(name, numbers, step)))
        for scale in (1e-30, 1e30):
            numbers = {
                key: value * (1 if key in LENGTHS + FACTORS else scale) for key, value in NUMBERS[name][0].items()
            }
            for step in (0, 1, 50, 100, 2**31 - 1):
                assert all(np.isfinite(slope) for slope in slopes(numbers, step).values())

    def test_bad_numbers_are_named(self, name):
        numbers = NUMBERS[name][0]
        for number in numbers:
            if number != "schedule":
                with pytest.raises(ValueError, match=f"{number} = -1"):
                    values(name, {**numbers, number: -1.0}, 0)
                with pytest.raises(TypeError, match=f"{number} = 'x'"):
                    values(name, {**numbers, number: "x"}, 0)

    def test_float64_under_x64(self, name, x64):
        assert values(name, NUMBERS[name][0], 3).dtype == jnp.float64
