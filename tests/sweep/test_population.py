"""A population is its members, trained together."""

import dataclasses
import gc
import weakref
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab import tasks
from jaxlab.optimizers import Recipe
from jaxlab.precision import Policy
from jaxlab.sweep import beginning, program, run_population, seed_keys
from jaxlab.sweep import population as engine
from jaxlab.sweep.devices import member_mesh
from jaxlab.sweep.members import members_of
from jaxlab.sweep.placed import bytes_there, placed
from jaxlab.sweep.tuning import best_row
from jaxlab.tasks.classification import Classifier
from jaxlab.train import data as examples_of
from jaxlab.train import evaluate, init_run, make_run
from jaxlab.train.run import run_keys, validation_indices
from jaxlab.train.stopwatch import Stopwatch

RECIPE = Recipe("adam", "cosine")
RATES = np.array([0.003, 0.1, 0.03])
SEEDS = [0, 1, 0]


@pytest.fixture(scope="module", autouse=True)
def two_devices():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "member_mesh", lambda members: member_mesh(min(members, 2)))
        yield


@pytest.fixture(scope="module")
def line():
    return tasks.get("line")


@pytest.fixture(scope="module")
def together(line):
    """Three members in four places."""
    return trained(line, RATES, SEEDS)


def trained(line, rates, seeds):
    hyperparams = {"learning_rate": rates, "total_steps": 40}
    arguments = {"steps": 40, "eval_every": 20, "test": True, "capacity": 4}
    return run_population(line, RECIPE.build, hyperparams, seed_keys(seeds), **arguments)


def beginning_of(task, build):
    return jax.jit(lambda numbers, key: init_run(task.init, build, numbers, key=key))


def validation_of(task):
    pool = examples_of.count(task.data)
    training, _ = examples_of.split_sizes(pool, task.validation_fraction)

    def validate(state):
        held_out = validation_indices(state.key, pool=pool, training=training)
        return evaluate(task.loss, state.params, task.data, held_out)

    return jax.jit(validate)


def test_members_are_what_they_are_alone(line, together):
    run = make_run(line.loss, RECIPE.build, batch_size=line.batch_size, steps=20, validation_fraction=0.2)
    begin, validate = beginning_of(line, RECIPE.build), validation_of(line)
    score = jax.jit(lambda state: evaluate(line.loss, state.params, line.test))
    for member, (rate, seed) in enumerate(zip(RATES, SEEDS, strict=True)):
        state = begin({"learning_rate": rate, "total_steps": 40}, jax.random.key(seed))
        for stretch in range(2):
            state, metrics = run(state, line.data)
            validation, mean = validate(state)["mse"], np.mean(metrics["loss"])
            np.testing.assert_allclose(together.validation["mse"][member, stretch], validation, rtol=1e-4)
            np.testing.assert_allclose(together.train_loss[member, stretch], mean, rtol=1e-4)
        np.testing.assert_allclose(together.test["mse"][member], score(state)["mse"], rtol=1e-4)
    assert together.steps.tolist() == [20, 40]


def test_spare_places_change_nothing_and_share_the_program(line, together):
    found = trained(line, RATES[:2], [0, 1])
    assert found.compilations == 0
    assert found.validation["mse"].shape == (2, 2)
    np.testing.assert_allclose(found.validation["mse"], together.validation["mse"][:2], rtol=1e-4)


def test_seeds_are_shared_between_arms_and_splits_do_not_leak(line):
    """Equal keys: equal parameters at the start, split and batches, whatever the optimizer."""
    numbers, pool, training = {"learning_rate": 0.1}, 50, 40
    starts = [beginning_of(line, Recipe(name).build)(numbers, jax.random.key(3)) for name in ("sgd", "adam")]
    jax.tree.map(np.testing.assert_array_equal, starts[0].params, starts[1].params)
    np.testing.assert_array_equal(*(jax.random.key_data(state.key) for state in starts))

    @jax.jit
    def drawn(key):
        batch = lambda step: examples_of.batch_indices(key, step, examples=training, batch_size=8)  # noqa: E731
        shown = jax.vmap(batch)(jnp.arange(5)).reshape(-1)
        held_out = validation_indices(key, pool=pool, training=training)
        return held_out, examples_of.split_indices(key, shown, pool=pool)

    held_out, trained_on = (set(np.asarray(indices).tolist()) for indices in drawn(starts[0].key))
    assert len(held_out) == 10
    assert len(trained_on) == 40
    assert not held_out & trained_on


