"""The fair protocol: what it trains, that it goes on where it stopped, and what it refuses."""

import dataclasses
import threading

import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import tasks
from jaxlab.core.space import Uniform
from jaxlab.optimizers import Recipe
from jaxlab.sweep import Arm, Protocol, Storage, protocol_of, recipe_arm, run_arms, run_population, seed_keys
from jaxlab.sweep import arms as machine
from jaxlab.sweep.protocol import fingerprint, places_for, places_of

PROTOCOL = protocol_of(0, 2, 3, evaluations=2)
RATES = {"learning_rate": [0.003, 0.03, 0.3, 3.0]}


def arms_of(task, **changes):
    return [
        dataclasses.replace(recipe_arm(name, task, Recipe(name), RATES, steps=20, extra=2), **changes)
        for name in ("sgd", "adam")
    ]


@pytest.fixture(scope="module")
def line():
    return tasks.get("line")


@pytest.fixture(scope="module")
def outcomes(line):
    return run_arms(arms_of(line), PROTOCOL)


def same(a, b):
    for one, other in zip(a, b, strict=True):
        assert one.tuning.points == other.tuning.points
        assert one.tuning.chosen == other.tuning.chosen
        np.testing.assert_array_equal(one.tuning.validation, other.tuning.validation)
        np.testing.assert_array_equal(one.test, other.test)
        np.testing.assert_array_equal(one.validation, other.validation)
        np.testing.assert_array_equal(one.train_loss, other.train_loss)


def test_every_arm_has_the_trials_that_it_was_promised(outcomes):
    for outcome in outcomes:
        assert len(outcome.tuning.values) == 6
        assert outcome.tuning.validation.shape == (6, 2)
        assert set(RATES["learning_rate"]) < set(outcome.tuning.values)
        assert outcome.test.shape == (3,)
        assert outcome.steps == (10, 20)


