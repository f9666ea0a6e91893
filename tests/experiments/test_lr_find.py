"""The range test from start to page, and everything that it must refuse."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from experiments import lr_find
from jaxlab import report

SMALL = lr_find.Config(task="line", optimizers=("sgd", "adam"), steps=150, seeds=3)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    out = tmp_path_factory.mktemp("lr_find") / "out"
    lr_find.run(lr_find.prepare(dataclasses.replace(SMALL, out=out)))
    return out


def test_it_answers_with_a_range_and_two_suggestions(out):
    results: Any = report.load(out)
    numbers = {number["name"]: number for number in results["numbers"]}
    assert len(numbers) == 8
    for optimizer in ("sgd", "adam"):
        begins, most, lowest = (numbers[f"{name}, {optimizer}"] for name in ("begins to fall", "falls most", "lowest"))
        assert begins["value"] < most["value"] < lowest["value"]
        assert most["interval"][0] < most["value"] < most["interval"][1]
        assert f"{begins['value']:.2g} to {lowest['value']:.2g} with {optimizer}" in results["verdict"]
    # Descent on the line is unstable beyond 2 over its steepest curvature, 2; the run explodes a little later.
    assert 0.1 < numbers["tenth of divergence, sgd"]["value"] < 0.3
    assert "tuning decides" in results["verdict"]


def test_the_page_shows_the_loss_against_the_rate(out):
    results: Any = report.load(out)
    (chart,) = results["sections"][0]["charts"]
    assert [series["name"] for series in chart["series"]] == ["sgd", "adam"]
    assert chart["x_log"]
    sgd = chart["series"][0]
    assert 1.0 < sgd["x"][-1] < 10.0  # not much farther than to where it diverges
    shown = np.array([sgd[part] for part in ("low", "y", "high")]).T
    assert (np.diff(shown) >= 0).all()
    assert (out / "plots" / "range-test.png").exists()


def test_rates_too_low_to_learn_are_an_answer_too(tmp_path):
    config = dataclasses.replace(SMALL, low=1e-9, high=1e-8, optimizers=("sgd",), out=tmp_path / "out")
    lr_find.run(lr_find.prepare(config))
    results: Any = report.load(tmp_path / "out")
    assert {number["value"] for number in results["numbers"]} == {None}
    assert "never fell by more than its noise: sgd in 3 of 3 runs" in results["sections"][0]["text"][1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizers": ()}, r"optimizers = \(\)"),
        ({"optimizers": ("adma",)}, "optimizer = 'adma': unknown"),
        ({"optimizers": ("newton",), "task": "digits_mlp"}, r"\d+ parameters, accepted are at most 4096"),
        ({"task": "lien"}, "did you mean 'line'"),
        ({"low": -1.0}, r"low = -1\.0"),
        ({"low": 1.0, "high": 1.0}, "accepted is low < high"),
        ({"steps": 1}, "steps = 1"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"seeds": 0}, "seeds = 0"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_bad_input_is_refused_before_anything_is_compiled_or_written(changes, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        lr_find.prepare(dataclasses.replace(SMALL, **changes))
    assert not list(tmp_path.iterdir())
