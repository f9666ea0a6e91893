"""The comparison of precisions: what is judged, what is said of the negative controls, what it costs."""

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest

from experiments import precision, precision_page, precision_runs
from experiments.precision_runs import NEAREST, SCALED, UNDERFLOW, Cost, Ends
from jaxlab import report, tasks

SMALL = precision.Config(task="line", arms=(SCALED,), margin=1.0, seeds=2, steps=20, rounds=0)


def _ends(final, skipped=0):
    final = np.asarray(final)
    return Ends(
        np.array([150, 300]),
        np.stack([2 * final, final], 1),
        {"loss": final, "mse": final},
        np.full(len(final), skipped),
    )


def _page(**differences):
    """Ten seeds, float32's final loss and arms that differ from it by so much, but for a little noise."""
    rng = np.random.default_rng(0)
    base = 1 + 0.1 * rng.standard_normal(10)
    arms = {"bfloat16": 0.0, SCALED: 0.0, UNDERFLOW: 0.5, NEAREST: 0.3} | differences
    found = {"float32": _ends(base)}
    found |= {label: _ends(base + by + 1e-4 * rng.standard_normal(10), label == SCALED) for label, by in arms.items()}
    costs = {label: Cost(4.0, 8.0, 100) for label in found}
    seconds = {label: [1.0 + (label != "float32")] * 8 for label in found}
    return precision_page.Page(tasks.get("line"), 0.01, found, precision_runs.judge(found, 0.01), costs, seconds)


def test_a_small_run(tmp_path):
    """Sixteen bits, on a line, end close to 32; their parameters and state are kept in 32."""
    precision.run(precision.prepare(dataclasses.replace(SMALL, out=tmp_path / "out")))
    results: Any = report.load(tmp_path / "out")
    rows = {row[0]: row for row in results["sections"][0]["tables"][0]["rows"]}
    assert list(rows) == ["float32", SCALED]
    assert rows[SCALED][1] == pytest.approx(rows["float32"][1], rel=0.05)
    assert results["numbers"][0]["value"] == pytest.approx(rows[SCALED][1] - rows["float32"][1], rel=1e-4)
    kept = {row[0]: row[1:3] for row in results["sections"][1]["tables"][0]["rows"]}
    # Two numbers more: the scale, and how many steps in a row went well.
    count = jax.tree.leaves(jax.eval_shape(tasks.get("line").init, jax.random.key(0)))
    assert kept[SCALED][0] == kept["float32"][0] == 4
    assert kept[SCALED][1] - kept["float32"][1] == pytest.approx(8 / sum(leaf.size for leaf in count))


def test_an_arm_is_judged_over_all_arms():
    page = _page()
    verdicts = {label: one.verdict for label, one in page.judged.items()}
    assert verdicts == {"bfloat16": "equivalent", SCALED: "equivalent", UNDERFLOW: "worse", NEAREST: "worse"}
    assert page.judged[NEAREST].difference == pytest.approx(0.3, abs=1e-3)
    # Two families of four tests each, the smallest p value of each times four.
    smallest = min(page.judged.values(), key=lambda one: one.p)
    assert smallest.p_holm == pytest.approx(4 * smallest.p)
    assert precision_runs.farthest(page.found, NEAREST) == pytest.approx(0.3, abs=1e-3)


def test_the_answer_tells_what_trains_alike_and_whether_it_could_tell():
    words = _page().answer()
    assert words.startswith("2 of 2 ways to train in 16 bits end at float32's loss on line, within 0.01: bfloat16; ")
    assert words.count("and so it should be") == 2
    assert "left out 10 of 3,000 steps" in words
    blind = _page(**{NEAREST: 0.0, "bfloat16": 0.2}).answer()
    assert blind.startswith("1 of 2 ways")
    assert "bfloat16: worse (+0.2" in blind
    assert f"{NEAREST}, a negative control: equivalent" in blind
    assert "this comparison is blind" in blind


def test_a_run_that_diverged_is_worse_and_not_drawn():
    page = _page()
    lost = dataclasses.replace(page.found["bfloat16"], loss=np.full((10, 2), np.nan))
    found = {**page.found, "bfloat16": lost}
    page = dataclasses.replace(page, found=found, judged=precision_runs.judge(found, 0.01))
    assert "bfloat16: worse, diverged." in page.answer()
    assert page.numbers()[0]["value"] is None
    far, curves = page.sections()[0]["charts"]
    assert "bfloat16" not in far["rows"]
    assert curves["series"][1]["y"] == [None, None]


def test_what_a_step_costs_beside_float32s():
    numbers = {one["name"]: one for one in _page().numbers()}
    assert numbers["bfloat16, a step"]["value"] == 2
    assert numbers["float32, a parameter"]["value"] == 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "lines"}, "did you mean 'line'"),
        ({"arms": ("bfloat17",)}, "did you mean 'bfloat16'"),
        ({"margin": None}, "margin = None"),
        ({"margin": -1.0}, "margin = -1"),
        ({"seeds": 1}, "seeds = 1"),
        ({"steps": 25}, "steps = 25: accepted is a multiple of 10"),
        ({"rounds": 3}, "rounds = 3"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_what_cannot_be_run_is_refused(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        precision.prepare(dataclasses.replace(SMALL, out=tmp_path / "new", **change))
    assert not (tmp_path / "new").exists()
