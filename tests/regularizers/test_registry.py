"""Regularizers by name."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import optimizers, regularizers
from jaxlab.regularizers import RegularizerInfo


def test_every_name_is_an_attribute():
    for name in regularizers.names():
        info = regularizers.get(name)
        assert getattr(regularizers, name) is info.factory
        assert info.penalty is None or info.penalty(jnp.ones((2, 2)), 0.5) > 0


def test_places_and_numbers():
    places = {name: regularizers.get(name).place for name in regularizers.names()}
    assert {name for name, place in places.items() if place == "last"} == {"max_norm", "box"}
    assert {name for name, place in places.items() if place == "after"} == {"decoupled_decay"}
    assert {name for name, place in places.items() if place == "around"} == {
        "proximal_l1",
        "proximal_elastic_net",
        "proximal_group_lasso",
    }
    assert regularizers.get("proximal_elastic_net").hyperparams == {"strength": None, "l1_ratio": 0.5}
    assert regularizers.get("max_norm").hyperparams == {"radius": None}
    assert regularizers.get("gradient_noise").hyperparams == {"strength": None, "gamma": 0.55}
    with pytest.raises(ValueError, match="place = 'around it': unknown, did you mean 'around'"):
        RegularizerInfo(regularizers.l1, "around it")


def test_typo_suggests_the_nearest():
    with pytest.raises(ValueError, match="regularizer = 'decoupled': unknown, did you mean 'decoupled_decay'"):
        regularizers.get("decoupled")


@pytest.mark.parametrize("name", [name for name in regularizers.names() if regularizers.get(name).needs_params])
def test_an_update_of_another_shape_is_refused(name):
    info = regularizers.get(name)
    first = {"around": (optimizers.sgd(0.1),)}.get(info.place, ())
    tx = info.factory(*first, -1.0, 1.0) if name == "box" else info.factory(*first, 0.1)
    params = jnp.ones((2, 3))
    with pytest.raises(ValueError, match=r"an update has shape \(1, 3\), its parameter \(2, 3\)"):
        tx.update(jnp.ones((1, 3)), tx.init(params), params)


@pytest.mark.parametrize("leaf", [np.ones(3, int), np.ones(3, complex)], ids=["int", "complex"])
@pytest.mark.parametrize("name", [name for name in regularizers.names() if regularizers.get(name).penalty])
def test_a_penalty_is_of_real_floating_parameters(name, leaf):
    penalty = regularizers.get(name).penalty
    assert penalty is not None
    with pytest.raises(TypeError, match="a parameter has dtype"):
        penalty({"w": leaf}, 1.0)
