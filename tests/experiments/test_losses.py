"""Losses on spoilt data, small and end to end, beside what is known in closed form."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from sklearn.linear_model import HuberRegressor

from experiments import losses as experiment
from experiments import losses_page as page
from experiments import losses_tasks as spoiling
from experiments import study
from jaxlab import report, tasks

SMALL = experiment.Config(
    losses=("log_loss",), outliers=(), flipped=(0.0,), wrong=(), selection_seeds=1, report_seeds=5
)


def with_changes(**changes):
    return dataclasses.replace(SMALL, **changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("losses") / "out"
    experiment.run(experiment.prepare(with_changes(out=out)))
    return out


@pytest.fixture(scope="module")
def lines():
    """The lines that mse and Huber's loss end with at 20% gross errors, trained as by default."""
    kind = experiment.KINDS["numbers"]
    protocol = study.protocol_of(0, SMALL.selection_seeds, SMALL.report_seeds, evaluations=experiment.EVALUATIONS)
    found = {}
    for loss in ("mse", page.HUBER):
        arm = experiment.arm_of(kind, loss, page.OUTLIERS, SMALL.steps)
        entry = study.run("?", [arm], protocol, Console(quiet=True))
        found[loss] = experiment.ends_of(arm, entry, protocol), entry
    return found


def spoilt_line():
    task = spoiling.line("mse", page.OUTLIERS)
    return (np.asarray(task.data[part], np.float64)[:, 0] for part in ("x", "y"))


def test_the_squared_error_finds_the_line_of_the_spoilt_points(lines):
    x, y = spoilt_line()
    slope, intercept = np.polyfit(x, y, 1)
    ends, _ = lines["mse"]
    # A run has 640 of the 800 points, with another part of the gross errors.
    assert ends.slope.mean() == pytest.approx(slope, abs=0.5)
    assert ends.intercept.mean() == pytest.approx(intercept, abs=0.3)
    assert slope == pytest.approx(0.8 * 2 - 0.2 * 20, abs=0.5)


def test_huber_s_loss_stays_at_the_true_line_as_scikit_learn_s_does(lines):
    x, y = spoilt_line()
    # epsilon is delta in units of the scale, which scikit-learn estimates too; the gross errors widen it.
    solved = HuberRegressor(epsilon=1.345, max_iter=1_000).fit(x[:, None], y)
    ends, _ = lines[page.HUBER]
    assert ends.slope.mean() == pytest.approx(solved.coef_[0], abs=0.1)
    assert ends.slope.mean() == pytest.approx(2.0, abs=0.1)
    assert page.times(lines["mse"][0], ends)[0] > 100


def test_the_lines_are_those_of_the_report(lines):
    test = tasks.get("line").test
    x, y = (np.asarray(test[part], np.float64)[:, 0] for part in ("x", "y"))
    for ends, entry in lines.values():
        away = ends.slope[:, None] * x + ends.intercept[:, None] - y
        np.testing.assert_allclose(np.abs(away).mean(axis=1), entry["arms"][0]["report"]["test"], rtol=1e-5)
        np.testing.assert_allclose(np.square(away).mean(axis=1), ends.mse, rtol=1e-5)


def test_a_ratio_has_the_interval_of_its_logarithms():
    a, b = (page.Ends(np.zeros(3), np.zeros(3), np.array(mse)) for mse in ([2.0, 8.0, 32.0], [1.0, 1.0, 1.0]))
    ratio, (low, high) = page.times(a, b)
    assert ratio == pytest.approx(8)
    assert low * high == pytest.approx(64)
    half = 4.302653 * np.log(4) / np.sqrt(3)  # Student's t of two degrees of freedom
    assert high == pytest.approx(8 * np.exp(half), rel=1e-6)


