"""What is refused before anything large is compiled, and how it is said."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from jaxlab.tasks import Task, check

KEY = jax.random.key(0)
DATA = {"x": jnp.ones((10, 2)), "y": jnp.zeros(10)}


def init(key):
    return {"w": jnp.ones(2)}


def loss(params, batch, key):
    error = jnp.mean((batch["x"] @ params["w"] - batch["y"]) ** 2)
    return error, {"mse": error}


GOOD = Task(name="mine", data=DATA, test=DATA, init=init, loss=loss, metric="mse")


def test_a_good_task_passes():
    check(GOOD, KEY)


def test_a_loss_is_also_tried_without_a_key():
    seen = []

    def noting(params, batch, key):
        seen.append(key is None)
        return loss(params, batch, key)

    check(dataclasses.replace(GOOD, loss=noting), KEY)
    assert set(seen) == {True, False}


def losses(function):
    """A loss from what ``function`` makes of the good one's parts."""
    return {"loss": lambda params, batch, key: function(*loss(params, batch, key), params)}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"data": {}}, ValueError, r"task 'mine': data has arrays of shapes \{\}"),
        (
            {"data": {"x": jnp.ones((3, 2)), "y": jnp.ones(4)}},
            ValueError,
            r"data has .*'x': \(3, 2\), 'y': \(4,\).*one leading axis",
        ),
        (
            {"data": {"x": jnp.ones((3, 2)), "y": jnp.ones(())}},
            ValueError,
            "data has arrays of shapes .*one leading axis",
        ),
        ({"data": {"x": jnp.ones((0, 2)), "y": jnp.ones(0)}}, ValueError, "data has no examples"),
        ({"test": {"x": jnp.ones((0, 2)), "y": jnp.ones(0)}}, ValueError, "test has no examples"),
        ({"test": {"x": jnp.ones((5, 2))}}, ValueError, "test is PyTreeDef.*accepted is what data is"),
        (
            {"test": {"x": jnp.ones((5, 3)), "y": jnp.ones(5)}},
            ValueError,
            r"examples of test/x are float32\[3\]: .*float32\[2\]",
        ),
        (
            {"validation_fraction": 0.0},
            ValueError,
            r"task 'mine': validation_fraction = 0.0: accepted is a number in \(0, 1\)",
        ),
        ({"validation_fraction": 0.01}, ValueError, "task 'mine': validation_fraction = 0.01 of 10 examples leaves"),
        ({"batch_size": 0}, ValueError, "task 'mine': batch_size = 0"),
        ({"steps": 2.5}, TypeError, "task 'mine': steps = 2.5: accepted is a whole number"),
        ({"init": lambda key: {}}, ValueError, "task 'mine': init returned no parameters"),
        ({"init": lambda key: {"w": jnp.ones(2, int)}}, TypeError, "task 'mine': parameter 'w' has dtype int32"),
        (
            {"init": lambda key: {"w": jnp.array([1, jnp.nan])}},
            ValueError,
            "task 'mine': parameter 'w' is not finite at the start",
        ),
        (
            losses(lambda value, metrics, params: value),
            TypeError,
            r"task 'mine': loss returned ShapeDtypeStruct.*\(loss, metrics\)",
        ),
        (
            losses(lambda value, metrics, params: (value, [value])),
            TypeError,
            "task 'mine': loss returned .*metrics a dict",
        ),
        (
            losses(lambda value, metrics, params: (params["w"], metrics)),
            ValueError,
            r"task 'mine': loss returned .*shape=\(2,\).*scalar",
        ),
        (
            losses(lambda value, metrics, params: (3, metrics)),
            ValueError,
            "task 'mine': loss returned .*int32.* a scalar, real floating",
        ),
        (
            losses(lambda value, metrics, params: (value, {"mse": params["w"]})),
            ValueError,
            r"metric 'mse' is .*\(2,\).*a scalar",
        ),
        (
            losses(lambda value, metrics, params: (value, {"mse": value, "loss": value})),
            ValueError,
            "metric 'loss': that name is the step's own",
        ),
        ({"metric": "mes"}, ValueError, "task 'mine': metric = 'mes': unknown, did you mean 'mse'"),
        (
            losses(lambda value, metrics, params: (value / 0, metrics)),
            ValueError,
            "task 'mine': the loss is inf at the start",
        ),
        (
            losses(lambda value, metrics, params: (jnp.sum(jnp.sqrt(params["w"] - 1)), metrics)),
            ValueError,
            "task 'mine': the gradient of parameter 'w' is not finite at the start",
        ),
    ],
)
def test_what_is_wrong_is_named(changes, error, message):
    with pytest.raises(error, match=message):
        check(dataclasses.replace(GOOD, **changes), KEY)
