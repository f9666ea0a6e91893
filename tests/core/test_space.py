import math

import numpy as np
import pytest

from jaxlab.core.space import Choice, LogUniform, OneMinusLog, Uniform, beyond, grid


@pytest.mark.parametrize(
    ("distribution", "ends", "middle"),
    [
        (Uniform(-1.0, 3.0), (-1.0, 3.0), 1.0),
        (LogUniform(1e-4, 1e-2), (1e-4, 1e-2), 1e-3),
        (OneMinusLog(0.9, 0.999), (0.9, 0.999), 0.99),
        (OneMinusLog(-1.0, 0.98), (-1.0, 0.98), 0.8),
    ],
)
def test_ends_and_middle(distribution, ends, middle):
    assert distribution.from_unit(0.0) == pytest.approx(ends[0], rel=1e-12)
    assert distribution.from_unit(1.0) == pytest.approx(ends[1], rel=1e-12)
    assert distribution.from_unit(0.5) == pytest.approx(middle, rel=1e-12)
    values = [distribution.from_unit(u) for u in np.linspace(0, 1, 50)]
    assert values == sorted(values)


@pytest.mark.parametrize("distribution", [Uniform(-1.0, 3.0), LogUniform(1e-7, 5e-5), OneMinusLog(0.5, 0.9999)])
def test_to_unit_is_the_inverse_and_the_ends_are_exact(distribution):
    assert (distribution.from_unit(0.0), distribution.from_unit(1.0)) == (distribution.low, distribution.high)
    for u in np.linspace(-0.5, 1.5, 41):
        assert distribution.to_unit(distribution.from_unit(u)) == pytest.approx(u, abs=1e-9)
    inside = [distribution.from_unit(u) for u in np.random.default_rng(0).random(1000)]
    assert distribution.low <= min(inside) <= max(inside) <= distribution.high


@pytest.mark.parametrize(
    ("distribution", "values", "low", "high"),
    [
        (LogUniform(1e-3, 1e-1), [1e-3, 1e-2, 1e-1], [1e-4, 1e-5], [1.0, 10.0]),
        (LogUniform(1e-3, 1e-1), [0.4, 0.1, 0.2], [0.05, 0.025], [0.8, 1.6]),
        (Uniform(0.0, 1.0), [0.2, 0.3, 0.5], [0.1, 0.0], [0.7, 0.9]),
        (OneMinusLog(0.9, 0.99), [0.9, 0.99], [0.0, -9.0], [0.999, 0.9999]),
        (Choice((1, 2, 4)), [1, 2, 4], [], []),
    ],
)
def test_a_grid_goes_on_beyond_its_edge(distribution, values, low, high):
    assert beyond(distribution, values, "low", 2) == pytest.approx(low, abs=1e-12)
    assert beyond(distribution, values, "high", 2) == pytest.approx(high, rel=1e-12)
    assert beyond(distribution, values, "high", 0) == []


def test_a_grid_without_a_step_has_no_beyond():
    with pytest.raises(ValueError, match=r"values = \[0.1, 0.1\]: accepted are at least two different ones"):
        beyond(LogUniform(1e-3, 1.0), [0.1, 0.1], "low", 1)
    with pytest.raises(ValueError, match="side = 'left'"):
        beyond(LogUniform(1e-3, 1.0), [0.1, 0.2], "left", 1)


def test_a_uniform_point_is_distributed_as_said():
    u = np.random.default_rng(0).random(20_000)
    rates = [LogUniform(1e-4, 1.0).from_unit(x) for x in u]
    assert np.mean(np.array(rates) < 1e-2) == pytest.approx(0.5, abs=0.02)
    betas = [OneMinusLog(0.9, 0.999).from_unit(x) for x in u]
    assert np.mean(np.array(betas) < 0.99) == pytest.approx(0.5, abs=0.02)


def test_choice():
    choice = Choice((16, 32, 64))
    assert [choice.from_unit(u) for u in (0.0, 0.3, 0.34, 0.99, 1.0)] == [16, 16, 32, 64, 64]
    assert [choice.to_unit(value) for value in (16, 32, 64)] == pytest.approx([1 / 6, 1 / 2, 5 / 6])
    with pytest.raises(ValueError, match="value = 48: accepted is one of 16, 32, 64"):
        choice.to_unit(48)
    with pytest.raises(ValueError, match="at least one"):
        Choice(())


def test_grid():
    assert grid(LogUniform(1e-4, 1e-1), 4) == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1])
    assert grid(Uniform(0.0, 1.0), 1) == [0.5]
    assert grid(Choice((1, 2, 3)), 3) == [1, 2, 3]
    with pytest.raises(ValueError, match="points = 0"):
        grid(Uniform(0.0, 1.0), 0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Uniform(1.0, 1.0),
        lambda: Uniform(2.0, 1.0),
        lambda: Uniform(0.0, math.inf),
        lambda: Uniform(math.nan, 1.0),
        lambda: LogUniform(0.0, 1.0),
        lambda: LogUniform(-1.0, 1.0),
        lambda: OneMinusLog(0.9, 1.0),
    ],
)
def test_impossible_ranges(make):
    with pytest.raises(ValueError, match=r"low|high"):
        make()
