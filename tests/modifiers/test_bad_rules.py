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
        with pytest.raises((TypeError, ValueError), match=f"^{name}.*(accepted are|no regular expression)"):
            make()


@pytest.mark.parametrize("magnitude", [None, "sgd", optimizers.sgd, 0.1])
def test_what_gives_the_length_of_a_graft_is_an_optimizer(magnitude):
    with pytest.raises(TypeError, match=r"^magnitude = .*: accepted is an optimizer"):
        modifiers.graft(optimizers.adam(0.1), magnitude)


@pytest.mark.parametrize("mask", ["vectors", [("bias", "no"), ("", True)], {"bias": 0}])
def test_a_mask_of_asam_is_said_before_there_are_parameters(mask):
    with pytest.raises((TypeError, ValueError), match=r"^mask"):
        modifiers.asam(optimizers.sgd(0.1), mask=mask)
