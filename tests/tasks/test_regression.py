"""The loss of a regression, and the residuals that Gauss-Newton asks for."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import losses, optimizers
from jaxlab.tasks import adapt, get
from jaxlab.tasks.regression import Regressor
from jaxlab.train import init_state, make_train_step


def fourth_power(predictions, targets):
    return jnp.mean((predictions - targets) ** 4)


def test_another_loss_is_minimised_and_the_metric_stays():
    task = get("diabetes")
    params = task.init(jax.random.key(0))
    usual, metrics = task.loss(params, task.test, None)
    other = dataclasses.replace(task.loss, loss=fourth_power)
    loss, same = other(params, task.test, None)
    errors = np.float64(task.loss.apply(params, task.test["x"])) - np.float64(task.test["y"])
    assert float(usual) == float(metrics["mse"]) == float(same["mse"]) == pytest.approx(np.mean(errors**2), rel=1e-5)
    assert float(loss) == pytest.approx(np.mean(errors**4), rel=1e-5)


@pytest.mark.parametrize("name", ["line", "diabetes", "image_coordinates"])
def test_the_mean_square_of_residuals_is_the_loss(name):
    task = get(name)
    params = jax.jit(task.init)(jax.random.key(0))
    batch = jax.tree.map(lambda leaf: leaf[:7], task.test)
    residuals = jax.jit(task.loss.residuals)(params, batch, jax.random.key(1))
    assert residuals.size == batch["y"].size
    assert float(jnp.mean(residuals**2)) == pytest.approx(float(task.loss(params, batch, None)[0]), rel=1e-6)


def test_residuals_are_in_full_precision():
    regressor = Regressor(lambda params, x, key: params * x)
    batch = {"x": jnp.full(3, 256.0, jnp.bfloat16), "y": jnp.full(3, 1.0, jnp.bfloat16)}
    np.testing.assert_array_equal(regressor.residuals(jnp.bfloat16(1), batch, None), 255)


def test_where_the_loss_is_no_mean_of_squares_there_are_none():
    task = get("line")
    other = dataclasses.replace(task.loss, loss=fourth_power)
    assert not hasattr(other, "residuals")
    with pytest.raises(AttributeError, match="is no mean of squares: residuals are those of mse"):
        _ = other.residuals
    # A step trains it none the less.
    state = init_state(task.init(jax.random.key(0)), optimizers.sgd, 0.1, key=jax.random.key(0))
    _, metrics = make_train_step(other, optimizers.sgd)(state, task.test)
    assert np.isfinite(metrics["loss"])


def test_a_users_own_residuals_are_handed_on():
    class Loss:
        def __call__(self, params, batch, key):
            return jnp.mean(self.residuals(params, batch, key) ** 2)

        def residuals(self, params, batch, key):
            return batch - params

    class Own:
        data = jnp.arange(10.0)
        loss = Loss()

        def init(self, key):
            return jnp.zeros(())

    task = adapt.adapt(Own())
    np.testing.assert_array_equal(task.loss.residuals(1.0, jnp.arange(3.0), None), [-1, 0, 1])
    assert not hasattr(adapt.LossWithMetrics(lambda params, batch, key: 0.0), "residuals")


def test_every_registered_loss_of_numbers_fits():
    task = get("line")
    params = task.init(jax.random.key(0))
    for name in losses.names():
        if losses.get(name).targets == "numbers":
            positive = jax.tree.map(jnp.abs, task.test)  # Some losses are of magnitudes.
            loss, _ = dataclasses.replace(task.loss, loss=losses.get(name).function)(
                jax.tree.map(jnp.abs, params), positive, None
            )
            assert np.isfinite(loss), name
