"""Schedules by name, and from a recipe's flat dict."""

import types

import jax
import numpy as np
import pytest

from jaxlab import schedules

STEPS = np.arange(0, 120, 7)


def test_every_name_is_an_attribute_and_no_module():
    for name in schedules.names():
        found = getattr(schedules, name)
        assert isinstance(found, types.FunctionType)
        assert found is schedules.get(name).factory


def test_parameters_are_the_numbers_beside_the_learning_rate():
    assert schedules.get("constant").parameters == ()
    info = schedules.get("wsd")
    assert info.parameters == ("total_steps", "warmup_steps", "decay_steps", "final")
    assert info.required == ("total_steps", "warmup_steps", "decay_steps")


def test_arguments_by_keyword_alone_are_no_parameters():
    assert schedules.get("exponential").parameters == ("decay_rate", "transition_steps")
    assert schedules.get("loss_driven").parameters == ()


def test_those_that_follow_the_loss_say_so():
    driven = {name for name in schedules.names() if schedules.get(name).takes_loss}
    assert driven == {"reduce_on_plateau", "loss_driven", "loss_ratio", "polyak"}


def test_typo_suggests_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'exponential'"):
        schedules.get("exponental")


@pytest.mark.parametrize(
    ("name", "numbers", "direct"),
    [
        ("constant", {}, schedules.constant(0.3)),
        ("exponential", {"decay_rate": 0.9}, schedules.exponential(0.3, 0.9)),
        ("step", {"every": 10}, schedules.step(0.3, 10)),
        ("cosine", {"total_steps": 100, "final": 0.1}, schedules.cosine(0.3, 100, 0.1)),
        ("warmup", {"warmup_steps": 20}, schedules.warmup(0.3, 20)),
        ("wsd", {"total_steps": 100, "warmup_steps": 20, "decay_steps": 30}, schedules.wsd(0.3, 100, 20, 30)),
        ("staircase", {"decay_rate": 0.5, "transition_steps": 30}, schedules.step(0.3, 30, 0.5)),
        ("wsd_1_sqrt", {"total_steps": 99, "warmup_steps": 9, "decay_steps": 30}, schedules.wsd_1_sqrt(0.3, 99, 9, 30)),
        ("join", {"then": 0.1, "at": 50}, schedules.join(0.3, 0.1, 50)),
        ("inverse_sqrt", {"warmup_steps": 20}, schedules.inverse_sqrt(0.3, 20)),
        ("constant", {"warmup_steps": 20}, schedules.warmup(0.3, 20)),
        ("cosine", {"total_steps": 100, "warmup_steps": 20}, schedules.warmup(schedules.cosine(0.3, 80), 20)),
        ("step", {"every": 10, "warmup_steps": 20}, schedules.warmup(schedules.step(0.3, 10), 20)),
    ],
)
def test_build(name, numbers, direct):
    hyperparams = {"learning_rate": 0.3, "b1": 0.9, **numbers}
    np.testing.assert_array_equal(schedules.get(name).build(hyperparams)(STEPS), direct(STEPS))


def test_build_in_one_compilation_for_all_lengths():
    traces = []

    @jax.jit
    def rates(hyperparams):
        traces.append(1)
        return schedules.get("cosine").build(hyperparams)(STEPS)

    for total, ahead in [(100.0, 20.0), (50.0, 0.0), (10.0, 10.0)]:
        found = rates({"learning_rate": 0.3, "total_steps": total, "warmup_steps": ahead})
        assert np.isfinite(found).all()
        assert found[-1] == 0
    assert len(traces) == 1


def test_build_names_what_is_missing_or_bad():
    build = schedules.get("cosine").build
    with pytest.raises(
        ValueError, match="'cosine' misses total_steps among the hyperparameters; given are: learning_rate"
    ):
        build({"learning_rate": 0.1})
    with pytest.raises(ValueError, match=r"misses learning_rate, total_steps .*: none"):
        build({})
    with pytest.raises(ValueError, match="learning_rate = -1"):
        build({"learning_rate": -1, "total_steps": 10})
    with pytest.raises(ValueError, match="warmup_steps = 100: accepted is less than total_steps = 100"):
        build({"learning_rate": 1, "total_steps": 100, "warmup_steps": 100})
