"""Steps to a target, counted by the experiment and computed without it."""

import dataclasses

import jax
import numpy as np
import pytest

from experiments import second_order
from jaxlab import report, tasks
from jaxlab.sweep import seed_keys

SMALL = second_order.Config(methods=("newton", "gradient_descent"), starts=3, steps=400, points=3)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    out = tmp_path_factory.mktemp("second_order") / "out"
    second_order.run(second_order.prepare(dataclasses.replace(SMALL, out=out)))
    return report.load(out)


def _table(results) -> dict:
    table = results["sections"][0]["tables"][0]
    return {row[0]: dict(zip(table["columns"], row, strict=True)) for row in table["rows"]}


def test_newton_takes_one_step_where_the_problem_is_quadratic(results):
    row = _table(results)["newton"]
    assert [row[name] for name in ("quadratic_1", "quadratic_1e2", "quadratic_1e4")] == ["1"] * 3
    # In float32 a condition of a million leaves a second step to rounding.
    assert row["quadratic_1e6"] in ("1", "2")
    assert int(row["rosenbrock"]) < 40


def test_gradient_descent_takes_the_steps_of_its_closed_form(results):
    r"""After t steps the gap is \sum \lambda (1 - r \lambda)^{2t} c^2 / 2 with the start's coordinates c."""
    task = tasks.get("quadratic_1e2")
    root, optimum = (np.asarray(task.data[name][0], np.float64) for name in ("root", "optimum"))
    eigenvalues, basis = np.linalg.eigh(root.T @ root)
    rate, steps = second_order.rates_of("gradient_descent", 3)[-1], []
    for key in seed_keys([0, 1, 2]):
        along = basis.T @ (np.asarray(jax.jit(task.init)(key)["x"], np.float64) - optimum)
        t = np.arange(SMALL.steps)[:, None]
        gap = (eigenvalues * along**2 * (1 - rate * eigenvalues) ** (2 * t)).sum(axis=1) / 2
        steps.append(int(np.argmax(gap <= second_order.TARGET * gap[0])))
    (number,) = [n for n in results["numbers"] if n["name"] == "gradient_descent on quadratic_1e2"]
    assert number["value"] == pytest.approx(np.mean(steps), abs=1)
    assert number["interval"][0] < number["value"] < number["interval"][1]


def test_what_does_not_arrive_is_never_left_out(results):
    (number,) = [n for n in results["numbers"] if n["name"] == "gradient_descent on quadratic_1e6"]
    assert number["value"] is None
    assert "3 of 3 starts did not get there" in number["meaning"]
    assert "gradient_descent never" in results["verdict"]


def test_the_rate_that_most_starts_arrive_with_is_chosen():
    gaps = np.ones((3, 2, 5))
    gaps[0, 0, 1:] = 1e-9  # fast, but from one start only
    gaps[1, :, 3:] = 1e-9
    gaps[2, :, 4:] = 1e-9
    gaps[2, 0, 1] = np.nan
    best = second_order.best_of([0.1, 0.2, 0.3], gaps)
    assert best.rate == 0.2
    assert best.steps.tolist() == [3.0, 3.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ("newtn",)}, "did you mean 'newton'"),
        ({"methods": ()}, "at least one"),
        ({"starts": 1}, "starts = 1"),
        ({"steps": 0}, "steps = 0"),
        ({"points": 0}, "points = 0"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(changes, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((TypeError, ValueError), match=message):
        second_order.prepare(dataclasses.replace(SMALL, **changes))
    assert not list(tmp_path.iterdir())
