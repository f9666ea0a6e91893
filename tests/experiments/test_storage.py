"""The comparison of formats: what is judged, what it costs, and the negative control."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from experiments import storage, storage_page, storage_runs
from jaxlab import report

SMALL = storage.Config(tasks=("digits_cnn",), arms=("int8",), seeds=2, steps=20, rounds=0)
ARMS = storage_runs.arms()


def _trained(task, steps, arm, keys):
    """Runs that need no training: what a population would give back, half a nat worse for what is not float32."""
    worse = 0.5 * (arm is not ARMS["float32"])
    loss = worse + np.random.default_rng(0).random((len(keys), 2))
    return SimpleNamespace(train_loss=loss, test={"loss": loss[:, -1]}, compile_seconds=0.0)


def _results(out, **changes) -> Any:
    storage.run(storage.prepare(dataclasses.replace(SMALL, out=out, **changes)))
    return report.load(out)


def test_the_page_says_what_a_parameter_costs_and_what_became_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "arms", lambda: ARMS)
    monkeypatch.setattr(storage, "train", _trained)
    results = _results(tmp_path / "out", seeds=10)
    rows = {row[0]: row for row in results["sections"][0]["tables"][0]["rows"]}
    assert list(rows) == ["float32", "int8"]
    assert rows["float32"][1] == pytest.approx(8, abs=0.01)
    assert rows["int8"][2] - rows["float32"][2] == pytest.approx(0.5)
    assert rows["int8"][4] == "worse"
    assert results["numbers"][0]["value"] == pytest.approx(0.5)
    assert results["verdict"].startswith("32 bits")


@pytest.mark.nightly
def test_a_small_run(tmp_path):
    rows = {row[0]: row for row in _results(tmp_path / "out")["sections"][0]["tables"][0]["rows"]}
    # Twenty steps do not diverge, and 8 bits change them by less than they changed the loss.
    assert abs(rows["int8"][2] - rows["float32"][2]) < 0.3


def test_few_bits_cost_what_was_promised():
    for task in map(storage_runs.task_of, storage_runs.STEPS):
        assert storage_runs.bytes_of(task, 100, ARMS["int8"]) <= 2.1
        assert storage_runs.bytes_of(task, 100, ARMS["int4"]) <= 1.1
        kahan = storage_runs.bytes_of(task, 100, ARMS["bfloat16 parameters, kahan"])
        assert kahan == pytest.approx(10, abs=0.01)


def test_an_arm_is_judged_by_its_margin():
    rng = np.random.default_rng(0)
    base = 1 + 0.1 * rng.standard_normal(10)
    arms = {
        "float32": base,
        "near": base + 1e-4 * rng.standard_normal(10),
        "far": base + 0.5,
        "lost": np.full(10, np.nan),
    }
    judged = storage_runs.judge(storage_runs.Ends(arms, arms, {}), 0.01)
    assert [judged[name].verdict for name in ("near", "far", "lost")] == ["equivalent", "worse", "worse"]
    assert judged["far"].difference == pytest.approx(0.5)


def test_the_fewest_equivalent_bits_are_named():
    rng = np.random.default_rng(0)
    base = 1 + 0.1 * rng.standard_normal(10)
    near, far = base + 1e-4 * rng.standard_normal(10), base + 0.5 + 1e-4 * rng.standard_normal(10)
    arms = {"float32": base, "bfloat16": near, "int8": near, "int4": far}
    judged = storage_runs.judge(storage_runs.Ends(arms, arms, {}), 0.01)
    words = storage_page.answer({"digits_cnn": judged}, {"float32": [1.0] * 8, "int8": [2.0] * 8})
    assert words.startswith("8 bits a value")
    assert "int4: worse on digits_cnn" in words
    assert words.endswith("2.00 times float32's.")


def test_even_steps_are_those_of_the_whole_tensor():
    x = jnp.array([0.0, 1.0, -127.0, 0.4, 63.6])
    np.testing.assert_allclose(storage_runs.even(127, x), [0, 1, -127, 0, 64], atol=1e-5)
    np.testing.assert_array_equal(storage_runs.even(255, jnp.zeros(3)), 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tasks": ()}, "tasks = "),
        ({"tasks": ("digits_cn",)}, "did you mean 'digits_cnn'"),
        ({"arms": ("int9",)}, "arms = 'int9'"),
        ({"seeds": 1}, "seeds = 1"),
        ({"steps": 5}, "steps = 5"),
        ({"rounds": 3}, "rounds = 3"),
    ],
)
def test_what_cannot_be_run_is_refused(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        storage.prepare(dataclasses.replace(SMALL, out=tmp_path / "new", **change))
    assert not (tmp_path / "new").exists()
