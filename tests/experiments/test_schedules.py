"""The texts' rates against arithmetic of its own, and schedules that share one program against recipes that do not."""

import dataclasses
import math
from decimal import Decimal, getcontext
from pathlib import Path

import numpy as np
import pytest

from experiments import printed_rates, schedules
from experiments.schedule_shapes import NAMES, build, schedule_of
from jaxlab import report
from jaxlab.optimizers import Recipe
from jaxlab.sweep import run_population, seed_keys

SMALL = schedules.Config(
    task="line",
    schedules=("cosine", "reduce_on_plateau"),
    horizons=(30, 60),
    eval_every=10,
    learning_rates=(0.003, 0.03),
    batch_size=4,
    selection_seeds=2,
    report_seeds=4,
)


def with_changes(**changes):
    return dataclasses.replace(SMALL, **changes)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    out = tmp_path_factory.mktemp("schedules") / "out"
    schedules.run(schedules.prepare(with_changes(out=out)))
    assert (out / "report.html").read_text().count("<svg") >= 8
    return report.load(out)


def test_one_study_for_each_horizon_and_the_peak_tuned_in_each(results):
    assert [study["arms"][0]["curves"]["steps"] for study in results["studies"]] == [
        [10, 20, 30],
        [10, 20, 30, 40, 50, 60],
    ]
    for study in results["studies"]:
        assert [arm["name"] for arm in study["arms"]] == ["constant", "cosine", "reduce_on_plateau"]
        for arm in study["arms"]:
            assert arm["tuning"]["values"] == [0.003, 0.03]
            assert arm["hyperparams"]["schedule"] == NAMES.index(arm["schedule"])
            assert not set(arm["tuning"]["seeds"]) & set(arm["report"]["seeds"])


def test_all_schedules_and_horizons_share_one_program(results):
    first, *rest = [arm["cost"]["compile_seconds"] for study in results["studies"] for arm in study["arms"]]
    assert max(rest) < first / 3


def test_the_answer_in_numbers_is_that_of_the_runs(results):
    numbers = {number["name"]: number for number in results["numbers"]}
    for horizon, study in zip((30, 60), results["studies"], strict=True):
        tests = {arm["name"]: np.array(arm["report"]["test"]) for arm in study["arms"]}
        difference = tests["cosine"] - tests["constant"]
        found = numbers[f"cosine - constant, {horizon} steps"]
        half = 3.182446305284263 * difference.std(ddof=1) / 2  # t of 3 degrees of freedom at 97.5%, 4 seeds
        assert found["value"] == pytest.approx(difference.mean(), rel=1e-6)
        assert found["interval"] == pytest.approx([difference.mean() - half, difference.mean() + half], rel=1e-6)
    assert numbers["printed rates that are wrong"]["value"] == 5
    assert results["verdict"].startswith("Schedules shown to be better than a constant rate: ")
    assert "5 are arithmetically wrong" in results["verdict"]


def test_a_schedule_by_number_trains_as_the_recipe_of_its_name():
    keys, peaks = seed_keys([0, 1]), np.array([0.01, 0.03])
    numbers = {"learning_rate": peaks, "total_steps": 40.0, "momentum": 0.9}
    found = run_population("line", build, numbers | {"schedule": NAMES.index("wsd")}, keys, steps=40, batch_size=4)
    recipe = Recipe("momentum", "wsd")
    lengths = {"warmup_steps": 2.0, "decay_steps": 12.0}
    wanted = run_population("line", recipe.build, numbers | lengths, keys, steps=40, batch_size=4)
    np.testing.assert_allclose(found.validation["mse"], wanted.validation["mse"], rtol=1e-5)


def test_every_schedule_but_its_own_rises_reaches_its_peak_after_the_warm_up():
    for name in NAMES:
        rate = schedule_of(name, 0.5, 200)
        if name not in ("one_cycle", "reduce_on_plateau"):
            assert float(rate(5)) == pytest.approx(0.25, rel=1e-5)
            assert float(rate(10)) == pytest.approx(0.5, rel=1e-5)
            assert float(np.max(rate(np.arange(200)))) == pytest.approx(0.5, rel=1e-5)


def test_printed_rates_against_decimals():
    getcontext().prec = 40
    # Exponential: 0.99 for 1,000 steps; rows are steps from 0.
    for row in (2, 1000, 1001):
        exact = Decimal("0.01") * Decimal("0.99") ** (Decimal(row - 1) / 1000)
        assert printed_rates.EXPONENTIAL.exact(row, 0) == pytest.approx(float(exact), rel=1e-13)
    # What stands in rows 1,000 and 1,001 is a power of 100 and 101.
    assert round(Decimal("0.01") * Decimal("0.99") ** 100, 4) == Decimal("0.0037")
    assert round(Decimal("0.01") * Decimal("0.99") ** 101, 4) == Decimal("0.0036")
    # Cosine near both ends: 1 - cos x = x^2 / 2 - x^4 / 24.
    x = Decimal("3.14159265358979323846264338327950288") / 10_000
    small = (x**2 / 2 - x**4 / 24) / 2
    assert printed_rates.COSINE.exact(2, 0) == pytest.approx(float(Decimal("0.01") * (1 - small)), rel=1e-14)
    assert printed_rates.COSINE.exact(10_000, 0) == pytest.approx(float(Decimal("0.01") * small), rel=1e-12)
    step = printed_rates.COSINE.inverse(0.009945)
    assert (1 + math.cos(math.pi * step / 10_000)) / 2 == pytest.approx(0.9945, rel=1e-12)
    assert round(step) == 473


def test_which_printed_rates_are_wrong():
    assert {table.name: (table.first_step, table.wrong) for table in printed_rates.TABLES} == {
        "step decay": (1, []),
        "exponential decay": (0, [2, 1000, 1001]),
        "cosine decay": (0, [2, 10_000]),
    }
    assert printed_rates.STEP.is_right(1000, 0) is False  # counted from 0 the first stair has 1,000 rows
    assert printed_rates.largest_error() < 1e-6
    assert printed_rates.callback_sum() == pytest.approx(0.001 * (1 - 0.1**10) / (1 - 0.1**0.1), rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedules": ("cosin",)}, "did you mean 'cosine'"),
        ({"horizons": ()}, r"horizons = \(\): accepted are multiples of eval_every = 10"),
        ({"horizons": (35,)}, r"horizons = \(35,\): accepted are multiples of eval_every = 10"),
        ({"horizons": (20,)}, "horizons = 20: accepted is a whole number of at least 25"),
        ({"eval_every": 0}, "eval_every = 0"),
        ({"learning_rates": ()}, r"learning_rates = \(\): accepted is at least one"),
        ({"learning_rates": (-0.1,)}, r"learning_rate = -0\.1"),
        ({"momentum": 1.0}, r"momentum = 1\.0"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"report_seeds": 0}, "report_seeds = 0"),
        ({"task": "lien"}, "did you mean 'line'"),
        ({"out": Path("/proc/nothing/here")}, "cannot be written"),
    ],
)
def test_bad_input_is_refused_before_anything_is_compiled_or_written(changes, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((TypeError, ValueError), match=message):
        schedules.prepare(with_changes(**changes))
    assert not list(tmp_path.iterdir())
