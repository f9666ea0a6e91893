"""A hyperparameter's scale is that of its search space; ticks are round values that stand where they say."""

import numpy as np
import pytest

from jaxlab.core.space import LogUniform, OneMinusLog, Uniform
from jaxlab.report.scale import LINEAR, LOG, ONE_MINUS_LOG, even_scale, ticks

CASES = [
    (LogUniform(1e-4, 3e-2), LOG),
    (LogUniform(5e-3, 1.0), LOG),
    (OneMinusLog(0.5, 0.98), ONE_MINUS_LOG),
    (OneMinusLog(0.9, 0.996), ONE_MINUS_LOG),
    (Uniform(0.0, 0.3), LINEAR),
    (Uniform(-2.0, 2.0), LINEAR),
    (Uniform(0.0, 10.0), LINEAR),
]


# A scale's text holds the place of a function in memory: no name for a test.
NAMES = [str(space) for space, _ in CASES]


@pytest.mark.parametrize(("space", "expected"), CASES, ids=NAMES)
@pytest.mark.parametrize("trials", [4, 16])
def test_the_scale_of_a_space_is_found_from_its_samples(space, expected, trials):
    # Evenly spread but for a little, in no order: as quasi-random points are.
    units = (np.arange(trials) + np.random.default_rng(trials).uniform(0.2, 0.8, trials)) / trials
    values = np.array([space.from_unit(float(u)) for u in np.random.default_rng(0).permutation(units)])
    assert even_scale(values) is expected
    np.testing.assert_allclose(expected.value(expected.place(values)), values, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("space", "scale"), CASES, ids=NAMES)
@pytest.mark.parametrize("most", [1, 2, 3])
def test_ticks_stand_where_they_say(space, scale, most):
    low, high = scale.place(np.array([space.low, space.high]))
    places, words = ticks(scale, float(low), float(high), most)
    assert 1 <= len(places) == len(words) <= most
    assert ((np.array(places) >= low) & (np.array(places) <= high)).all()
    np.testing.assert_allclose(scale.place(np.array([float(word) for word in words])), places, atol=1e-9)


def test_one_value_alone():
    assert even_scale(np.array([0.5, 0.5])) is LINEAR
    assert even_scale(np.array([1e-3])) is LINEAR
