"""Rules from names to mesh axes; everything that does not fit is said before anything is compiled."""

import pytest
from jax.sharding import PartitionSpec as P

from jaxlab.sharding.rules import specs_of

SHAPES = {"up/kernel": (8, 16), "up/bias": (16,), "down/kernel": (16, 8), "scale": ()}
AXES = {"data": 2, "tensor": 4}


def test_the_first_rule_that_is_found_decides_and_the_rest_is_whole():
    rules = [("down/kernel", ("tensor", None)), ("kernel", (None, "tensor"))]
    assert specs_of(SHAPES, rules, AXES) == {
        "up/kernel": P(None, "tensor"),
        "up/bias": P(),
        "down/kernel": P("tensor", None),
        "scale": P(),
    }


def test_fewer_axes_than_the_leaf_has_and_several_on_one():
    rules = [("down/kernel", (("data", "tensor"),)), ("up/bias", P("tensor"))]
    specs = specs_of(SHAPES, rules, AXES)
    assert specs["down/kernel"] == P(("data", "tensor"))
    assert specs["up/bias"] == P("tensor")


def test_the_same_rules_serve_a_mesh_without_their_axis():
    rules = [("up/kernel", ("fsdp", "tensor")), ("down/kernel", (("fsdp", "data"), None))]
    specs = specs_of(SHAPES, rules, {"data": 8})
    assert specs["up/kernel"] == P(None, None)
    assert specs["down/kernel"] == P("data", None)


def test_a_mesh_has_axes_of_its_own():
    assert specs_of(SHAPES, [("up/bias", ("model",))], {"model": 8})["up/bias"] == P("model")


@pytest.mark.parametrize(
    ("rules", "complaint"),
    [
        ([("gate", ("tensor",))], r"rule 'gate' matches no parameter; the parameters are up/kernel \(8, 16\), up/bias"),
        ([("kernel", (None, "model"))], "'kernel' names mesh axis 'model'; the mesh has data, tensor, accepted are"),
        (
            [("up/bias", (None, "tensor"))],
            r"rule 'up/bias' names 2 axes, and 'up/bias' has shape \(16,\): accepted are at most as many",
        ),
        ([("scale", ("tensor",))], r"names 1 axes, and 'scale' has shape \(\)"),
        ([("up/kernel", ("tensor", "tensor"))], "'up/kernel' cuts two axes by mesh axis 'tensor'"),
        ([("up/kernel", (("tensor", "tensor"),))], "'up/kernel' cuts two axes by mesh axis 'tensor'"),
        (
            [("kernel", (None, "tensor")), ("down/kernel", ("tensor", None))],
            "rules 'kernel' and 'down/kernel' collide: both match 'down/kernel', the first decides",
        ),
        ([("(", ("tensor",))], r"rules: '\(' is no regular expression"),
    ],
)
def test_rules_that_do_not_fit(rules, complaint):
    with pytest.raises(ValueError, match=complaint):
        specs_of(SHAPES, rules, AXES)


def test_an_axis_that_is_not_divided_is_named_with_path_and_shape():
    complaint = (
        r"rule 'kernel': axis 0 of 'layer/kernel', shape \(6, 8\), is not divided by mesh axis data\*tensor of size 8; "
        "accepted are multiples of it"
    )
    with pytest.raises(ValueError, match=complaint):
        specs_of({"layer/kernel": (6, 8)}, [("kernel", (("data", "tensor"),))], AXES)


def test_a_deep_model_is_not_listed_whole():
    shapes = {f"blocks_{i}/kernel": (8, 8) for i in range(100)}
    with pytest.raises(ValueError, match=r"blocks_19/kernel .* and 80 more$"):
        specs_of(shapes, [("gate", ("tensor",))], AXES)


def test_two_rules_that_agree_do_not_collide():
    rules = [("kernel", (None, "tensor")), ("up/kernel", (None, "tensor"))]
    assert specs_of(SHAPES, rules, AXES)["up/kernel"] == P(None, "tensor")


@pytest.mark.parametrize("rules", [None, "kernel", {"kernel": ("tensor",)}, [("kernel",)], [(1, ("tensor",))]])
def test_rules_of_another_form(rules):
    with pytest.raises(TypeError, match=r"rules = .*: accepted are \(regular expression, mesh axes\) rules such as"):
        specs_of(SHAPES, rules, AXES)


@pytest.mark.parametrize("entries", ["tensor", None, 3, (None, 1), ((None, 2),)])
def test_mesh_axes_of_another_form(entries):
    with pytest.raises(TypeError, match="for 'kernel': accepted are"):
        specs_of(SHAPES, [("kernel", entries)], AXES)
