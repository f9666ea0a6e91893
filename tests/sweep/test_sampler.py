import itertools
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest, qmc

from jaxlab.core.space import Choice, LogUniform, OneMinusLog, Uniform
from jaxlab.sweep.sampler import METHODS, START, propose, sample

RATE = LogUniform(1e-4, 1.0)
SPACE = {"learning_rate": RATE, "b1": OneMinusLog(0.5, 0.99), "smoothing": Uniform(0.0, 0.2), "batch": Choice((16, 64))}


def test_halton_points_are_scipys_mapped():
    cube = qmc.Halton(4, scramble=True, rng=7).random(20)
    points = sample(SPACE, 20, "halton", seed=7)
    np.testing.assert_allclose(points["learning_rate"], 10.0 ** (-4 + 4 * cube[:, 0]), rtol=1e-12)
    np.testing.assert_allclose(points["b1"], 1 - 0.5 * 0.02 ** cube[:, 1], rtol=1e-12)
    np.testing.assert_allclose(points["smoothing"], 0.2 * cube[:, 2], rtol=1e-12)
    np.testing.assert_array_equal(points["batch"], np.where(cube[:, 3] < 0.5, 16, 64))
    assert all(values.dtype == np.float64 for values in points.values())


def test_sobol_points_are_scipys_mapped():
    cube = qmc.Sobol(1, scramble=True, rng=3).random(16)[:11, 0]
    points = sample({"learning_rate": RATE}, 11, "sobol", seed=3)
    np.testing.assert_allclose(points["learning_rate"], 10.0 ** (-4 + 4 * cube), rtol=1e-12)


@pytest.mark.parametrize("method", ["halton", "sobol", "random"])
def test_the_first_points_of_many_are_those_of_few(method):
    many, few = sample(SPACE, 21, method, seed=1), sample(SPACE, 8, method, seed=1)
    for name in SPACE:
        np.testing.assert_array_equal(many[name][:8], few[name])
    other = sample(SPACE, 8, method, seed=2)
    assert (other["learning_rate"] != few["learning_rate"]).all()


@pytest.mark.parametrize("method", METHODS)
def test_points_stay_in_their_ranges_and_come_again(method):
    points = sample(SPACE, 54, method, seed=0)
    assert list(points) == list(SPACE)
    for name, (low, high) in {"learning_rate": (1e-4, 1), "b1": (0.5, 0.99), "smoothing": (0, 0.2)}.items():
        assert points[name].shape == (54,)
        assert low <= points[name].min() < points[name].max() <= high
        np.testing.assert_array_equal(sample(SPACE, 54, method, seed=0)[name], points[name])
    assert set(points["batch"]) == {16, 64}


@pytest.mark.parametrize("method", ["halton", "sobol", "random"])
def test_points_are_even_on_their_scale(method):
    logs = np.log10(sample(SPACE, 256, method)["learning_rate"]) / 4 + 1
    distance = kstest(logs, "uniform").statistic
    assert distance < {"halton": 0.02, "sobol": 0.02, "random": 0.1}[method]


def test_a_grid_of_one():
    np.testing.assert_allclose(sample({"x": RATE}, 5, "grid")["x"], [1e-4, 1e-3, 1e-2, 1e-1, 1], rtol=1e-12)
    np.testing.assert_allclose(sample({"x": RATE}, 1, "grid")["x"], [1e-2], rtol=1e-12)
    np.testing.assert_array_equal(sample({"x": Choice((1, 5))}, 2, "grid")["x"], [1, 5])


def test_a_grid_of_several_is_every_combination():
    space = {"x": RATE, "batch": Choice((16, 64)), "y": Uniform(-1.0, 1.0)}
    points = sample(space, 18, "grid")
    rows = list(zip(points["x"].round(12), points["batch"], points["y"], strict=True))
    assert rows == list(itertools.product([1e-4, 1e-2, 1.0], [16, 64], [-1.0, 0.0, 1.0]))


@pytest.mark.parametrize(
    ("space", "count", "near"),
    [
        ({"x": RATE, "y": RATE}, 10, "9 and 16"),
        ({"x": RATE, "y": RATE}, 15, "9 and 16"),
        ({"x": RATE, "y": RATE}, 3, "1 and 4"),
        ({"x": RATE, "y": RATE, "z": RATE}, 100, "64 and 125"),
        ({"x": RATE, "batch": Choice((1, 2, 3))}, 10, "9 and 12"),
        ({"x": RATE, "batch": Choice((1, 2, 3))}, 1, "3"),
        ({"batch": Choice((1, 2, 3))}, 4, "3"),
    ],
)
def test_no_grid_of_that_count(space, count, near):
    with pytest.raises(ValueError, match=rf"count = {count}: .* the nearest accepted are {near}$"):
        sample(space, count, "grid")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (({}, 3), "space = {}"),
        ((SPACE, 0), "count = 0"),
        ((SPACE, 3, "haltom"), "did you mean 'halton'"),
        ((SPACE, 3, "halton", -1), "seed = -1"),
    ],
)
def test_what_cannot_be_sampled(arguments, said):
    with pytest.raises(ValueError, match=said):
        sample(*arguments)


