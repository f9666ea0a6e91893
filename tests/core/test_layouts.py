"""Which axes of a leaf make matrices, by name and rank; what nobody can tell is an error that says how."""

import jax.numpy as jnp
import pytest

from jaxlab.core import layouts

KNOWN = [
    ("dense/kernel", 2, "rc"),
    ("0/w", 2, "rc"),
    ("", 2, "rc"),
    ("", 1, "others"),
    ("temperature", 0, "others"),
    ("dense/bias", 1, "others"),
    ("blocks/dense/bias", 2, "others"),
    ("blocks/norm/scale", 2, "others"),
    ("layer_norm", 2, "others"),
    ("embed/embedding", 2, "others"),
    ("token_embedding/kernel", 2, "others"),
    ("wte", 2, "others"),
    ("pos", 2, "others"),
    ("tok_emb", 2, "others"),
    ("unembed/kernel", 2, "others"),
    ("classifier/kernel", 2, "others"),
    ("position/kernel", 2, "rc"),
    ("lm_head/kernel", 2, "others"),
    ("head/kernel", 2, "others"),
    ("headline/kernel", 2, "rc"),
    ("attention/query/kernel", 3, "rcc"),
    ("attention/out/kernel", 3, "rrc"),
    ("conv/kernel", 3, "rrc"),
    ("Conv_0/kernel", 4, "rrrc"),
]


@pytest.mark.parametrize(("name", "rank", "layout"), KNOWN)
def test_what_names_and_ranks_tell(name, rank, layout):
    assert layouts.layout_of((), name, jnp.ones((2,) * rank)) == layout


@pytest.mark.parametrize(("name", "rank"), [("w", 3), ("dense/kernel", 3), ("blocks/kernel", 4), ("conv", 5)])
def test_what_nobody_can_tell_is_an_error_with_its_remedy(name, rank):
    with pytest.raises(ValueError, match=f"leaf '{name}' .*say which, by a rule such as") as error:
        layouts.layout_of((), name, jnp.ones((2,) * rank))
    # The remedy works.
    rule = str(error.value).split("such as (")[1].split(")")[0]
    pattern, layout = (part.strip("'") for part in rule.split(", "))
    assert layouts.layout_of(((pattern, layout),), name, jnp.ones((2,) * rank)) == "b" * (rank - 2) + "rc"


def test_rules_come_first_in_their_order():
    rules = (("embed", "rc"), ("dense", "others"), ("blocks", "brc"))
    assert layouts.layout_of(rules, "embed/embedding", jnp.ones((2, 2))) == "rc"
    assert layouts.layout_of(rules, "blocks/dense", jnp.ones((2, 2, 2))) == "others"


def test_leaves_without_elements_are_no_matrices():
    assert layouts.layout_of((), "dense/kernel", jnp.ones((0, 3))) == "others"


def test_axes():
    assert layouts.axes_of("rbc") == [[1], [0], [2]]
    assert layouts.axes_of("rrrc") == [[], [0, 1, 2], [3]]


def test_labels():
    label = layouts.labels_of((("x", "others"),))
    assert (label("x", jnp.ones((2, 2))), label("y", jnp.ones((2, 2)))) == ("others", "matrices")


@pytest.mark.parametrize("rules", ["rc", 3, [("a",)], [("a", 2)], [(1, "rc")]], ids=str)
def test_what_is_no_rules(rules):
    with pytest.raises(TypeError, match=r"layouts = .*accepted are \(regular expression, layout\) rules"):
        layouts.check_layouts(rules)


@pytest.mark.parametrize("word", ["rows", "rr", "bc", "", "other"])
def test_what_is_no_layout(word):
    with pytest.raises(ValueError, match=f"layout '{word}' for 'a': accepted are 'others' and words of b, r and c"):
        layouts.check_layouts([("a", word)])


def test_patterns_and_lengths_are_checked():
    with pytest.raises(ValueError, match="is no regular expression"):
        layouts.check_layouts([("(", "rc")])
    assert layouts.check_layouts([["a", "rc"]]) == (("a", "rc"),)
    with pytest.raises(ValueError, match=r"layout 'rc' for leaf 'w' of shape \(2, 2, 2\): accepted is one letter.*put"):
        layouts.layout_of((("w", "rc"),), "w", jnp.ones((2, 2, 2)))
