"""The range test: losses against a plain loop, landmarks against curves that were made to have them."""

import itertools

import jax
import numpy as np
import pytest

from jaxlab import tasks
from jaxlab.optimizers import Recipe
from jaxlab.sweep import seed_keys
from jaxlab.sweep.range_test import range_test, read
from jaxlab.train import init_run
from jaxlab.train.data import count, split_sizes
from jaxlab.train.run import training_batch

RATES = np.geomspace(1e-5, 1e2, 351)  # 50 a decade


@pytest.fixture(scope="module")
def found():
    return range_test("line", Recipe("sgd"), seed_keys([0, 1]), low=1e-4, high=1e3, steps=60, batch_size=16)


def test_losses_are_those_of_a_run_whose_rate_rises(found):
    """Gradient descent on a line in float64 NumPy, on the batches that the run's key asks for."""
    task = tasks.get("line")
    state = init_run(task.init, Recipe("sgd").build, {"learning_rate": 0.1}, key=jax.random.key(1))
    training, _ = split_sizes(count(task.data), task.validation_fraction)
    leaves, treedef = jax.tree.flatten(state.params)
    numbers = [np.asarray(leaf, np.float64) for leaf in leaves]
    grad = jax.jit(jax.grad(lambda params, batch: task.loss(params, batch, None)[0]))
    value = jax.jit(lambda params, batch: task.loss(params, batch, None)[0])
    batches = jax.jit(
        jax.vmap(lambda t: training_batch(state._replace(step=t), task.data, training=training, batch_size=16))
    )(np.arange(40))
    losses = []
    for step in range(40):
        batch = jax.tree.map(lambda leaf, at=step: leaf[at], batches)
        params = treedef.unflatten([np.float32(leaf) for leaf in numbers])
        losses.append(float(value(params, batch)))
        rate = 1e-4 * (1e3 / 1e-4) ** (step / 59)
        np.testing.assert_allclose(found.rates[step], rate, rtol=1e-12)
        gradients = jax.tree.leaves(grad(params, batch))
        numbers = [leaf - rate * np.asarray(g, np.float64) for leaf, g in zip(numbers, gradients, strict=True)]
    np.testing.assert_allclose(found.losses[1][:40], losses, rtol=2e-3, atol=1e-6)


def test_a_run_that_explodes_has_all_landmarks_in_order(found):
    assert (found.losses[:, -1] > 1e30).all()
    assert np.isfinite(found.smoothed).all()
    for low, high in itertools.pairwise(("begins", "steepest", "lowest", "diverges")):
        assert (getattr(found, low) <= getattr(found, high)).all(), (low, high)
    # The line's steepest curvature is 2 (its mean square input, 1, doubled): beyond a rate of 1 descent diverges.
    assert (found.diverges > 0.9).all()
    assert (found.diverges < 5.0).all()


def curve(noise=0.0, *, explodes=3.0, seed=0):
    """Falls from 2 to 1 around a rate of 0.01: in log(rate) the logistic curve, steepest in its middle."""
    fall = 2.0 - 1 / (1 + 0.01 / RATES) + np.where(explodes < RATES, RATES / explodes, 0)
    return fall + noise * np.random.default_rng(seed).standard_normal(RATES.size)


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_landmarks_of_a_curve_that_is_known(noise):
    # A logistic curve has done a tenth of its fall at 0.01 / 9.
    landmarks = np.array([read(RATES, curve(noise, seed=seed))[1] for seed in range(5)])
    begins, steepest, lowest, diverges = np.exp(np.log(landmarks).mean(axis=0))
    assert begins == pytest.approx(0.01 / 9, rel=0.25)
    assert steepest == pytest.approx(0.01, rel=0.25)
    assert 0.3 < lowest < 3.0
    assert diverges == pytest.approx(3.0, rel=0.3)


def test_landmarks_do_not_depend_on_the_losss_scale_and_zero():
    plain = read(RATES, curve())[1]
    assert read(RATES, 1e3 * curve() - 5e3)[1] == pytest.approx(plain)


def test_a_loss_that_ends_being_a_number_has_diverged_there():
    losses = np.where(RATES > 0.5, np.nan, curve())
    diverges = read(RATES, losses)[1][3]
    assert diverges == RATES[RATES > 0.5][0]
    smooth, landmarks = read(RATES, np.where(RATES > 0.5, np.inf, curve()))
    assert np.isfinite(smooth).all()
    assert landmarks[3] == diverges


def test_a_run_that_is_not_seen_to_diverge_has_no_such_rate():
    *others, diverges = read(RATES, curve(explodes=np.inf))[1]
    assert np.isnan(diverges)
    assert np.isfinite(others).all()


@pytest.mark.parametrize(
    "losses",
    [
        np.full(RATES.size, 2.0),
        2.0 + RATES,
        2.0 + 0.1 * np.random.default_rng(0).standard_normal(RATES.size),
        np.full(RATES.size, np.nan),
        np.where(np.arange(RATES.size) < 1, 2.0, np.inf),
    ],
    ids=["constant", "rising", "noise", "nothing", "one step"],
)
def test_a_loss_that_never_falls_has_no_landmarks(losses):
    assert np.isnan(read(RATES, losses)[1]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"low": 0.0}, "low = 0"),
        ({"low": 1.0, "high": 0.1}, r"low = 1\.0, high = 0\.1: accepted is low < high"),
        ({"high": float("inf")}, "high = inf"),
        ({"steps": 1}, "steps = 1: accepted is .* at least 2"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"hyperparams": {"momentun": 0.5}}, "momentun"),
    ],
)
def test_bad_input_is_refused_before_anything_is_compiled(change, message, monkeypatch):
    monkeypatch.setattr("jaxlab.train.stopwatch.Stopwatch.run", lambda *arguments: pytest.fail("compiled"))
    with pytest.raises(ValueError, match=message):
        range_test("line", Recipe("momentum"), seed_keys([0]), **change)