def bowl(point):
    """A quadratic in the logarithms, best, 0, at a rate of 3e-3 and a beta of 0.95."""
    return np.log10(point["learning_rate"] / 3e-3) ** 2 + np.log10((1 - point["b1"]) / 0.05) ** 2


def test_the_first_proposals_are_haltons():
    halton = sample(SPACE, START, "halton", seed=5)
    rows = [{name: float(halton[name][i]) for name in SPACE} for i in range(START)]
    assert propose(SPACE, [], [], 4, 5, False) == rows[:4]
    assert propose(SPACE, [(rows[0], 1.0), (rows[1], None)], rows[2:5], 3, 5, False) == rows[5:8]
    # Nothing is finished, so there is nothing to learn from yet.
    assert propose(SPACE, [], rows, 2, 5, False) != rows[:2]
    assert propose(SPACE, [], [], 0, 5, False) == []
    mixed = propose(SPACE, [(row, bowl(row)) for row in rows[:8]], [], 4, 5, False)
    assert mixed[:2] == rows[8:]
    assert mixed[2] not in rows


def search(space, seed, *, rounds, batch, sign=1.0):
    """The best bowl that batched ask-and-tell finds, and all that was asked."""
    finished = []
    for _ in range(rounds):
        asked = propose(space, finished, [], batch, seed, sign < 0)
        finished += [(point, sign * bowl(point)) for point in asked]
    return min(sign * value for _, value in finished), [point for point, _ in finished]


def test_tpe_beats_random_at_equal_trials():
    space = {"learning_rate": RATE, "b1": OneMinusLog(0.5, 0.999)}
    by_tpe, by_chance = [], []
    for seed in range(8):
        best, points = search(space, seed, rounds=8, batch=5)
        by_tpe.append(best)
        assert all(1e-4 <= point["learning_rate"] <= 1 and 0.5 <= point["b1"] <= 0.999 for point in points)
        assert len({tuple(point.values()) for point in points}) == 40
        draws = sample(space, 40, "random", seed)
        by_chance.append(min(bowl({name: draws[name][i] for name in space}) for i in range(40)))
    assert np.mean(by_tpe) < 0.5 * np.mean(by_chance)


def test_tpe_maximises_and_is_deterministic():
    space = {"learning_rate": RATE, "b1": OneMinusLog(0.5, 0.999)}
    best, points = search(space, 0, rounds=4, batch=5, sign=-1.0)
    assert best < 0.2
    assert search(space, 0, rounds=4, batch=5, sign=-1.0) == (best, points)
    assert search(space, 1, rounds=4, batch=5, sign=-1.0)[1] != points


@pytest.mark.parametrize(("value", "low", "high"), [(None, 0.0, 0.2), (float("nan"), 0.0, 0.2), (0.5, 0.8, 1.0)])
def test_tpe_keeps_away_from_what_diverged(value, low, high):
    rates = sample({"learning_rate": RATE}, 24)["learning_rate"]
    finished = [({"learning_rate": rate}, value if rate > 1e-2 else 1.0 - rate) for rate in rates]
    asked = [point for seed in range(10) for point in propose({"learning_rate": RATE}, finished, [], 2, seed, False)]
    assert low <= np.mean([point["learning_rate"] > 1e-2 for point in asked]) <= high


def test_tpe_learns_choices_and_accepts_points_beyond_the_range():
    space = {"learning_rate": RATE, "batch": Choice((16, 64, 256))}
    start = sample(space, 20)
    rows = [{name: float(start[name][i]) for name in space} for i in range(20)]
    finished = [(row, abs(np.log10(row["learning_rate"]) + 2) + (row["batch"] != 64)) for row in rows]
    asked = propose(space, [*finished, ({"learning_rate": 30.0, "batch": 16}, 9.0)], rows[:1], 12, 0, False)
    assert sum(point["batch"] == 64 for point in asked) >= 8
    assert all(point["batch"] in {16, 64, 256} and 1e-4 <= point["learning_rate"] <= 1 for point in asked)


def test_a_point_without_a_hyperparameter_is_refused():
    with pytest.raises(ValueError, match="a point has no b1: accepted has all of learning_rate, b1"):
        propose(SPACE, [({"learning_rate": 0.1}, 1.0)], [], 1, 0, False)


def test_optuna_is_silent(capfd):
    level = logging.getLogger("optuna").level
    finished = [({"learning_rate": rate}, rate) for rate in sample({"learning_rate": RATE}, 12)["learning_rate"]]
    propose({"learning_rate": RATE}, finished, [], 1, 0, False)
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("optuna").level == level


def test_optuna_and_scipys_statistics_are_loaded_when_they_are_needed():
    program = "import sys, jaxlab.sweep.sampler; sys.exit(bool({'optuna', 'scipy.stats'} & set(sys.modules)))"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", program], cwd=root, check=False).returncode == 0
