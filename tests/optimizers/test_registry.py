import inspect
from typing import Any

import jax.numpy as jnp
import optax
import pytest

from jaxlab import optimizers
from jaxlab.core import space

INFOS = [optimizers.get(name) for name in optimizers.names()]
every = pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)


def test_names_are_public_functions():
    for name in optimizers.names():
        assert getattr(optimizers, name) is optimizers.get(name).factory


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(ValueError, match="'adamv': unknown, did you mean 'adam"):
        optimizers.get("adamv")


@every
def test_factory_makes_an_optax_transform(info):
    assert isinstance(info.factory(0.1), optax.GradientTransformationExtraArgs)
    assert isinstance(info.factory(lambda step: 0.1), optax.GradientTransformationExtraArgs)
    assert info.reference


@every
def test_every_argument_is_a_number_or_static(info):
    arguments = set(inspect.signature(info.factory).parameters)
    assert arguments == {"learning_rate", *info.hyperparams, *info.static}


@every
def test_search_space_is_of_its_own_numbers(info):
    assert "learning_rate" in info.search_space
    assert set(info.search_space) <= {"learning_rate", *info.hyperparams}
    for distribution in info.search_space.values():
        for value in space.grid(distribution, 3):
            assert isinstance(value, float)
    # Its ends are accepted by the optimizer itself.
    for end in (0.0, 1.0):
        info.factory(**{name: distribution.from_unit(end) for name, distribution in info.search_space.items()})


STATE_BYTES = {
    "gradient_descent": 0,
    "sgd": 0,
    "momentum": 4,
    "nesterov": 4,
    "adagrad": 4,
    "adadelta": 8,
    "rmsprop": 4,
    "adam": 8,
    "adamax": 8,
    "nadam": 8,
    "amsgrad": 12,
    "radam": 8,
    "adafactor": 8 / 1024,
    "adamw": 8,
    "lion": 4,
    "muon": 4,
    "normuon": 4 + 4 / 1024,
    "shampoo": 24,
    "soap": 24,
    "psgd_kron": 12 + 8 / 1024**2,
    "adabelief": 8,
    "yogi": 8,
    "laprop": 8,
    "adopt": 8,
    "adan": 16,
    "ademamix": 12,
    "mars": 12,
    "lamb": 8,
    "lars": 4,
    "sign_descent": 0,
    "sm3": 4 + 8 / 1024,
    "newton": 0,
    "gauss_newton": 0,
    "lbfgs": 88,
    "sophia": 8,
    "adahessian": 8,
    "prodigy": 16,
    "dadapt_adam": 12,
    "dadapt_sgd": 8,
    "dog": 4,
    "momo": 4,
    "momo_adam": 8,
}


@every
def test_state_bytes(info):
    assert info.state_bytes_per_param == STATE_BYTES[info.name]


SIGNED = ("lb",)
"""Numbers of either sign."""

NUMBERS = [(info, name) for info in INFOS for name in ("learning_rate", *info.hyperparams)]


@pytest.mark.parametrize(("info", "name"), NUMBERS, ids=lambda x: getattr(x, "name", x))
def test_bad_numbers_are_named(info, name):
    good = {"learning_rate": 0.1}
    for value in (float("nan"), float("inf"), *(() if name in SIGNED else (-0.5,))):
        with pytest.raises(ValueError, match=f"{name} = {value}"):
            info.factory(**good | {name: value})
    for value in ("0.1", [0.1], jnp.ones(2), True):
        with pytest.raises(TypeError, match=f"{name} = .*: accepted"):
            info.factory(**good | {name: value})


@pytest.mark.parametrize("name", ["b1", "b2", "momentum"])
def test_what_never_forgets_is_refused(name):
    for info in INFOS:
        if name in info.hyperparams:
            with pytest.raises(ValueError, match=name):
                info.factory(0.1, **{name: 1.0})


@every
def test_unknown_static_values(info):
    if "state_dtype" in info.static:
        numbers = {"momentum": 0.9} if "momentum" in info.hyperparams else {}
        with pytest.raises(ValueError, match="state_dtype = 'bf16'"):
            info.factory(0.1, state_dtype="bf16", **numbers)
    with pytest.raises(TypeError, match="unexpected keyword"):
        info.factory(0.1, wieght_decay=0.1)


def test_nesterov_needs_momentum():
    with pytest.raises(ValueError, match="nesterov"):
        optimizers.sgd(0.1, nesterov=True)


def test_a_recipe_refuses_what_it_cannot_name():
    with pytest.raises(ValueError, match="optimizer = 'adafactr': unknown, did you mean 'adafactor'"):
        optimizers.Recipe("adafactr")
    static: Any = 3
    with pytest.raises(TypeError, match="static = 3: accepted are a dict"):
        optimizers.Recipe("adam", static=static)
    with pytest.raises(ValueError, match="state_dtype = 'half'"):
        optimizers.sgd(0.1, state_dtype="half")
