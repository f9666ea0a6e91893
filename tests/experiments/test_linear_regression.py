"""Every method of the texts on the noisy line, beside the closed form."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from experiments import linear_regression as experiment
from experiments.line_methods import BATCHES, FULL, PENALTY, closed_form, methods_of
from jaxlab import report, tasks

SMALL = experiment.Config(
    methods=("full batch: gradient descent", "full batch: with L1", "single examples: step decay"),
    single_steps=2_000,
    selection_seeds=2,
    report_seeds=3,
)


def with_changes(**changes):
    return dataclasses.replace(SMALL, **changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("line") / "out"
    experiment.run(experiment.prepare(with_changes(out=out)))
    return out


def load(folder) -> Any:
    return report.load(folder)


@pytest.fixture(scope="module")
def points():
    data = tasks.get("line").data
    return tuple(np.asarray(data[name], np.float64).ravel() for name in ("x", "y"))


def least_squares(x, y):
    """Slope, intercept and mean squared error, by means and covariances."""
    slope = np.cov(x, y)[0, 1] / np.var(x, ddof=1)
    intercept = y.mean() - slope * x.mean()
    return slope, intercept, np.mean((y - slope * x - intercept) ** 2)


def test_the_closed_form_is_that_of_regression_by_covariances(points):
    x, y = points
    line = closed_form(tasks.get("line").data)
    slope, intercept, least = least_squares(x, y)
    np.testing.assert_allclose([*line.theta, line.least], [slope, intercept, least], rtol=1e-12)
    # Textbook variances of slope and intercept.
    variance = len(x) * least / (len(x) - 2)
    spread = np.sum((x - x.mean()) ** 2)
    of_both = variance / spread + variance * (1 / len(x) + x.mean() ** 2 / spread)
    assert line.deviation == pytest.approx(np.sqrt(of_both), rel=1e-12)


def test_with_l2_it_is_ridge_regression_of_slope_and_intercept(points):
    x, y = points
    ridge = Ridge(alpha=PENALTY * len(x) / 2, fit_intercept=False).fit(np.stack([x, np.ones_like(x)], 1), y)
    np.testing.assert_allclose(closed_form(tasks.get("line").data, l2=PENALTY).theta, ridge.coef_, rtol=1e-9)


def test_with_l1_no_step_leads_further_down(points):
    x, y = points
    theta = closed_form(tasks.get("line").data, l1=PENALTY).theta

    def objective(theta):
        return np.mean((theta[0] * x + theta[1] - y) ** 2) + PENALTY * np.abs(theta).sum()

    for step in ([1e-3, 0], [-1e-3, 0], [0, 1e-3], [0, -1e-3]):
        assert objective(theta + step) > objective(theta)


def test_the_excess_is_the_loss_above_the_least(points):
    x, y = points
    line = closed_form(tasks.get("line").data)
    theta = np.array([0.5, -1.0])
    loss = np.mean((theta[0] * x + theta[1] - y) ** 2)
    assert line.excess(theta) == pytest.approx((loss - line.least) / line.least, rel=1e-10)


def test_the_page_has_the_closed_form_and_every_method_arrives(folder, points):
    results = load(folder)
    numbers = {number["name"]: number for number in results["numbers"]}
    slope, intercept, _ = least_squares(*points)
    assert numbers["slope"]["value"] == pytest.approx(slope, rel=1e-10)
    assert numbers["intercept"]["value"] == pytest.approx(intercept, rel=1e-10)
    assert numbers["methods"]["value"] == numbers["methods that arrived"]["value"] == 3
    assert numbers["excess loss, full batch"]["value"] < 1e-6
    assert numbers["distance, full batch"]["value"] < 1e-5
    assert 0 < numbers["distance, single examples"]["value"] < 0.02
    low, high = numbers["excess loss, single examples"]["interval"]
    assert low < numbers["excess loss, single examples"]["value"] < high
    assert results["verdict"].startswith("All 3 methods reach the least-squares line, slope 1.9942 and")
    assert [section["title"].split(":")[0] for section in results["sections"]] == [
        "The line in closed form",
        "Full batch",
        "Single examples",
    ]
    assert list((folder / "plots").glob("*.png"))


def test_gradient_descent_takes_the_steps_of_a_transcription(folder, points):
    # From the same start, in plain NumPy.
    x, y = points
    table = load(folder)["sections"][1]["tables"][0]
    row = dict(zip(table["columns"], table["rows"][0], strict=True))
    assert row["Method"] == "gradient descent"
    plan = experiment.prepare(with_changes(out=folder / "no"))
    way = experiment.train(plan.methods[0], plan.data, (0,), experiment.Stopwatch())
    rate = plan.methods[0].rates.index(float(row["Rate"]))
    a, b = way[rate, 0, 0]
    for step in range(10):
        np.testing.assert_allclose(way[rate, 0, step], [a, b], rtol=2e-6, atol=1e-6)
        away = a * x + b - y
        a, b = a - 0.8 * 2 * np.mean(away * x), b - 0.8 * 2 * np.mean(away)
    assert float(row["Rate"]) == 0.8


def test_a_rate_is_chosen_for_speed_among_those_that_settle():
    slow = np.geomspace(1, 1e-9, 100)
    fast = np.geomspace(1, 1e-12, 100)
    noisy = np.full(100, 1e-5)
    excess = np.stack([noisy, slow, fast])[:, None]
    assert experiment.choose(excess, 1e-6) == 2
    assert experiment.choose(excess[:1], 1e-6) == 0
    assert experiment.choose(np.stack([np.full(100, np.nan), noisy])[:, None], 1e-6) == 1
    assert experiment.steps_to_near(excess[:, 0]).tolist() == [0, 22, 17]


def test_what_does_not_arrive_is_named(tmp_path):
    config = with_changes(methods=("full batch: momentum",), full_steps=10, out=tmp_path / "out")
    experiment.run(experiment.prepare(config))
    assert load(tmp_path / "out")["verdict"].startswith("0 of 1 methods reach")
    assert "not full batch: momentum" in load(tmp_path / "out")["verdict"]


def test_all_methods_of_the_texts_are_there():
    found = methods_of(dict.fromkeys(BATCHES, 100), dict(zip(BATCHES, (800, 32, 1), strict=True)), 0.01)
    names = [method.name for method in found]
    assert len(names) == len(set(names)) == 30
    for batch in BATCHES:
        for label in ("gradient descent", "step decay", "exponential decay", "cosine decay"):
            assert f"{batch}: {label}" in names
    for label in ("momentum", "Nesterov", "Adagrad", "RMSprop", "Adam", "tanh of the loss", "with L1", "with L2"):
        assert f"{FULL}: {label}" in names


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ("full batch: adma",)}, "methods = 'full batch: adma': unknown, did you mean 'full batch: Adam'"),
        ({"full_steps": 1}, "full_steps = 1: accepted is a whole number of at least 10"),
        ({"single_steps": 0.5}, "single_steps = 0.5"),
        ({"batch_size": 800}, "batch_size = 800: accepted is .* at most 799"),
        ({"report_seeds": 0}, "report_seeds = 0"),
        ({"seed": -1}, "seed = -1"),
        ({"out": Path("/proc/nothing/here")}, "cannot be written"),
    ],
)
def test_bad_input_is_refused_before_anything_is_compiled_or_written(changes, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((TypeError, ValueError), match=message):
        experiment.prepare(with_changes(**changes))
    assert not list(tmp_path.iterdir())


def test_the_same_study_has_the_same_numbers(folder, tmp_path):
    config = with_changes(methods=SMALL.methods[2:], out=tmp_path / "again")
    experiment.run(experiment.prepare(config))
    again, before = (json.dumps(load(at)["sections"][-1]) for at in (tmp_path / "again", folder))
    assert again == before