def test_parameters_begin_with_the_same_bits_however_many_keys(monkeypatch):
    """Ten keys, one of them twice, four at a time; then three more keys in the same executable."""
    monkeypatch.setattr(beginning, "KEYS", 4)
    init = lambda key: {"w": jax.random.normal(key, (3, 2)), "b": jnp.zeros(2)}  # noqa: E731
    clock, keys = Stopwatch(), seed_keys([5, *range(9)])
    found = beginning.initial(beginning.Begin(init, None, None), {}, keys, clock)
    for member, key in enumerate(keys):
        params, run_key = run_keys(key)
        np.testing.assert_array_equal(found.params["w"][member], init(params)["w"])
        np.testing.assert_array_equal(*map(jax.random.key_data, (found.keys[member], run_key)))
    assert clock.compilations == 1
    beginning.initial(beginning.Begin(init, None, None), {}, keys[:3], clock)
    assert clock.compilations == 1


def test_each_point_is_checked_once_the_first_that_is_wrong_named():
    checked = []
    build = lambda numbers: checked.append(float(numbers["learning_rate"]))  # noqa: E731
    members, points = members_of(
        {"learning_rate": np.repeat([0.3, 0.1], 500), "b1": 0.9}, seed_keys(range(1000)), build
    )
    assert checked == [0.3, 0.1]
    assert (members, points["b1"].shape) == (1000, (1000,))
    with pytest.raises(ValueError, match=r"learning_rate = -2\.0"):
        members_of({"learning_rate": np.array([0.1, -2.0, -3.0])}, seed_keys(range(3)), Recipe("sgd").build)


def test_data_are_put_once_and_go_with_their_task(line):
    task, mesh = dataclasses.replace(line), member_mesh(2)
    assert bytes_there(task, mesh) == 0
    shared = placed(task, mesh)
    assert placed(task, member_mesh(2)) is shared
    assert bytes_there(task, mesh) == 800 * 2 * 4
    assert bytes_there(task, member_mesh(1)) == 0
    gone = weakref.ref(shared.data["x"])
    del task, shared
    gc.collect()
    assert gone() is None


def test_a_diverging_member_disturbs_no_other(line):
    found = run_population(
        line,
        Recipe("sgd").build,
        {"learning_rate": np.array([0.1, 1e9, 0.1])},
        seed_keys([0, 0, 0]),
        steps=30,
        capacity=4,
    )
    validation = found.validation["mse"][:, -1]
    assert np.isnan(validation[1])
    assert validation[0] == validation[2] < 0.05
    assert found.skipped[1] > 0 == found.skipped[0]


