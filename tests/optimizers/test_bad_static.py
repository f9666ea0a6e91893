"""Static arguments of optimizers: what is no yes and no no, and what rules and masks are not."""

import re

import numpy as np
import pytest

from jaxlab import modifiers, optimizers
from jaxlab.optimizers.recipe import Recipe

FLAGS = [
    ("sgd", "nesterov"),
    ("rmsprop", "centered"),
    ("adafactor", "relative_step"),
    ("muon", "nesterov"),
    ("normuon", "nesterov"),
    ("shampoo", "nesterov"),
    ("psgd_kron", "one_sided"),
    ("adahessian", "spatial_average"),
    ("prodigy", "use_bias_correction"),
    ("prodigy", "safeguard_warmup"),
    ("dadapt_adam", "use_bias_correction"),
    ("dog", "layerwise"),
    ("momo", "use_bias_correction"),
    ("momo", "use_fstar"),
    ("momo_adam", "use_fstar"),
]


@pytest.mark.parametrize(("name", "flag"), FLAGS)
@pytest.mark.parametrize("value", ["no", "false", None, 0, np.ones(3)])
def test_a_flag_is_true_or_false(name, flag, value):
    with pytest.raises(TypeError, match=f"^{flag} = .*: accepted are True and False"):
        optimizers.get(name).factory(0.1, **{flag: value})


def test_momentum_or_not_a_flag_is_a_flag():
    with pytest.raises(TypeError, match=r"^nesterov = 'no'"):
        optimizers.sgd(0.1, momentum=0.9, nesterov="no")
    with pytest.raises(TypeError, match=r"^debias = 'no'"):
        modifiers.ema(optimizers.sgd(0.1), debias="no")


def test_a_flag_of_a_recipe_is_said_when_it_is_built():
    with pytest.raises(TypeError, match=r"^relative_step = 'false'"):
        Recipe("adafactor", static={"relative_step": "false"}).hyperparams({"learning_rate": 0.1})


MASKED = [name for name in optimizers.names() if "decay_mask" in optimizers.get(name).static]


@pytest.mark.parametrize("name", MASKED)
@pytest.mark.parametrize("mask", ["matrix", [("(", True), ("", False)], [("bias", "no"), ("", True)], {"bias": 0}, 1.5])
def test_a_mask_that_is_none_is_said_before_there_are_parameters(name, mask):
    with pytest.raises((TypeError, ValueError), match=r"^mask.*(accepted are|no regular expression)"):
        optimizers.get(name).factory(0.1, decay_mask=mask)


@pytest.mark.parametrize("name", ["muon", "normuon"])
@pytest.mark.parametrize("argument", ["scaling", "compute_dtype", "fallback", "layouts", "state_dtype", "coefficients"])
@pytest.mark.parametrize("value", [np.ones(3), 3, b"rc", "nonsense", {"a": 1}, [("(", "rc")], [("a", 3)]])
def test_what_muon_does_not_know_is_named(name, argument, value):
    with pytest.raises((TypeError, ValueError), match=rf"^{argument}\b"):
        optimizers.get(name).factory(0.1, **{argument: value})


@pytest.mark.parametrize("steps", [0, 101, 10**9, 2.5, True, "5"])
def test_steps_of_newton_and_schulz_are_few(steps):
    with pytest.raises((TypeError, ValueError), match=f"steps = {re.escape(repr(steps))}: accepted is a whole number"):
        optimizers.muon(0.1, steps=steps)


@pytest.mark.parametrize("name", [n for n in optimizers.names() if "layer_axes" in optimizers.get(n).static])
@pytest.mark.parametrize("layer_axes", ["", "block", -1, 1.5, True, [("(", 1)], [("block", -1)], [1], None])
def test_layer_axes_that_are_none(name, layer_axes):
    with pytest.raises((TypeError, ValueError), match=r"^layer_axes"):
        optimizers.get(name).factory(0.1, layer_axes=layer_axes)


@pytest.mark.parametrize("static", ["steps", (("steps",),), {3: 4, "steps": 2}, [1]])
def test_static_arguments_of_a_recipe_are_named_values(static):
    with pytest.raises(TypeError, match=r"^static = .*: accepted are a dict and pairs"):
        Recipe("muon", static=static)


@pytest.mark.parametrize("given", [3, None, [("learning_rate", 0.1)]])
def test_numbers_of_a_recipe_are_a_dict(given):
    with pytest.raises(TypeError, match=r"^hyperparams = .*: accepted is a dict"):
        Recipe("adam").hyperparams(given)
