import math

import numpy as np
import pytest

from jaxlab.core.space import Choice, LogUniform, OneMinusLog, Uniform, grid


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


def test_a_uniform_point_is_distributed_as_said():
    u = np.random.default_rng(0).random(20_000)
    rates = [LogUniform(1e-4, 1.0).from_unit(x) for x in u]
    assert np.mean(np.array(rates) < 1e-2) == pytest.approx(0.5, abs=0.02)
    betas = [OneMinusLog(0.9, 0.999).from_unit(x) for x in u]
    assert np.mean(np.array(betas) < 0.99) == pytest.approx(0.5, abs=0.02)


def test_choice():
    choice = Choice((16, 32, 64))
    assert [choice.from_unit(u) for u in (0.0, 0.3, 0.34, 0.99, 1.0)] == [16, 16, 32, 64, 64]
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