@pytest.fixture(scope="module")
def blobs():
    """Three clouds of points and two layers."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 600).astype(np.int32)
    points = (np.array([[0, 2], [2, -1], [-2, -1]])[labels] + rng.normal(size=(600, 2))).astype(np.float32)

    def init(key):
        first, second = jax.random.split(key)
        return {"first": 0.5 * jax.random.normal(first, (2, 8)), "second": 0.5 * jax.random.normal(second, (8, 3))}

    every = {"x": jnp.asarray(points), "y": jnp.asarray(labels)}
    return tasks.Task(
        data=jax.tree.map(lambda leaf: leaf[:500], every),
        test=jax.tree.map(lambda leaf: leaf[500:], every),
        name="blobs",
        init=init,
        loss=Classifier(lambda params, x, key: jax.nn.relu(x @ params["first"]) @ params["second"]),
    )


def classified(blobs, rates, seeds, **change):
    hyperparams = {"learning_rate": np.array(rates)}
    return run_population(blobs, Recipe("sgd").build, hyperparams, seed_keys(seeds), steps=50, capacity=8, **change)


def test_the_same_recipe_is_chosen_as_among_runs_alone(blobs):
    """50 steps, rates from too low to far too high. Together and alone, sums are rounded in another order."""
    rates, seeds, build = [1e-4, 1e-2, 0.3, 30.0], [0, 1], Recipe("sgd").build
    found = classified(blobs, np.repeat(rates, 2), seeds * 4)
    together = {name: values[:, -1].reshape(4, 2) for name, values in found.validation.items()}
    run = make_run(blobs.loss, build, batch_size=blobs.batch_size, steps=50, validation_fraction=0.2)
    begin, validate = beginning_of(blobs, build), validation_of(blobs)
    scores = [
        validate(run(begin({"learning_rate": rate}, jax.random.key(seed)), blobs.data)[0])
        for rate in rates
        for seed in seeds
    ]
    alone = jax.tree.map(lambda *x: np.array(x).reshape(4, 2), *scores)
    np.testing.assert_allclose(together["loss"][:3], alone["loss"][:3], rtol=2e-3)
    np.testing.assert_allclose(together["accuracy"][:3], alone["accuracy"][:3], atol=0.02)
    assert np.isnan(together["loss"][3]).all()
    assert not np.isfinite(alone["loss"][3]).any()
    chosen = [best_row(scores["accuracy"], higher_is_better=True) for scores in (together, alone)]
    assert chosen == [2, 2]


def test_a_classifier_that_broke_down_has_no_accuracy(blobs):
    """Skipped steps keep its parameters finite, and NaN logits have an argmax: neither may pass for a result."""
    found = classified(blobs, [0.1, 1e25], [0, 0], test=True)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found.states.params))
    for accuracy in (found.validation["accuracy"][:, -1], found.test["accuracy"]):
        assert accuracy[0] > 0.5
        assert np.isnan(accuracy[1])


def test_the_policy_reaches_the_members_parameters(line):
    policy = Policy(param="bfloat16")
    found = run_population(line, Recipe("sgd").build, {"learning_rate": 0.1}, seed_keys([0]), steps=2, policy=policy)
    assert {leaf.dtype for leaf in jax.tree.leaves(found.states.params)} == {jnp.dtype("bfloat16")}


class Cached(NamedTuple):
    factor: jax.Array


def refreshed_every_tenth_step(hyperparams):
    """Work of every tenth step behind a condition on the clock."""

    def init(params):
        return Cached(jnp.ones(()))

    def update(updates, state, params=None, *, step, **extra):
        expensive = lambda x: jnp.linalg.norm(jnp.outer(jnp.full(8, x), jnp.ones(8)) @ jnp.ones((8, 8)))  # noqa: E731
        factor = jax.lax.cond(step % 10 == 0, expensive, lambda x: x, state.factor)
        rate = hyperparams["learning_rate"]
        return jax.tree.map(lambda u: -rate * u / factor, updates), Cached(factor)

    return optax.GradientTransformationExtraArgs(init, update)


BRANCH = " conditional("


@pytest.mark.parametrize("width", [None, 2])
def test_a_condition_on_the_clock_stays_a_branch(line, width):
    """A transform that works every tenth step is a branch in the program, not both branches, in every layout."""
    pieces = program.Program(
        loss=line.loss,
        build=refreshed_every_tenth_step,
        mesh=member_mesh(1),
        width=width,
        batch_size=8,
        training=100,
        options=(),
    )
    shapes = beginning.outline(
        beginning.Begin(line.init, None, None), {"learning_rate": np.ones(4, np.float32)}, seed_keys([0] * 4)
    )
    _, states = program.shapes(pieces, 4, shapes)
    assert BRANCH in pieces.advance().lower(states, program.Shared(line.data, None), np.int32(1)).compile().as_text()


def test_a_condition_on_a_clock_of_each_member_would_not():
    def update(step, factor, grads):
        tx = refreshed_every_tenth_step({"learning_rate": 1.0})
        return tx.update(grads, Cached(factor), step=step)

    def text(clock):
        together = jax.jit(jax.vmap(update, in_axes=(clock, 0, 0)))
        steps = jnp.zeros(4 if clock == 0 else (), jnp.int32)
        return together.lower(steps, jnp.ones(4), jnp.ones((4, 3))).compile().as_text()

    assert BRANCH in text(None)
    assert BRANCH not in text(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps = 0: accepted is a whole number of at least 1"),
        ({"eval_every": 0}, "eval_every = 0"),
        ({"layout": "vmpa"}, "did you mean 'vmap'"),
        ({"layout": 0}, "layout = 0: accepted is a whole number of at least 1"),
        ({"memory": 0}, "memory = 0: accepted is a whole number of at least 1"),
        (
            {"hyperparams": {"learning_rate": np.ones(3)}},
            r"learning_rate has shape \(3,\): accepted is one number, or \(2,\)",
        ),
        (
            {"hyperparams": {"learning_rate": np.array([0.1, -1.0])}},
            r"learning_rate = -1.0: accepted is a number in \[0, inf\)",
        ),
        ({"hyperparams": {"learning_rat": 0.1}}, "did you mean 'learning_rate'"),
        ({"keys": jax.random.key(0)}, "accepted are typed keys with one axis"),
        ({"task": "lien"}, "did you mean 'line'"),
        ({"has_state": True}, "has_state = True: accepted is False"),
        ({"accumulate": 5}, "accumulate = 5: accepted is a divisor of the batch size, 32"),
    ],
)
def test_bad_input_is_refused_before_anything_is_compiled(line, change, message, monkeypatch):
    monkeypatch.setattr(engine.Stopwatch, "compile", lambda *arguments: pytest.fail("compiled"))
    arguments = {
        "task": line,
        "build": Recipe("sgd").build,
        "hyperparams": {"learning_rate": 0.1},
        "keys": seed_keys([0, 1]),
    }
    with pytest.raises((TypeError, ValueError), match=message):
        run_population(**(arguments | change))
