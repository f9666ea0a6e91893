"""Tasks that train too long for a test: a run is stored, of today's recipe, and it reached the target."""

import json
import pathlib

import numpy as np
import pytest

from jaxlab import tasks
from jaxlab.tasks import fashion_mnist_cnn

RESULTS = pathlib.Path(__file__).parents[2] / "benchmarks" / "results" / "cpu-2-cores"


@pytest.fixture
def any_clothes(monkeypatch):
    """The recipe is asked for, not the images."""
    few = {"x": np.zeros((4, 28, 28), np.uint8), "y": np.zeros(4, np.int32)}
    monkeypatch.setattr(fashion_mnist_cnn, "fashion_mnist", lambda: (few, few))


@pytest.mark.usefixtures("any_clothes")
@pytest.mark.parametrize("name", ["bytes_gpt", "fashion_mnist_cnn"])
def test_the_stored_run_is_of_todays_recipe_and_reaches_the_target(name):
    results, task = json.loads((RESULTS / f"train-{name}.json").read_text()), tasks.get(name)
    (arm,) = results["arms"]
    assert results["task"]["name"] == name
    assert results["command"] == f"python -m experiments.train --task {name}"
    assert (results["config"]["steps"], results["config"]["batch_size"]) == (task.steps, task.batch_size)
    assert task.default_hyperparams().items() <= arm["hyperparams"].items()
    assert (arm["optimizer"], arm["schedule"]) == (task.recipe.optimizer, task.recipe.schedule)
    sign = 1 if task.higher_is_better else -1
    assert task.target == results["task"]["target"]
    assert sign * arm["report"]["mean"] >= sign * task.target
