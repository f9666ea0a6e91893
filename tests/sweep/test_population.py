"""A population is its members, trained together."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab import tasks
from jaxlab.optimizers import Recipe
from jaxlab.precision import Policy
from jaxlab.sweep import population as engine
from jaxlab.sweep import run_population, seed_keys
from jaxlab.sweep.devices import member_mesh
from jaxlab.sweep.program import Program, compile_pieces, outline
from jaxlab.sweep.tuning import best_row
from jaxlab.train import data as examples_of
from jaxlab.train import evaluate, init_run, make_run
from jaxlab.train.run import validation_indices
from jaxlab.train.stopwatch import Stopwatch

RECIPE = Recipe("adam", "cosine")
RATES = np.array([0.003, 0.1, 0.03])
SEEDS = [0, 1, 0]


@pytest.fixture(scope="module")
def line():
    return tasks.get("line")


@pytest.fixture(scope="module")
def together(line):
    hyperparams = {"learning_rate": RATES, "total_steps": 40}
    return run_population(line, RECIPE.build, hyperparams, seed_keys(SEEDS), steps=40, eval_every=20, test=True)


def test_members_are_what_they_are_alone(line, together):
    pool = examples_of.count(line.data)
    training, _ = examples_of.split_sizes(pool, line.validation_fraction)
    run = make_run(line.loss, RECIPE.build, batch_size=line.batch_size, steps=20, validation_fraction=0.2)
    for member, (rate, seed) in enumerate(zip(RATES, SEEDS, strict=True)):
        numbers = {"learning_rate": rate, "total_steps": 40}
        state = init_run(line.init, RECIPE.build, numbers, key=jax.random.key(seed))
        for stretch in range(2):
            state, metrics = run(state, line.data)
            held_out = validation_indices(state.key, pool=pool, training=training)
            validation = evaluate(line.loss, state.params, line.data, held_out)
            np.testing.assert_allclose(together.validation["mse"][member, stretch], validation["mse"], rtol=1e-4)
            np.testing.assert_allclose(together.train_loss[member, stretch], metrics["loss"].mean(), rtol=1e-4)
        np.testing.assert_allclose(
            together.test["mse"][member], evaluate(line.loss, state.params, line.test)["mse"], rtol=1e-4
        )
    assert together.steps.tolist() == [20, 40]


def test_spare_places_change_nothing_and_share_the_program(line, together):
    hyperparams = {"learning_rate": RATES[:2], "total_steps": 40}
    arguments = {"steps": 40, "eval_every": 20, "test": True}
    run_population(line, RECIPE.build, hyperparams, seed_keys([0, 1]), capacity=6, **arguments)
    again = run_population(line, RECIPE.build, hyperparams, seed_keys([0, 1]), capacity=6, **arguments)
    assert again.compilations == 0
    assert again.validation["mse"].shape == (2, 2)
    np.testing.assert_allclose(again.validation["mse"], together.validation["mse"][:2], rtol=1e-4)


def test_seeds_are_shared_between_arms_and_splits_do_not_leak(line):
    """Equal keys: equal parameters at the start, split and batches, whatever the optimizer."""
    starts = [
        init_run(line.init, Recipe(name).build, {"learning_rate": 0.1}, key=jax.random.key(3))
        for name in ("sgd", "adam")
    ]
    jax.tree.map(np.testing.assert_array_equal, starts[0].params, starts[1].params)
    np.testing.assert_array_equal(*(jax.random.key_data(state.key) for state in starts))
    key, pool, training = starts[0].key, 50, 40
    held_out = set(np.asarray(validation_indices(key, pool=pool, training=training)).tolist())
    shown = [examples_of.batch_indices(key, step, examples=training, batch_size=8) for step in range(5)]
    trained = set(np.asarray(examples_of.split_indices(key, jnp.concatenate(shown), pool=pool)).tolist())
    assert len(held_out) == 10
    assert len(trained) == 40
    assert not held_out & trained


def test_a_diverging_member_disturbs_no_other(line):
    found = run_population(
        line, Recipe("sgd").build, {"learning_rate": np.array([0.1, 1e9, 0.1])}, seed_keys([0, 0, 0]), steps=30
    )
    validation = found.validation["mse"][:, -1]
    assert np.isnan(validation[1])
    assert validation[0] == validation[2] < 0.05
    assert found.skipped[1] > 0 == found.skipped[0]


def test_a_classifier_that_broke_down_has_no_accuracy():
    """Skipped steps keep its parameters finite, and NaN logits have an argmax: neither may pass for a result."""
    found = run_population(
        "digits_mlp",
        Recipe("sgd").build,
        {"learning_rate": np.array([0.1, 1e6])},
        seed_keys([0, 0]),
        steps=30,
        test=True,
    )
    assert found.validation["accuracy"][0, -1] > 0.5
    assert np.isnan(found.validation["accuracy"][1, -1])
    assert found.test["accuracy"][0] > 0.5
    assert np.isnan(found.test["accuracy"][1])


def test_the_policy_reaches_the_members_parameters(line):
    policy = Policy(param="bfloat16")
    found = run_population(line, Recipe("sgd").build, {"learning_rate": 0.1}, seed_keys([0]), steps=2, policy=policy)
    assert {leaf.dtype for leaf in jax.tree.leaves(found.states.params)} == {jnp.dtype("bfloat16")}


def test_the_same_recipe_is_chosen_as_among_runs_alone():
    """50 steps of Adam on digits, rates up to far too high. Together and alone, sums are rounded in another order."""
    task, rates, seeds, build = tasks.get("digits_mlp"), np.array([1e-4, 1e-3, 1e-2, 0.3]), [0, 1], Recipe("adam").build
    found = run_population(task, build, {"learning_rate": rates.repeat(2)}, seed_keys(seeds * 4), steps=50)
    together = {name: values[:, -1].reshape(4, 2) for name, values in found.validation.items()}

    pool = examples_of.count(task.data)
    training, _ = examples_of.split_sizes(pool, task.validation_fraction)
    run = make_run(task.loss, build, batch_size=task.batch_size, steps=50, validation_fraction=task.validation_fraction)

    @jax.jit
    def validate(state, data):
        return evaluate(task.loss, state.params, data, validation_indices(state.key, pool=pool, training=training))

    states = [
        run(init_run(task.init, build, {"learning_rate": rate}, key=jax.random.key(seed)), task.data)[0]
        for rate in rates
        for seed in seeds
    ]
    alone = jax.tree.map(lambda *x: np.array(x).reshape(4, 2), *(validate(state, task.data) for state in states))
    np.testing.assert_allclose(together["loss"], alone["loss"], rtol=2e-3)
    np.testing.assert_allclose(together["accuracy"], alone["accuracy"], atol=0.02)
    chosen = [best_row(scores["accuracy"], higher_is_better=True) for scores in (together, alone)]
    assert chosen == [2, 2]


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


@pytest.mark.parametrize("width", [None, 2])
def test_a_condition_on_the_clock_stays_a_branch(line, width):
    """A transform that works every tenth step is a branch in the program, not both branches, in every layout."""
    program = Program(
        loss=line.loss,
        build=refreshed_every_tenth_step,
        mesh=member_mesh(1),
        width=width,
        batch_size=8,
        training=100,
        options=(),
    )
    beginning = outline(line.init, {"learning_rate": np.ones(4, np.float32)}, seed_keys([0] * 4))
    pieces = compile_pieces(program, 4, beginning, line.data, Stopwatch())
    assert " conditional(" in pieces.advance.as_text()


def test_a_condition_on_a_clock_of_each_member_would_not():
    def update(step, factor, grads):
        tx = refreshed_every_tenth_step({"learning_rate": 1.0})
        return tx.update(grads, Cached(factor), step=step)

    def program(clock):
        together = jax.jit(jax.vmap(update, in_axes=(clock, 0, 0)))
        steps = jnp.zeros(4 if clock == 0 else (), jnp.int32)
        return together.lower(steps, jnp.ones(4), jnp.ones((4, 3))).compile().as_text()

    assert " conditional(" in program(None)
    assert " conditional(" not in program(0)


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
