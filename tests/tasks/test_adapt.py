"""What a user has, as a task."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.optimizers import Recipe
from jaxlab.tasks import Task, as_task, check, get


def init(key):
    return {"w": jnp.zeros(2)}


def loss(params, batch, key):
    return jnp.mean((batch["x"] @ params["w"] - batch["y"]) ** 2)


def own(**changes):
    rng = np.random.RandomState(1)
    parts = {"init": init, "loss": loss, "data": {"x": rng.normal(size=(50, 2)), "y": rng.normal(size=50)}}
    return types.SimpleNamespace(**(parts | changes))


def test_three_things_are_enough():
    task = as_task(own())
    assert isinstance(task, Task)
    assert (task.metric, task.higher_is_better, task.target) == ("loss", False, None)
    assert task.data["x"].shape == (40, 2)
    assert task.test["y"].shape == (10,)
    value, metrics = task.loss(task.init(jax.random.key(0)), task.test, None)
    assert metrics == {}
    assert float(value) == pytest.approx(float(jnp.mean(task.test["y"] ** 2)))
    check(task, jax.random.key(0))


def test_what_more_there_is_is_taken():
    def with_metrics(params, batch, key):
        return loss(params, batch, key), {"off": jnp.mean(batch["y"])}

    test = {"x": np.ones((3, 2)), "y": np.zeros(3)}
    task = as_task(
        own(
            loss=with_metrics,
            test=test,
            name="mine",
            metric="off",
            higher_is_better=True,
            batch_size=7,
            recipe=Recipe("sgd", "cosine"),
            hyperparams={"learning_rate": 0.5, "total_steps": 1000},
        )
    )
    assert (task.name, task.metric, task.batch_size) == ("mine", "off", 7)
    assert task.default_hyperparams(10) == {"learning_rate": 0.5, "total_steps": 10}
    assert task.data["x"].shape == (50, 2)
    np.testing.assert_array_equal(task.test["x"], test["x"])
    check(task, jax.random.key(0))


def test_tasks_and_names_pass():
    task = as_task("line")
    assert as_task(task) is task
    assert task.name == get("line").name


def test_a_class_and_a_function_that_makes_one_are_taken():
    class Mine:
        init, loss, data = staticmethod(init), staticmethod(loss), own().data

    class Made:
        def __init__(self):
            self.init, self.loss, self.data = init, loss, own().data

    assert [as_task(thing).name for thing in (Mine, Mine(), Made, own)] == ["Mine", "Mine", "Made", "SimpleNamespace"]


def test_adapted_twice_is_compiled_once():
    task, again = as_task(own()), as_task(own())
    assert task.loss == again.loss
    compiled = jax.jit(lambda task, params: task.loss(params, task.data, None)[0])
    compiled(task, init(None))
    compiled(again, init(None))
    assert compiled._cache_size() == 1


def test_as_an_argument_its_data_are_no_constants():
    task = as_task(own())
    jaxpr = jax.make_jaxpr(lambda task: task.loss({"w": jnp.zeros(2)}, task.data, None)[0])(task)
    assert [v.aval.shape for v in jaxpr.jaxpr.invars] == [(40, 2), (40,), (10, 2), (10,)]
    assert not [c for c in jaxpr.consts if np.size(c) > 2]


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (types.SimpleNamespace(init=init, data=1), "task 'SimpleNamespace' lacks loss: accepted is an object with"),
        (own(metric="off"), "has metric = 'off' and lacks higher_is_better: accepted is a bool"),
        (own(loss=3), "task 'SimpleNamespace': loss = 3: accepted is a function"),
        (42, "task 'int' lacks init, loss, data"),
        (None, "task 'NoneType' lacks init, loss, data"),
    ],
)
def test_what_is_missing_is_named(thing, message):
    with pytest.raises(TypeError, match=message):
        as_task(thing)


def test_too_few_examples_to_split_off_a_test_set():
    with pytest.raises(ValueError, match=r"task 'tiny': test_fraction = 0.2 of 2 examples"):
        as_task(own(name="tiny", data=np.arange(2.0)))
