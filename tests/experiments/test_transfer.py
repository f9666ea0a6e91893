"""Reusing a trained network, small and end to end: digits 5 to 9 after digits 0 to 4."""

import dataclasses
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from experiments import transfer as experiment
from experiments import transfer_arms as arms
from experiments import transfer_fashion as clothes
from experiments.transfer_costs import Step
from experiments.transfer_page import Page
from experiments.transfer_subject import in_rows
from jaxlab import report, tasks
from jaxlab.train.data import split_sizes

NAMES = ["scratch", "frozen base"]
SMALL = experiment.Config(
    budgets=(8,), methods=("frozen base",), steps=20, selection_seeds=1, seeds=3, validation=20, rounds=8
)


def with_changes(**changes):
    return dataclasses.replace(SMALL, **changes)


def digits(steps=60, file=None):
    """A source of 8 x 8 pixels."""
    task = tasks.get("digits_cnn")
    pool, test = ({"x": np.asarray(part["x"])[..., 0], "y": np.asarray(part["y"])} for part in (task.data, task.test))
    (first, second), (first_test, second_test) = clothes.parted(pool), clothes.parted(test)
    return clothes.Source(
        "digits 5 to 9", "digits", (first, first_test), (second, second_test), (4, 8), 16, steps, file
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("transfer") / "out"
    experiment.run(experiment.plan_of(with_changes(out=out), digits))
    return out


@pytest.fixture(scope="module")
def subject(folder):
    found, _ = digits(file=folder / clothes.FILE).subject(folder, 0, 60)
    return found


def arm(subject, method, budget=8, steps=20):
    return arms.arm_of(subject, method, budget, validation=20, steps=steps)


def test_the_page_has_every_method_at_every_budget(folder):
    results = report.load(folder)
    studies = results.get("studies", [])
    assert [[one["name"] for one in study["arms"]] for study in studies] == [NAMES]
    assert [study["question"] for study in studies] == ["Which way is best with 8 labels for each class?"]
    assert len(results.get("numbers", [])) == 2
    titles = [section["title"] for section in results.get("sections", [])]
    assert titles == ["Accuracy against labels", "What is gained over scratch", "What it costs", "The base"]
    assert "0 backward operations of the base" in results["verdict"]
    listing = results.get("sections", [])[-1].get("listings", [])[0]["text"]
    assert listing.startswith("4 of 4 parameters matched")


def test_a_difference_is_the_mean_of_the_paired_accuracies(folder):
    results = report.load(folder)
    numbers = {number["name"]: number for number in results.get("numbers", [])}
    scores = {one["name"]: np.array(one["report"]["test"]) for one in results.get("studies", [])[0]["arms"]}
    expected = 100 * (scores["frozen base"] - scores["scratch"]).mean()
    assert numbers["frozen base - scratch, 8 labels"]["value"] == pytest.approx(expected, abs=1e-4)


def test_all_methods_draw_the_same_few_labels_of_each_class(subject):
    """A draw follows from the key, the pool's size, the training part and the batch size: none is a method's own."""
    found = [arm(subject, name, 2) for name in arms.METHODS]
    for one in found:
        assert one.task.data["y"].tolist() == [[0, 1, 2, 3, 4]] * 22
        assert split_sizes(22, one.task.validation_fraction) == (2, 20)
        assert (one.batch_size, one.steps, one.total_trials) == (2, 20, 5)
        np.testing.assert_array_equal(one.task.data["x"], found[0].task.data["x"])
    assert arm(subject, "scratch", 30).batch_size == arms.BATCH_ROWS


def test_a_linear_probe_is_a_logistic_regression_on_the_base_s_features(subject):
    task = arm(subject, "linear probe").task
    pool = subject.featured[0]
    x, y = (np.asarray(pool[part][:28]).reshape(140, *pool[part].shape[2:]) for part in ("features", "y"))
    fitted = LogisticRegression(max_iter=300).fit(x, y)
    params = {"dense_0": {"kernel": jnp.asarray(fitted.coef_.T), "bias": jnp.asarray(fitted.intercept_)}}
    fresh = jax.eval_shape(task.init, jax.random.key(0))
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, fresh)
    loss, metrics = task.loss(params, task.data, None)
    np.testing.assert_allclose(loss, log_loss(y, fitted.predict_proba(x)), rtol=1e-4)
    np.testing.assert_allclose(metrics["accuracy"], fitted.score(x, y), rtol=1e-6)


def test_features_are_what_the_base_makes_of_each_image(subject):
    rows = subject.pool["x"][:3]
    expected = subject.base(subject.weights, rows.reshape(15, 8, 8)).reshape(3, 5, -1)
    np.testing.assert_allclose(subject.featured[0]["features"][:3], expected, rtol=1e-5, atol=1e-6)


