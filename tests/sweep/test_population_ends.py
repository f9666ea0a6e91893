"""Members that end leave room, and those who go on do not notice."""

import jax
import numpy as np
import pytest

from jaxlab.optimizers import Recipe
from jaxlab.sweep import population as engine
from jaxlab.sweep import run_population, seed_keys
from jaxlab.sweep.devices import member_mesh

RATES = np.geomspace(1e-3, 0.1, 8)
ARGUMENTS = {"steps": 50, "eval_every": 10, "test": True}


@pytest.fixture(scope="module", autouse=True)
def two_devices():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "member_mesh", lambda members: member_mesh(min(members, 2)))
        yield


def trained(rates=RATES, **change):
    build = Recipe("sgd").build
    return run_population("line", build, {"learning_rate": rates}, seed_keys(range(8)), **(ARGUMENTS | change))


@pytest.fixture(scope="module")
def whole():
    return trained()


def at_marks(ends):
    """A hook that ends members at the marks that ``ends`` names."""
    return lambda step, validation: np.isin(np.arange(8), ends.get(step, []))


@pytest.fixture(scope="module")
def halved(whole):
    """Three end, then two, then one; then one more, and of eight places two are left, one a device."""
    return trained(stop=at_marks({10: [0, 3, 4], 20: [1, 7], 30: [2], 40: [5]}))


def test_those_who_go_on_do_not_notice(whole, halved):
    assert halved.ended.tolist() == [10, 20, 30, 10, 10, 40, 50, 20]
    for member, ended in enumerate(halved.ended):
        seen = ended // 10
        for found, wanted in (
            (halved.train_loss, whole.train_loss),
            (halved.validation["mse"], whole.validation["mse"]),
        ):
            np.testing.assert_allclose(found[member, :seen], wanted[member, :seen], rtol=1e-4)
            assert np.isnan(found[member, seen:]).all()
    np.testing.assert_allclose(halved.test["mse"][6], whole.test["mse"][6], rtol=1e-4)
    assert np.isnan(halved.test["mse"]).tolist() == [member != 6 for member in range(8)]


def test_the_ended_keep_the_states_in_which_they_ended(halved):
    for steps in (10, 40):
        shorter = trained(steps=steps, eval_every=steps, test=False)
        for member in np.flatnonzero(halved.ended == steps):
            jax.tree.map(
                lambda a, b, member=member: np.testing.assert_allclose(a[member], b[member], rtol=1e-4),
                halved.states.params,
                shorter.states.params,
            )


def test_places_halve_and_no_other_size_is_compiled(halved):
    """Four places a device, then two, then one: training and validation twice more, the test in the last size."""
    assert 0 < halved.compilations <= 5
    again = trained(stop=at_marks({20: [0, 1, 2, 3, 4], 30: [5, 6]}))
    assert again.compilations == 0
    assert again.ended.tolist() == [20] * 5 + [30] * 2 + [50]


def test_spare_places_are_no_reason_to_compile(whole):
    """Three members in eight places: when one ends the others stay, when two have ended places halve to those known."""
    arguments = {"capacity": 8, "stop": lambda step, validation: np.arange(3) == step // 10 - 1}
    build, keys = Recipe("sgd").build, seed_keys(range(3))
    found = run_population("line", build, {"learning_rate": RATES[:3]}, keys, **(ARGUMENTS | arguments | {"steps": 20}))
    assert found.compilations == 0
    assert found.ended.tolist() == [10, 20, 20]
    np.testing.assert_allclose(found.test["mse"][1:], trained(steps=20).test["mse"][1:3], rtol=1e-4)


def test_the_diverged_are_lost_for_good(whole):
    """Five diverge at once; places halve once."""
    rates = np.where(np.arange(8) % 3 == 0, RATES, 1e9)
    found = trained(rates)
    assert found.ended.tolist() == [50, 10, 10, 50, 10, 10, 50, 10]
    assert np.isnan(found.validation["mse"]).all(axis=1).tolist() == [member % 3 != 0 for member in range(8)]
    np.testing.assert_allclose(found.validation["mse"][::3], whole.validation["mse"][::3], rtol=1e-4)
    assert found.skipped[1] == found.skipped.max() <= 10


def test_when_all_have_ended_training_ends():
    told = []
    found = trained(np.full(8, 1e9), progress=lambda done, steps: told.append((done, steps)))
    assert told == [(10, 50), (50, 50)]
    assert found.steps.tolist() == [10, 20, 30, 40, 50]
    assert found.validation["mse"].shape == (8, 5)
    assert np.isnan(found.validation["mse"]).all()
    assert np.isnan(found.test["mse"]).all()
    assert np.isnan(found.train_loss[:, 1:]).all()
    assert set(found.ended) == {10}


def test_the_last_evaluation_ends_nobody():
    asked = []
    found = trained(stop=lambda step, validation: asked.append(step) or np.zeros(8, bool))
    assert asked == [10, 20, 30, 40]
    assert set(found.ended) == {50}


def test_a_hook_must_answer_for_every_member():
    with pytest.raises(TypeError, match=r"stop returned bool of shape \(3,\) at step 10: accepted is bool of shape"):
        trained(stop=lambda step, validation: np.zeros(3, bool))
