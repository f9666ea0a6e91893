"""Smaller models are as sparse as asked, their files are what was scored, the page says what follows."""

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest

from experiments import compress, compress_page, compress_runs
from experiments.compress_runs import ALONE, DENSE, DISTILLED, INT8, Arm, Found, Plan
from experiments.compress_tasks import SETTINGS, setting_of
from jaxlab import report, tasks
from jaxlab.precision import dequantize, load_weights
from jaxlab.train import evaluate

SMALL = compress.Config(task="digits_mlp", sparsities=(0.8,), seeds=2, steps=40, rounds=0)
ARMS = [DENSE, INT8, "pruned 80%", "pruned 80%, int8", ALONE, DISTILLED]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A small run on the digits, and its folder."""
    out = tmp_path_factory.mktemp("compress") / "out"
    compress.run(compress.prepare(dataclasses.replace(SMALL, out=out)))
    results: Any = report.load(out)
    return results, out


def _file(out, name):
    return out / "models" / "digits_mlp" / f"{name}.safetensors"


def test_files_hold_what_was_scored(ran):
    """Of the first of two seeds: the table's mean lies between two scores, of which this is one."""
    results, out = ran
    rows = {row[0]: row for row in results["sections"][0]["tables"][0]["rows"]}
    assert list(rows) == ARMS
    task = tasks.get("digits_mlp")
    for name in ("dense", "int8", "pruned-80", "pruned-80-int8"):
        params, about = load_weights(_file(out, name))
        row = rows[name.replace("-80", " 80%").replace("%-", "%, ")]
        assert about == {"task": "digits_mlp", "arm": row[0], "steps": 40}
        score = float(evaluate(task.loss, dequantize(params), task.test)["accuracy"])
        assert row[1] == pytest.approx(score, abs=0.1)
        assert row[5] == pytest.approx(_file(out, name).stat().st_size / 1e3)
        # The numbers have the difference to the dense model, and how many times smaller the file is.
        numbers = {one["name"]: one["value"] for one in results["numbers"]}
        if row[0] != DENSE:
            assert numbers[f"digits_mlp, {row[0]}, accuracy"] == pytest.approx(row[1] - rows[DENSE][1], abs=1e-4)
            assert numbers[f"digits_mlp, {row[0]}, file"] == pytest.approx(row[6], rel=1e-3)


def test_every_matrix_is_as_sparse_as_asked(ran):
    _, out = ran
    for name in ("pruned-80", "at-once-80", "cut-80"):
        params, _ = load_weights(_file(out, name))
        for layer in params.values():
            kernel = np.asarray(layer["kernel"])
            assert np.sum(kernel == 0) == round(0.8 * kernel.size), name
            assert np.any(layer["bias"])
    dense, cut = (load_weights(_file(out, name))[0]["dense_0"]["kernel"] for name in ("dense", "cut-80"))
    bound = np.sort(np.abs(np.ravel(dense)))[round(0.8 * dense.size) - 1]
    np.testing.assert_array_equal(cut, np.where(np.abs(dense) > bound, dense, 0))


def test_seeds_share_their_start_and_teachers_teach(ran):
    _, out = ran
    alone, taught = (load_weights(_file(out, name))[0] for name in ("small-alone", "small-distilled"))
    assert jax.tree.map(np.shape, alone) == jax.tree.map(np.shape, taught)
    assert alone["dense_0"]["kernel"].shape == (64, 16)
    assert not np.allclose(alone["dense_0"]["kernel"], taught["dense_0"]["kernel"])


def _page(**differences):
    """Ten seeds of a dense model, and arms that differ from it by so much, but for a little noise."""
    rng = np.random.default_rng(0)
    dense = 0.97 + 0.003 * rng.standard_normal(10)
    off = {INT8: 0.0, "pruned 90%": -0.03, "pruned 90%, int8": -0.03, ALONE: -0.02, DISTILLED: -0.01}
    off |= {"at once 90%": -0.2, "cut 90%": -0.6} | differences
    size = {DENSE: 40_000, INT8: 10_000, "pruned 90%": 7_000, "pruned 90%, int8": 4_000, ALONE: 6_000, DISTILLED: 6_000}
    arms = {DENSE: Arm(dense, 0.0, 40_000, 40_000)}
    arms |= {
        name: Arm(dense + by + 1e-4 * rng.standard_normal(10), 0.0, size.get(name, 40_000), 40_000)
        for name, by in off.items()
    }
    task = tasks.get("digits_mlp")
    plan = Plan(task, SETTINGS["digits_mlp"], (0.9,), 10, 1_000, 0.005, 0)
    judged = compress_runs.judge(plan, arms, [name for name in arms if name not in ("at once 90%", "cut 90%")])
    return compress_page.Page(Found(plan, arms, judged, compress_runs.pairs_of(plan, arms), {}, 0.0))


def test_the_answer_names_the_smallest_that_is_as_good():
    words = _page().answer()
    first = (
        "On digits_mlp the smallest file that is as good as the dense one, within 0.005 accuracy, is 4 times smaller"
    )
    assert words.startswith(f"{first}: int8.")
    assert "The smallest of all, pruned 90%, int8: 10 times smaller, worse (-0.03" in words
    assert "pruned 90% against at once 90%: better (+0.17" in words
    assert "small, distilled against small, alone: better (+0.0" in words
    none = _page(**{INT8: -0.1}).answer()
    assert none.startswith("On digits_mlp no smaller model is shown to be within 0.005 accuracy of the dense one.")
    assert "8 bits alone: 4 times smaller, worse (-0.1" in none


def test_a_model_that_diverged_is_worse_and_not_drawn():
    page = _page(**{"pruned 90%": np.nan})
    assert page.found.judged["pruned 90%"].verdict == "worse"
    lost, controls = page.sections()
    (pruned,) = [one for one in lost["charts"][0]["series"] if one["name"] == "pruned"]
    assert pruned["y"] == [None]
    assert controls["tables"][0]["rows"][0][0] == "pruned 90% / at once 90%"


def test_other_tasks_need_a_margin_and_have_no_student():
    plan = compress.plan_of(compress.Config(margin=0.01, seeds=2), tasks.get("line"))
    assert (plan.setting.student, plan.steps, plan.margin) == (None, tasks.get("line").steps, 0.01)
    assert setting_of(tasks.get("digits_mlp")).student is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "digit_mlp"}, "did you mean 'digits_mlp'"),
        ({"task": "smal_gpt"}, "did you mean 'small_gpt'"),
        ({"task": "digits_cnn"}, "margin = None"),
        ({"task": "rosenbrock", "margin": 0.1}, "task 'rosenbrock' has no matrix to prune"),
        ({"sparsities": ()}, r"sparsities = \(\)"),
        ({"sparsities": (0.5, 0.5)}, "different numbers"),
        ({"sparsities": (1.0,)}, "sparsities = 1.0"),
        ({"margin": 0.0}, "margin = 0"),
        ({"seeds": 1}, "seeds = 1"),
        ({"steps": 24}, "steps = 24"),
        ({"rounds": 3}, "rounds = 3: accepted is 0, or"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_what_cannot_be_run_is_refused(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        compress.prepare(dataclasses.replace(SMALL, out=tmp_path / "new", **change))
    assert not (tmp_path / "new").exists()