def test_every_way_but_scratch_begins_with_the_base_and_only_some_leave_it(subject):
    for name in arms.METHODS:
        task = arm(subject, name).task
        params = task.initial(jax.random.key(3))
        if name == "linear probe":
            assert "base" not in params
            continue
        base = params["base"]["base"] if name == "LoRA" else params["base"]
        same = jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), base, subject.weights))
        assert same == (name != "scratch")
        assert (task.frozen is not None) == (name in ("frozen base", "LoRA"))


def test_a_frozen_base_has_no_backward_operation_and_no_state(subject):
    costs = {name: Step(arm(subject, name)).cost() for name in ("scratch", "linear probe", "frozen base", "LoRA")}
    base = sum(leaf.size for leaf in jax.tree.leaves(subject.weights))
    frozen, scratch = costs["frozen base"], costs["scratch"]
    assert (frozen.backward, costs["linear probe"].backward, costs["linear probe"].forward) == (0, 0, 0)
    assert frozen.forward > 0
    assert scratch.backward > 0
    assert costs["LoRA"].backward > 0
    assert scratch.trained - frozen.trained == base
    assert scratch.state - frozen.state == 2 * 4 * base  # Adam's two moments
    assert scratch.parameters == frozen.parameters


def test_methods_share_programs_where_they_can(subject):
    scratch, full = arm(subject, "scratch"), arm(subject, "full fine-tuning")
    assert scratch.task.loss is full.task.loss
    assert scratch.build is full.build
    assert arm(subject, "gradual unfreezing").build == arm(subject, "gradual unfreezing").build


def test_rows_have_an_image_of_each_class():
    images, labels = np.arange(7), np.array([2, 0, 1, 2, 0, 1, 1])
    rows = in_rows(images, labels, 3)
    assert rows["y"].tolist() == [[0, 1, 2]] * 2
    assert (labels[rows["x"]] == rows["y"]).all()
    with pytest.raises(ValueError, match=r"no example of \[3\]: accepted are images of all 4 classes"):
        in_rows(images, labels, 4)


def test_a_base_is_read_from_a_file_and_one_of_another_network_is_refused(folder, tmp_path):
    again, story = digits(file=folder / clothes.FILE).subject(tmp_path, 0, 30)
    assert not list(tmp_path.iterdir())
    assert story.text == [f"The base is that of {clothes.FILE}."]
    assert jax.tree.leaves(again.weights)
    with pytest.raises(ValueError, match=r"base = .*base\.safetensors.*do not fit"):
        dataclasses.replace(digits(), channels=(4, 9), file=folder / clothes.FILE)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        digits(file=Path("nowhere.safetensors"))


def test_halved_images_are_means_of_four():
    image = np.array([[[0, 2, 10, 10], [4, 6, 10, 10]]], np.uint8)
    assert clothes.halved(image).tolist() == [[[3, 10]]]


def test_a_plan_has_scratch_and_an_order_whatever_was_asked_for(tmp_path):
    config = with_changes(budgets=(8, 2, 8), methods=("LoRA", "linear probe"), out=tmp_path / "out")
    plan = experiment.plan_of(config, digits)
    assert plan.budgets == (2, 8)
    assert plan.methods == ("scratch", "linear probe", "LoRA")


def test_validation_alone_chooses_the_way_that_is_told():
    def one(name, validation, test):
        tuning = {"values": [0.1, 1.0], "chosen": 1.0, "validation": [[0.1, 0.1], validation]}
        return {"name": name, "tuning": tuning, "report": {"test": test}}

    entries = [one("scratch", [1.0, 1.0], [1.0]), one("LoRA", [0.8, 0.9], [0.1]), one("L2-SP", [0.9, None], [0.9])]
    study: Any = {"arms": entries}
    costs: Any = {"scratch": None, "LoRA": None, "L2-SP": None}
    page: Any = Page(cast("Any", None), cast("Any", None), 20, {8: study}, costs)
    assert page.chosen(8) == "LoRA"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ("linear prob",)}, "methods = 'linear prob': unknown"),
        ({"budgets": ()}, r"budgets = \(\): accepted is at least one"),
        ({"budgets": (0,)}, "budgets = 0"),
        ({"budgets": (2, 500)}, r"budgets = \(2, 500\) and validation = 20: accepted are \d+ labels"),
        ({"steps": 9}, "steps = 9"),
        ({"seeds": 1}, "seeds = 1"),
        ({"selection_seeds": 0}, "selection_seeds = 0"),
        ({"validation": 0}, "validation = 0"),
        ({"rounds": 3}, "rounds = 3"),
        ({"seed": -1}, "seed = -1"),
        ({"out": Path("/proc/nothing/here")}, "cannot be written"),
    ],
)
def test_bad_input_is_refused_before_anything_is_compiled_or_written(changes, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((TypeError, ValueError), match=message):
        experiment.plan_of(with_changes(**changes), digits)
    assert not list(tmp_path.iterdir())


def test_a_first_training_without_steps_is_refused():
    with pytest.raises(ValueError, match="base_steps = 0"):
        digits(steps=0)
