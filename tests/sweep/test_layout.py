"""Layouts differ in speed alone, and a trial finds the fastest."""

import numpy as np
import pytest

from jaxlab.optimizers import Recipe
from jaxlab.sweep import layout as layouts
from jaxlab.sweep import population as engine
from jaxlab.sweep import run_population, seed_keys
from jaxlab.sweep.devices import member_mesh

RATES, SEEDS = np.geomspace(1e-3, 0.3, 6), [0, 1, 2, 0, 1, 2]
ARGUMENTS = {"steps": 40, "eval_every": 20, "test": True}


@pytest.fixture(autouse=True)
def one_device(monkeypatch):
    monkeypatch.setattr(engine, "member_mesh", lambda members: member_mesh(1))
    monkeypatch.setattr(layouts, "tried", {})


def trained(layout, optimizer="adam"):
    build = Recipe(optimizer).build
    return run_population("line", build, {"learning_rate": RATES}, seed_keys(SEEDS), layout=layout, **ARGUMENTS)


@pytest.fixture(scope="module")
def together():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "member_mesh", lambda members: member_mesh(1))
        return trained("vmap")


@pytest.mark.parametrize("layout", ["map", 4])
def test_layouts_are_the_same_up_to_rounding(together, layout):
    """Four at a time leaves two over: they are trained, too."""
    found = trained(layout)
    assert found.layout == layout
    assert found.trial is None
    for name in ("validation", "test"):
        np.testing.assert_allclose(getattr(found, name)["mse"], getattr(together, name)["mse"], rtol=1e-4)
    np.testing.assert_allclose(found.train_loss, together.train_loss, rtol=1e-4)
    assert int(found.states.step) == 40


def test_the_trial_is_remembered_and_changes_nothing(together, monkeypatch):
    """The fastest wins; another optimizer on the same task has its layout from it, and no trial."""
    monkeypatch.setattr(layouts, "SHORT", 0.005)
    found = trained("auto")
    assert set(found.trial) == {"vmap", "map"}
    assert found.layout == min(found.trial, key=found.trial.get)
    np.testing.assert_allclose(found.validation["mse"], together.validation["mse"], rtol=1e-4)
    monkeypatch.setattr(layouts, "seconds_per_step", lambda stretch: pytest.fail("tried again"))
    again = trained("auto", "sgd")
    assert (again.layout, again.trial) == (found.layout, found.trial)


def test_a_trial_times_stretches(monkeypatch):
    """The first step warms up, the next is disturbed; then stretches of a tenth of a second, by their median."""
    clock, taken, slower = [0.0], [], iter([50, 5, 1, 2, 1, 1, 9])
    monkeypatch.setattr(layouts, "perf_counter", lambda: clock[0])

    def stretch(steps):
        taken.append(steps)
        clock[0] += 0.002 * steps * next(slower)

    assert layouts.seconds_per_step(stretch) == pytest.approx(0.002)
    assert taken == [1, 1, 1, 1, 50, 50, 50]


def test_tasks_that_are_large_are_timed_once(monkeypatch):
    monkeypatch.setattr(layouts, "SHORT", 0.0)
    taken = []
    layouts.seconds_per_step(taken.append)
    assert taken == [1, 1]


def test_one_member_a_device_needs_no_trial(monkeypatch):
    monkeypatch.setattr(layouts, "seconds_per_step", lambda stretch: pytest.fail("tried"))
    found = run_population("line", Recipe("adam").build, {"learning_rate": 0.1}, seed_keys([0]), steps=2, layout="auto")
    assert (found.layout, found.trial) == ("map", None)


def test_the_width_between_needs_enough_members():
    assert [layouts.FEW in layouts.candidates(places) for places in (1, 15, 16, 32)] == [False, False, True, True]