def test_spoilt_examples_are_as_many_as_said_and_those_of_a_smaller_fraction_stay():
    few, many = set(spoiling.spoilt(800, 0.1)), set(spoiling.spoilt(800, 0.3))
    assert len(few) == 80
    assert len(many) == 240
    assert few < many
    clean, task = tasks.get("digits_mlp"), spoiling.digits("focal", 0.4)
    before, after = np.asarray(clean.data["y"]), np.asarray(task.data["y"])
    assert (before != after).sum() == round(0.4 * len(before))
    assert set(after) == set(range(10))
    less = np.asarray(spoiling.digits("focal", 0.2).data["y"])
    changed = less != before
    assert (less[changed] == after[changed]).all()
    np.testing.assert_array_equal(task.test["y"], clean.test["y"])
    answers = np.asarray(spoiling.breast_cancer("hinge", 0.3).data["y"])
    truth = np.asarray(tasks.get("breast_cancer").data["y"])
    assert (answers == 1 - truth).sum() == round(0.3 * len(truth))
    clean, wrong = (np.asarray(spoiling.line("mse", part).data["y"]) for part in (0.0, 0.25))
    np.testing.assert_allclose(wrong[wrong != clean], -10 * clean[wrong != clean])
    assert (wrong != clean).sum() == 200


def test_fractions_and_arms_of_one_loss_share_their_programs():
    for make, names in (
        (spoiling.line, spoiling.REGRESSION),
        (spoiling.breast_cancer, spoiling.BINARY),
        (spoiling.digits, spoiling.MANY),
    ):
        found = [make(name, fraction) for name in names for fraction in (0.0, 0.3)]
        assert len({task.loss for task in found}) == len(names)
        assert len({task.init for task in found}) == 1
        assert len({task.metric for task in found}) == 1


def test_the_page_tells_of_every_kind(folder):
    results = report.load(folder)
    numbers = {number["name"]: number for number in results.get("numbers", [])}
    assert numbers["mse / huber"]["interval"] is not None
    assert {"slope, mse", "slope, mae", f"slope, {page.HUBER}", "accuracy, cross_entropy"} < set(numbers)
    assert len(numbers) == 6
    studies = results.get("studies", [])
    assert [len(one["arms"]) for one in studies] == [3, 1, 1]
    assert {one["task"]["metric"] for one in studies} == {"mae", "accuracy"}
    assert "40% wrong labels" in results["verdict"]
    assert "the squared error's test error is" in results["verdict"]


def test_what_a_loss_aims_at_is_mean_median_and_geometric_mean(folder):
    numbers = {number["name"]: number["value"] or 1.0 for number in report.load(folder).get("numbers", [])}
    assert numbers["centres"] < 1e-3
    title = "Positive numbers: what the squared logarithmic error aims at"
    section = next(one for one in report.load(folder).get("sections", []) if one["title"] == title)
    rows = {row[0]: row[1:] for row in section["tables"][0]["rows"]}
    assert rows["mse"][2] == "152.13"  # the data's known mean
    assert rows["mae"][2] == "140.50"
    assert float(rows["msle"][-1]) < float(rows["mse"][-1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"losses": ("hubert",)}, "losses = 'hubert': unknown"),
        ({"outliers": (1.0,)}, r"outliers = 1\.0: accepted is a number in \[0, 1\)"),
        ({"outliers": (float("nan"),)}, "outliers = nan"),
        ({"flipped": (0.5,)}, r"flipped = 0\.5: accepted is a number in \[0, 0\.5\)"),
        ({"flipped": ()}, r"flipped = \(\): accepted is at least one fraction"),
        ({"wrong": (0.95,)}, r"wrong = 0\.95: accepted is a number in \[0, 0\.9\)"),
        ({"wrong": (-0.1,)}, r"wrong = -0\.1"),
        ({"steps": 9}, "steps = 9: accepted is a whole number of at least 10"),
        ({"report_seeds": 0}, "report_seeds = 0"),
        ({"selection_seeds": 0}, "selection_seeds = 0"),
        ({"seed": -1}, "seed = -1"),
        ({"out": Path("/proc/nothing/here")}, "cannot be written"),
    ],
)
def test_bad_input_is_refused_before_anything_is_compiled_or_written(changes, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((TypeError, ValueError), match=message):
        experiment.prepare(with_changes(**changes))
    assert not list(tmp_path.iterdir())
