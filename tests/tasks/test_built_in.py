"""The tasks that come with jaxlab: facts of their data, and default recipes that reach their targets."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.datasets

from jaxlab.tasks import check, get, names
from jaxlab.train import data as examples_of
from jaxlab.train import init_state
from jaxlab.train.evaluate import evaluate
from jaxlab.train.run import make_run

# The one needs files (test_fashion_mnist.py), the other minutes (test_bytes_gpt.py).
SMALL = [name for name in names() if name not in ("fashion_mnist_cnn", "bytes_gpt")]
FIXED_START = ("rosenbrock", "snippet_modules", "word_bigrams")

task_of = functools.cache(get)


def whole(name):
    """Pool and test set of a task, one after the other."""
    task = task_of(name)
    return {field: np.concatenate([task.data[field], task.test[field]]) for field in task.data}


@pytest.mark.parametrize(
    ("name", "pool", "test", "example"),
    [
        ("line", 800, 200, (1,)),
        ("diabetes", 354, 88, (10,)),
        ("breast_cancer", 455, 114, (30,)),
        ("digits_mlp", 1438, 359, (8, 8, 1)),
        ("digits_cnn", 1438, 359, (8, 8, 1)),
    ],
)
def test_sizes_and_no_example_on_both_sides(name, pool, test, example):
    task = task_of(name)
    assert task.data["x"].shape == (pool, *example)
    assert task.test["x"].shape == (test, *example)
    rows = {row.tobytes() for row in whole(name)["x"]}
    assert len(rows) == pool + test


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("breast_cancer", [212, 357]),
        ("digits_mlp", [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]),
        ("digits_cnn", [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]),
    ],
)
def test_classes_are_those_of_the_source_on_both_sides(name, counts):
    task = task_of(name)
    assert np.bincount(whole(name)["y"]).tolist() == counts
    expected = np.array(counts) * len(task.test["y"]) / sum(counts)
    found = np.bincount(task.test["y"], minlength=len(counts))
    assert np.all(np.abs(found - expected) < 4 * np.sqrt(expected))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("diabetes", functools.partial(sklearn.datasets.load_diabetes, scaled=False)),
        ("breast_cancer", sklearn.datasets.load_breast_cancer),
    ],
)
def test_every_feature_is_a_line_through_the_sources(name, source):
    inputs, _ = source(return_X_y=True)
    task = task_of(name)
    np.testing.assert_allclose(np.mean(task.data["x"], 0), 0, atol=1e-5)
    np.testing.assert_allclose(np.std(task.data["x"], 0), 1, rtol=1e-4)
    ours, theirs = np.sort(np.float64(whole(name)["x"]), 0), np.sort(inputs, 0)
    for feature in range(inputs.shape[1]):
        assert np.corrcoef(ours[:, feature], theirs[:, feature])[0, 1] == pytest.approx(1, abs=1e-9)


def test_digits_keep_their_labels():
    inputs, labels = sklearn.datasets.load_digits(return_X_y=True)
    label_of = {row.tobytes(): label for row, label in zip(inputs.astype(np.int8), labels, strict=True)}
    data = whole("digits_mlp")
    pixels = data["x"].reshape(len(data["x"]), -1)
    levels = np.rint((pixels - pixels.min()) / (pixels.max() - pixels.min()) * 16).astype(np.int8)
    assert [label_of[row.tobytes()] for row in levels] == data["y"].tolist()


def test_the_line_is_reached_by_gradient_descent_and_is_the_closed_form():
    task = task_of("line")
    x, y = (np.float64(task.data[field])[:, 0] for field in ("x", "y"))
    (slope, intercept), *_ = np.linalg.lstsq(np.stack([x, np.ones_like(x)], 1), y)
    assert (slope, intercept) == (pytest.approx(2, abs=0.02), pytest.approx(1, abs=0.02))

    def step(params, _):
        gradient = jax.grad(lambda p: task.loss(p, task.data, None)[0])(params)
        return jax.tree.map(lambda p, g: p - 0.5 * g, params, gradient), None

    params, _ = jax.jit(lambda p: jax.lax.scan(step, p, length=200))(task.init(jax.random.key(0)))
    assert params["dense_0"]["kernel"].item() == pytest.approx(slope, abs=1e-5)
    assert params["dense_0"]["bias"].item() == pytest.approx(intercept, abs=1e-5)
    residual = np.mean((slope * x + intercept - y) ** 2)
    assert float(task.loss(params, task.data, None)[1]["mse"]) == pytest.approx(residual, rel=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_initial_parameters_are_the_keys_alone(name):
    init = jax.jit(task_of(name).init)
    one, same, other = (jax.tree.leaves(init(jax.random.key(seed))) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    differ = any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert differ == (name not in FIXED_START)


def test_a_task_asked_for_twice_shares_what_was_compiled():
    first, second = get("digits_mlp"), get("digits_mlp")
    compiled = jax.jit(lambda task, params: task.loss(params, task.test, None)[0])
    params = jax.jit(first.init)(jax.random.key(0))
    assert compiled(first, params) == compiled(second, params)
    assert compiled._cache_size() == 1


@pytest.mark.parametrize("name", SMALL)
def test_the_default_recipe_reaches_the_target(name):
    task = task_of(name)
    check(task, jax.random.key(0))
    init_key, run_key = jax.random.split(jax.random.key(2))
    hyperparams = task.recipe.hyperparams(task.default_hyperparams())
    state = init_state(jax.jit(task.init)(init_key), task.recipe.build, hyperparams, key=run_key)
    training, _ = examples_of.split_sizes(examples_of.count(task.data), task.validation_fraction)
    chosen = examples_of.split_indices(run_key, jnp.arange(training), pool=examples_of.count(task.data))
    run = make_run(task.loss, task.recipe.build, batch_size=task.batch_size, steps=task.steps)
    state, _ = run(state, examples_of.take(task.data, chosen))
    found = float(jax.jit(evaluate, static_argnums=0)(task.loss, state.params, task.test)[task.metric])
    assert (found >= task.target) if task.higher_is_better else (found <= task.target), found
