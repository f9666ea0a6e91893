"""A population that was killed goes on with the same bits."""

import types
from dataclasses import replace

import jax
import numpy as np
import pytest

from jaxlab import tasks
from jaxlab.optimizers import Recipe
from jaxlab.sweep import population as engine
from jaxlab.sweep import run_population, saving, seed_keys
from jaxlab.sweep.crew import Crew
from jaxlab.sweep.devices import member_mesh
from jaxlab.train import beside

ARGUMENTS = {"steps": 40, "eval_every": 10, "test": True}
RECIPE = Recipe("adam")
RATES = np.append(np.geomspace(1e-3, 0.1, 7), 1e9)


@pytest.fixture(scope="module", autouse=True)
def two_devices():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "member_mesh", lambda members: member_mesh(min(members, 2)))
        patch.setattr(saving, "SECONDS", 0.0)
        yield


class Halving:
    """A hook with a memory: ends the worse half of those it has seen alive, the second time it is asked."""

    def __init__(self):
        self.asked = 0

    def __call__(self, step, validation):
        self.asked += 1
        scores = np.nan_to_num(validation["mse"], nan=np.inf)
        return (scores >= np.sort(scores)[3]) & (self.asked == 2)


def trained(task="line", recipe=RECIPE, **change):
    arguments = ARGUMENTS | {"hyperparams": {"learning_rate": RATES}, "stop": Halving()} | change
    return run_population(task, recipe.build, keys=seed_keys(range(8)), **arguments)


@pytest.fixture(scope="module")
def whole():
    return trained()


def killed_at(mark, error):
    def progress(done, steps):
        if done == mark:
            raise error

    return progress


def assert_same_bits(found, wanted):
    def of(history):
        keys = jax.random.key_data(history.states.key)
        results = history.train_loss, history.validation, history.test, history.skipped, history.ended
        return results, history.states._replace(key=keys)

    jax.tree.map(np.testing.assert_array_equal, of(found), of(wanted))


@pytest.mark.parametrize("mark", [10, 20, 30, 40])
def test_killed_after_an_evaluation_it_goes_on_with_the_same_bits(whole, tmp_path, mark):
    """After the second, half have ended and places have halved."""
    folder, told = tmp_path / "way", []
    with pytest.raises(OSError, match="killed"):
        trained(checkpoint=folder, progress=killed_at(mark, OSError("killed")))
    found = trained(checkpoint=folder, progress=lambda done, steps: told.append(done))
    assert told == [done for done in (10, 20, 30, 40) if done > mark]
    assert_same_bits(found, whole)
    assert not folder.exists()


def test_interrupted_it_goes_on_from_what_was_written_last(whole, tmp_path, monkeypatch):
    """Written after 10 steps; 20 came too soon after that, and states are not fetched for nothing."""
    fetched, fetch = [], Crew.fetch

    def told(done, steps):
        monkeypatch.setattr(saving, "SECONDS", 1e9)
        monkeypatch.setattr(Crew, "fetch", lambda crew: fetched.append(done) or fetch(crew))
        killed_at(20, KeyboardInterrupt())(done, steps)

    with pytest.raises(KeyboardInterrupt):
        trained(checkpoint=tmp_path, progress=told, stop=None)
    assert fetched == []
    steps = []
    trained(checkpoint=tmp_path, progress=lambda done, total: steps.append(done), stop=None)
    assert steps == [20, 30, 40]


def test_groups_go_on_as_well(whole, tmp_path):
    limit = whole.memory_bytes - 1
    with pytest.raises(KeyboardInterrupt):
        trained(checkpoint=tmp_path, memory=limit, progress=killed_at(10, KeyboardInterrupt()))
    found = trained(checkpoint=tmp_path, memory=limit)
    assert found.groups == 2
    assert_same_bits(found, trained(memory=limit))


@pytest.mark.parametrize("part", ["start", "frozen"])
def test_with_a_warm_start_or_a_frozen_base_it_goes_on_as_well(tmp_path, part):
    base = {"dense_0": {"kernel": np.full((1, 1), 0.5, np.float32)}}
    task = replace(tasks.get("line"), **{part: base})
    with pytest.raises(KeyboardInterrupt):
        trained(task, checkpoint=tmp_path, progress=killed_at(20, KeyboardInterrupt()))
    with pytest.raises(ValueError, match=f"of {part} = '.*': accepted is None"):
        trained(checkpoint=tmp_path)
    assert_same_bits(trained(task, checkpoint=tmp_path), trained(task))


@pytest.fixture(scope="module")
def interrupted(whole, tmp_path_factory):
    folder = tmp_path_factory.mktemp("way")
    with pytest.raises(KeyboardInterrupt):
        trained(checkpoint=folder, progress=killed_at(10, KeyboardInterrupt()))
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 50}, r"another population, of steps = 40: accepted is 50"),
        ({"batch_size": 16}, "of batch_size = 32: accepted is 16"),
        ({"hyperparams": {"learning_rate": 0.1}}, "of hyperparams = "),
        ({"recipe": Recipe("sgd")}, "of recipe = .*'adam'.*: accepted is .*'sgd'"),
        ({"recipe": Recipe("adam", static={"state_dtype": "bfloat16"})}, "of recipe = .*: accepted is .*bfloat16"),
        (
            {"task": replace(tasks.get("line"), validation_fraction=0.3)},
            "of validation_fraction = 0.2: accepted is 0.3",
        ),
    ],
)
def test_another_population_is_refused(interrupted, change, message):
    with pytest.raises(ValueError, match=message):
        trained(checkpoint=interrupted, **change)


def test_recipes_beside_hyperparameters_of_the_loss_are_told_apart():
    loss = types.SimpleNamespace(names=("rotation", "mixup"), given=lambda hyperparams: None)
    names = [saving.name_of(beside(Recipe(name).build, loss)) for name in ("adam", "sgd")]
    assert [("adam" in name, "sgd" in name) for name in names] == [(True, False), (False, True)]
    assert names[0].endswith(" beside rotation, mixup")


def test_without_a_checkpoint_nobody_asks_for_its_identity(monkeypatch):
    monkeypatch.setattr(engine, "fingerprint", lambda arrays: pytest.fail("asked"))
    trained()


def test_what_else_is_in_the_folder_stays(whole, tmp_path):
    (tmp_path / "mine").write_text("mine")
    assert_same_bits(trained(checkpoint=tmp_path), whole)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "population").write_text("")
    with pytest.raises(ValueError, match="is a file"):
        trained(checkpoint=tmp_path)