def test_trials_and_reports_are_runs_of_their_seeds(line, outcomes):
    """Trained again without protocol or storage, in the programs that are there."""
    (sgd, _) = outcomes
    for some in (slice(0, 4), slice(4, 6)):
        rates = np.repeat(sgd.tuning.values[some], 2)
        keys = seed_keys([0, 1] * (len(rates) // 2))
        again = run_population(line, Recipe("sgd").build, {"learning_rate": rates}, keys, steps=20, capacity=8)
        np.testing.assert_allclose(sgd.tuning.validation[some].ravel(), again.validation["mse"][:, -1], rtol=1e-4)
    means = sgd.tuning.validation.mean(axis=1)
    assert sgd.tuning.chosen["learning_rate"] == sgd.tuning.values[np.nanargmin(means)]
    report = run_population(
        line, Recipe("sgd").build, sgd.tuning.chosen, seed_keys([5000, 5001, 5002]), steps=20, test=True, capacity=8
    )
    np.testing.assert_allclose(sgd.test, report.test["mse"], rtol=1e-4)


def test_what_stops_goes_on_and_ends_the_same(line, outcomes, tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    told = []

    def interrupt(after):
        def progress(arm, stage, steps):
            told.append((arm.name, stage))
            if len(told) == after:
                raise KeyboardInterrupt

        return progress

    for after in (4, 9):  # within the first arm's second look, then within the second arm's trials
        told.clear()
        with pytest.raises(KeyboardInterrupt):
            run_arms(arms_of(line), PROTOCOL, storage=Storage(url), progress=interrupt(after))
    assert told[0] == ("sgd", "second look")
    told.clear()
    same(run_arms(arms_of(line), PROTOCOL, storage=Storage(url), progress=interrupt(99)), outcomes)
    assert "sgd" not in dict(told)
    told.clear()
    same(run_arms(arms_of(line), PROTOCOL, storage=Storage(url), progress=interrupt(1)), outcomes)


def test_a_study_goes_on_with_the_layout_that_it_began_with(line, tmp_path, monkeypatch):
    """By timing another process might choose another, with other rounding; its checkpoints know which it was."""
    url, asked = f"sqlite:///{tmp_path / 'study.db'}", []

    def spying(*arguments, **options):
        asked.append(options["layout"])
        return run_population(*arguments, **options)

    def interrupt(arm, stage, steps):
        if arm.name == "adam":
            raise KeyboardInterrupt

    monkeypatch.setattr(machine, "run_population", spying)
    protocol = dataclasses.replace(PROTOCOL, layout="auto")
    arguments = {"checkpoints": tmp_path / "checkpoints", "storage": Storage(url)}
    with pytest.raises(KeyboardInterrupt):
        run_arms(arms_of(line, extra=0), protocol, progress=interrupt, **arguments)
    assert asked[0] == "auto"
    chosen = asked[1]
    asked.clear()
    run_arms(arms_of(line, extra=0), protocol, **arguments)
    assert set(asked) == {chosen} != {"auto"}


def test_trials_are_as_many_where_the_range_ends(line):
    """Momentum is below 1: there is nothing beyond, so the second look is between the best and its neighbour."""
    points = {"momentum": [0.9, 0.99]}
    arm = recipe_arm("momentum", line, Recipe("momentum"), points, {"learning_rate": 1e-3}, steps=20, extra=2)
    (found,) = run_arms([dataclasses.replace(arm, space={"momentum": Uniform(0.9, 0.99)})], PROTOCOL)
    assert len(found.tuning.values) == 4
    assert found.tuning.values[-1] < 1


def test_what_is_not_run_costs_nothing(line):
    arm = recipe_arm("sgd", line, Recipe("sgd"), {"learning_rate": [0.1, 1e9]}, steps=20)
    (found,) = run_arms([arm], PROTOCOL)
    assert found.tuning_cost.member_steps == 2 * 20 + 2 * 10  # the second rate was lost at the first evaluation


def test_two_at_once_share_the_work(line, outcomes, tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "POLL_SECONDS", 0.02)
    url = f"sqlite:///{tmp_path / 'study.db'}"
    Storage(url)
    trained, found = [], {}

    def counting(task, build, hyperparams, keys, **options):
        trained.append(keys.shape[0])
        return run_population(task, build, hyperparams, keys, **options)

    monkeypatch.setattr(machine, "run_population", counting)

    def work(name):
        found[name] = run_arms(arms_of(line), PROTOCOL, storage=Storage(url))

    workers = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(trained) == 2 * (6 * 2 + 3)
    same(found["a"], outcomes)
    same(found["b"], outcomes)


def test_trials_of_anything_else_are_not_its_own(line, tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    run_arms(arms_of(line)[:1], PROTOCOL, storage=Storage(url))
    with pytest.raises(ValueError, match="begun with steps = 20, here it is 30"):
        run_arms(arms_of(line, steps=30)[:1], PROTOCOL, storage=Storage(url))
    with pytest.raises(ValueError, match="begun with static = "):
        run_arms(arms_of(line, static=(("state_dtype", "bfloat16"),))[:1], PROTOCOL, storage=Storage(url))
    other = dataclasses.replace(line, validation_fraction=0.5)
    with pytest.raises(ValueError, match=r"begun with validation_fraction = 0\.2"):
        run_arms(arms_of(other)[:1], PROTOCOL, storage=Storage(url))
    moved = dataclasses.replace(line, data={**line.data, "y": line.data["y"] + 1})
    with pytest.raises(ValueError, match="begun with data = "):
        run_arms(arms_of(moved)[:1], PROTOCOL, storage=Storage(url))


def test_a_report_belongs_to_one_choice(line):
    """With the trials forgotten another choice could be reported on the same seeds: it is refused."""
    storage, (arm, _) = Storage(), arms_of(line, extra=0)
    run_arms([arm], PROTOCOL, storage=storage)
    run = machine._Run(arm, PROTOCOL, storage, "study/sgd", None, None)
    run.chosen = lambda: {"learning_rate": 0.003}
    with pytest.raises(ValueError, match=r"report was begun with chosen\.learning_rate = 0\.3, here it is 0\.003"):
        run.advance("vmap")


def test_seeds_have_one_purpose():
    with pytest.raises(ValueError, match=r"seeds \[1\] are for selection and report"):
        Protocol(selection=(0, 1), report=(1, 2))
    other = protocol_of(1, 2, 3)
    assert not {*PROTOCOL.selection, *PROTOCOL.report} & {*other.selection, *other.report}


def test_a_metric_that_is_never_a_number_is_the_tasks_fault(line):
    def loss(params, batch, key):
        value, metrics = line.loss(params, batch, key)
        return value, {**metrics, "share": jnp.nan * value}

    broken = dataclasses.replace(line, loss=loss, metric="share")
    with pytest.raises(ValueError, match="metric 'share' is finite for none of 8 members, though the loss is"):
        run_arms(arms_of(broken, extra=0)[:1], PROTOCOL)


def test_an_arm_that_diverges_everywhere_is_reported_so(line):
    arm = recipe_arm("sgd", line, Recipe("sgd"), {"learning_rate": [1e8, 1e9]}, steps=20)
    (found,) = run_arms([arm], PROTOCOL)
    assert np.isnan(found.test).all()
    assert np.isnan(found.tuning.validation).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extra": 1, "points": {"learning_rate": [0.1]}}, "extra = 1: accepted is 0, or"),
        ({"points": {"learning_rate": [0.1, -1.0]}, "extra": 0}, "learning_rate = -1"),
        ({"points": {"momentun": [0.1, 0.2]}}, "momentun"),
        ({"steps": 0}, "steps = 0"),
        ({"batch_size": 0}, "batch_size = 0"),
    ],
)
def test_bad_arms_are_refused(line, changes, message):
    with pytest.raises(ValueError, match=message):
        arms_of(line, **changes)


def test_another_loss_under_the_same_name_is_another_task(line):
    storage, (arm, _) = Storage(), arms_of(line, extra=0)
    run_arms([arm], PROTOCOL, storage=storage)

    def doubled(params, batch, key):
        value, metrics = line.loss(params, batch, key)
        return 2 * value, metrics

    with pytest.raises(ValueError, match="begun with program = "):
        run_arms([dataclasses.replace(arm, task=dataclasses.replace(line, loss=doubled))], PROTOCOL, storage=storage)


def test_fewer_report_seeds_are_the_first_of_those_that_are_there(line):
    storage, (arm, _) = Storage(), arms_of(line, extra=0)
    (three,) = run_arms([arm], PROTOCOL, storage=storage)
    (two,) = run_arms([arm], protocol_of(0, 2, 2, evaluations=2), storage=storage)
    np.testing.assert_array_equal(two.test, three.test[:2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 10}, "arm 'adam' has steps = 10: accepted is what 'sgd' has, 20"),
        ({"extra": 1}, "arm 'adam' has trials = 5: accepted is what 'sgd' has, 6"),
    ],
)
def test_what_is_compared_has_equal_terms(line, changes, message):
    (sgd, adam) = arms_of(line)
    with pytest.raises(ValueError, match=message):
        run_arms([sgd, dataclasses.replace(adam, **changes)], PROTOCOL)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"selection": ()}, r"selection = \(\): accepted is at least one seed"),
        ({"report": (7, 7)}, r"report = \(7, 7\): accepted is at least one seed, and each once"),
        ({"report": (-1,)}, "report seed = -1"),
        ({"evaluations": 0}, "evaluations = 0"),
        ({"layout": "x"}, "layout = 'x'"),
    ],
)
def test_bad_protocols_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PROTOCOL, **changes)


def test_names_differ(line):
    (arm, _) = arms_of(line)
    with pytest.raises(ValueError, match="accepted are different names"):
        run_arms([arm, arm], PROTOCOL)


def test_places(line):
    assert places_for(24, 0, 5) == (24, 5)
    assert places_for(18, 6, 5) == (18, 18)
    assert places_for(2, 0, 5) == (5, 5)
    assert places_of(arms_of(line)[0], PROTOCOL) == (8, 8)
    bare = Arm("bare", line, Recipe("sgd").build, {}, {"learning_rate": 0.1}, steps=5, batch_size=4)
    assert places_of(bare, PROTOCOL) == (3, 3)


def test_a_fingerprint_knows_values_shapes_and_types():
    x = np.arange(6.0)
    prints = {fingerprint({"x": one}) for one in (x, x.reshape(2, 3), x.astype(np.float32), x + 1)}
    assert len(prints) == 4
