"""The numbers that show the texts' errors, each computed again another way."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Lasso

from experiments import misprint_runs as runs
from experiments import misprint_sums as sums
from experiments import misprints as experiment
from jaxlab import report, tasks
from jaxlab.tasks.quadratics import Quadratic
from jaxlab.train.stopwatch import Stopwatch


def numbers_of(shown) -> Any:
    return {number["name"]: number["value"] for number in shown.numbers}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("misprints") / "out"
    experiment.run(experiment.prepare(experiment.Config(starts=400, out=out)))
    return out


def test_the_page_has_every_statement_and_says_how_many_are_wrong(folder):
    report.load(folder)
    results = json.loads((folder / "results.json").read_text())
    statements = experiment.misprints_of(experiment.Config(), Stopwatch())
    assert len(statements) == 16
    assert results["verdict"].startswith("16 statements of the texts are wrong, each shown by a number. These: Adam's")
    table = results["sections"][0]["tables"][0]
    assert [row[0] for row in table["rows"]] == [statement.name for statement in statements]
    assert len(results["sections"]) == 17
    assert len(results["numbers"]) == 16
    assert len(list((folder / "plots").glob("*.png"))) == 4


def test_a_statement_that_holds_is_not_called_wrong():
    right = sums.Shown(2.0, [sums.number("two", 2.0, "", "")])
    assert not right.wrong
    assert right._replace(implied=2.1).wrong
    unsure = sums.Shown(2.0, [sums.number("about two", 2.3, "", "", (1.9, 2.7))])
    assert not unsure.wrong
    assert unsure._replace(implied=1.0).wrong
    statement = experiment.misprints_of(experiment.Config(), Stopwatch())[0]
    verdict = experiment.verdict_of([(statement, right)])
    assert verdict.startswith("0 statements")
    assert verdict.endswith("Not shown to be wrong: Adam's step size.")


def test_adam_as_printed_is_not_finite_and_without_correction_too_long():
    found = numbers_of(runs.adam_step_size(Stopwatch()))
    assert found["finite after Adam's first step"] == 0
    m = v = longest = 0.0
    for _ in range(100):  # by recursion, not by the closed form
        m, v = 0.9 * m + 0.1, 0.999 * v + 0.001
        longest = max(longest, m / math.sqrt(v))
    assert found["longest step"] == pytest.approx(longest, rel=1e-9)
    assert found["longest step in jaxlab"] == pytest.approx(1, abs=1e-5)


def test_the_worse_minimum_gets_the_starts_on_its_side_of_the_hill():
    share, left = runs.local_minima(Stopwatch(), 0, 2_000).numbers
    below, above = share["interval"] or (None, None)
    low, top, high = np.sort(np.roots([4, 0, -4, 0.3]).real)
    assert below < (2 - top) / 4 < above
    assert below < share["value"] < above
    height = (high**2 - 1) ** 2 + 0.3 * high - (low**2 - 1) ** 2 - 0.3 * low
    assert left["value"] == pytest.approx(height, rel=1e-4)


def test_newton_is_second_order_and_adam_is_not():
    found = numbers_of(runs.second_order(Stopwatch()))
    assert found["Newton's steps"] == 1
    assert found["growth of Adam's v"] == pytest.approx(100, rel=1e-4)
    assert 50 < found["Adam's steps"] < found["RMSprop's steps"] < 1_000


def test_rmsprops_rate_moves():
    x, s, factors = 1.0, 0.0, []
    for _ in range(100):
        s = 0.9 * s + 0.1 * x**2
        factors.append(0.01 / (math.sqrt(s) + 1e-8))
        x -= factors[-1] * x
    [ratio] = runs.rmsprop_rate(Stopwatch()).numbers
    assert ratio["value"] == pytest.approx(max(factors) / min(factors), rel=1e-3)


def test_the_random_slice():
    found = numbers_of(sums.random_slice())
    random = np.random.RandomState(0)
    data = np.arange(100)
    batches = [data[start : start + 32] for start in random.randint(0, 32, 5_000)]
    assert found["examples never seen"] == 100 - np.unique(np.concatenate(batches)).size == 37
    lengths = [data[start : start + 100].size for start in range(100)]
    assert found["mean length of a slice"] == sum(lengths) / 100 == 50.5
    assert found["starts that fit"] == 1
    assert found["most over least seen in jaxlab"] == 1
    assert found["the random slice as printed"] == 0


def test_the_regularization_function():
    found = numbers_of(sums.penalty_without_strength())
    assert found == {"penalty of strength 0": 0.025, "penalty of strength 0 in jaxlab": 0, "the penalty as printed": 0}


def test_dynamic_gradient_descent():
    x, rates = 2.0, []
    for _ in range(100):
        rates.append(0.1 * math.tanh(x**2))
        x -= rates[-1] * 2 * x
    found = numbers_of(runs.constant_rate(Stopwatch()))
    assert found["largest rate over smallest, printed"] == 1
    assert found["largest rate over smallest, jaxlab"] == pytest.approx(max(rates) / min(rates), rel=1e-3)


def test_an_epoch_of_one_batch():
    found = numbers_of(sums.epoch_of_one_batch())
    assert found == {"epochs in 1,000 of its epochs": 320, "the class as printed": 0}


def test_the_tables_of_rates():
    step, exponential, cosine = map(numbers_of, (sums.step_table(), sums.exponential_table(), sums.cosine_table()))
    assert step == {"step decay, epoch 1,000": 0.01, "step decay, epoch 1,000, jaxlab": pytest.approx(0.01)}
    rate = 0.01
    for epoch in range(2, 1_001):
        rate *= 0.99
        if epoch == 100:
            assert exponential["exponential decay, epoch 100"] == pytest.approx(rate)
            assert f"{rate:.4f}" == "0.0037"
    assert exponential["exponential decay, epoch 1,000"] == pytest.approx(rate)
    assert exponential["exponential decay, epoch 1,000, jaxlab"] == pytest.approx(rate, rel=1e-4)
    ends = 0.005 * (1 + np.cos(np.pi * np.array([1, 9_999], np.longdouble) / 10_000))
    assert cosine["cosine decay, lost by epoch 2"] == pytest.approx(float(0.01 - ends[0]), rel=1e-6)
    assert cosine["cosine decay, epoch 10,000"] == pytest.approx(float(ends[1]), rel=1e-6)
    assert cosine["cosine decay, epoch 10,000, jaxlab"] == pytest.approx(float(ends[1]), rel=1e-4)


def test_zeros_are_those_of_the_lasso():
    x, y = load_diabetes(return_X_y=True)
    x, y = ((part - part.mean(0)) / part.std(0) for part in (x, y))
    lasso = Lasso(alpha=0.1, fit_intercept=False, tol=1e-10, max_iter=100_000).fit(x, y)
    found = numbers_of(runs.sparsity(Stopwatch()))
    assert found == {"zeros with L1": 0, "zeros with L2": 0, "zeros with proximal L1": np.sum(lasso.coef_ == 0)}


def test_the_limit_of_the_learning_rate(x64):
    function = Quadratic(100.0)
    start = np.asarray(function.init(jax.random.key(0))["x"])
    away = function.rotation.T @ (start - function.optimum)

    def growth(part):
        shrunk = away * (1 - 2 * part * function.eigenvalues) ** 200
        return np.sum(function.eigenvalues * shrunk**2) / np.sum(function.eigenvalues * away**2)

    found = numbers_of(runs.too_large(Stopwatch()))
    assert found["growth at 1.01 of the limit"] == pytest.approx(growth(1.01), rel=1e-6)
    assert found["growth at 0.99 of the limit"] == pytest.approx(growth(0.99), rel=1e-6)


def test_sums_over_workers_and_machines():
    x = np.asarray(tasks.get("line").data["x"], np.float64)
    design = np.hstack([x, np.ones_like(x)])
    curvature = 2 * np.linalg.svd(design, compute_uv=False)[0] ** 2 / len(x)
    found = numbers_of(sums.summed_gradients())
    assert found["limit of the rate, averaged"] == pytest.approx(2 / curvature, rel=1e-9)
    assert found["limit of the rate, summed"] == pytest.approx(2 / curvature / 8, rel=1e-9)
    assert found["parameters in the sum of pieces"] == 3


def test_steps_are_swallowed_in_bfloat16():
    found = numbers_of(runs.swallowed(Stopwatch()))
    assert found["way in bfloat16"] == 0
    assert found["way with float32 parameters"] == pytest.approx(1, abs=1e-4)


def test_targets_without_a_logarithm():
    share = numbers_of(sums.logarithm_of_targets())["targets without a logarithm"]
    y = np.asarray(tasks.get("line").data["y"])
    with np.errstate(invalid="ignore"):
        assert share == np.isnan(np.log(y)).mean()
    assert 0.2 < share < 0.3  # 2x + 1 < 0 on a quarter of [-1, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"starts": 5}, "starts = 5: accepted is a whole number of at least 10"),
        ({"seed": -1}, "seed = -1"),
        ({"seed": 0.5}, "seed = 0.5"),
        ({"out": Path("/proc/nothing/here")}, "cannot be written"),
    ],
)
def test_bad_input_is_refused_before_anything_is_computed_or_written(changes, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((TypeError, ValueError), match=message):
        experiment.prepare(dataclasses.replace(experiment.Config(), **changes))
    assert not list(tmp_path.iterdir())


def test_results_are_never_overwritten(folder):
    with pytest.raises(ValueError, match="is not empty"):
        experiment.prepare(experiment.Config(out=folder))
