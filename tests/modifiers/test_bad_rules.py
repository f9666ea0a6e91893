"""Modifiers that are given what is neither an optimizer nor rules."""

import numpy as np
import optax
import pytest

from jaxlab import modifiers, optimizers

NO_RULES = [None, 3, "body", [1], [("a",)], [(1, 2)], np.ones(3), {"a": 1}, [("(", "a")]]


@pytest.mark.parametrize("transforms", [None, "adam", [("a", None)], optax.sgd(0.1)])
def test_groups_are_a_dict(transforms):
    with pytest.raises(TypeError, match=r"^transforms = .*: accepted is a dict"):
        modifiers.groups(transforms, [("", "a")])


@pytest.mark.parametrize("rules", NO_RULES)
def test_rules_that_are_none_are_named(rules):
    inner = optimizers.sgd(0.1)
    for name, make in {
        "labels": lambda: modifiers.groups({"a": inner}, rules),
        "depths": lambda: modifiers.layer_wise_decay(inner, rules),
        "roles": lambda: modifiers.mup(inner, rules, 2.0),
    }.items():
        with pytest.raises((TypeError, ValueError), match=rf"^{name}.*(accepted are|no regular expression)"):
            make()


@pytest.mark.parametrize("magnitude", [None, "sgd", optimizers.sgd, 0.1])
def test_what_gives_the_length_of_a_graft_is_an_optimizer(magnitude):
    with pytest.raises(TypeError, match=r"^magnitude = .*: accepted is an optimizer"):
        modifiers.graft(optimizers.adam(0.1), magnitude)


@pytest.mark.parametrize("mask", ["vectors", [("bias", "no"), ("", True)], {"bias": 0}])
def test_a_mask_of_asam_is_said_before_there_are_parameters(mask):
    with pytest.raises((TypeError, ValueError), match=r"^mask"):
        modifiers.asam(optimizers.sgd(0.1), mask=mask)


def test_roles_are_of_widths_above_zero_and_of_real_numbers():
    with pytest.raises(ValueError, match=r"leaf 'a' is .* accepted are axes of at least 1"):
        modifiers.roles_of({"a": np.ones((0, 3))}, {"a": np.ones((4, 3))})
    with pytest.raises(TypeError, match=r"leaf 'a' has dtype int"):
        modifiers.mup_init({"a": np.arange(3)}, [("", "output")], 2.0)


def test_averages_of_other_parameters_are_not_passed_over():
    kept = modifiers.ema(optax.sgd(0.1)).init({"a": np.ones((4, 3), np.float32)})
    with pytest.raises(ValueError, match=r"params lack \['a'\]"):
        modifiers.evaluation_params(kept, {"b": np.ones((4, 3))})
    with pytest.raises(ValueError, match=r"leaf 'a' has shape .*, its average"):
        modifiers.evaluation_params(kept, {"a": np.ones((1, 3))})


@pytest.mark.parametrize(
    "absurd", [{"noise_multiplier": 1e-3}, {"steps": 10**9}, {"sample_rate": 0}, {"delta": 1}, {"delta": float("nan")}]
)
def test_the_accountant_is_asked_nothing_absurd(absurd):
    (name,) = absurd
    given = {"noise_multiplier": 1.1, "sample_rate": 0.01, "steps": 100, "delta": 1e-5} | absurd
    with pytest.raises(ValueError, match=rf"^{name} = .*: accepted is"):
        modifiers.epsilon(**given)
