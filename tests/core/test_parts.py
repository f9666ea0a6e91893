"""Parts of a tree: what is split comes together again; names that are not there are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.core import parts

WHOLE = {"base": {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}, "head": [jnp.full(2, 5.0), jnp.full(1, 7.0)]}


@pytest.mark.parametrize(
    "which",
    ["^base/", ((r"kernel|/1$", True), ("", False)), {"base": True, "head": [False, True]}],
    ids=["expression", "rules", "tree"],
)
def test_what_is_split_comes_together_again(which):
    flags = parts.chosen("frozen", which, WHOLE)
    ours, theirs = parts.split(flags, WHOLE)
    assert len(jax.tree.leaves(ours)) == sum(flags)
    assert len(jax.tree.leaves(theirs)) == 4 - sum(flags)
    for part, rest in ((ours, theirs), (theirs, ours)):
        whole = parts.merged(part, rest)
        assert jax.tree.structure(whole) == jax.tree.structure(WHOLE)
        assert all(a is b for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(WHOLE), strict=True))


def test_rules_of_a_part_choose_its_leaves():
    part = {"base": {"bias": None, "kernel": 1.0}, "head": [None, 2.0]}
    assert parts.chosen("frozen", parts.rules(part), WHOLE) == [False, True, False, True]
    assert jax.tree.leaves(parts.without(WHOLE, part)) == [WHOLE["base"]["bias"], WHOLE["head"][0]]


def test_a_part_laid_over_takes_the_wholes_dtypes():
    found = parts.overlaid("start", WHOLE, {"base": {"bias": np.arange(3, dtype=np.float64)}})
    assert found["base"]["bias"].tolist() == [0, 1, 2]
    assert found["base"]["bias"].dtype == jnp.float32
    assert found["head"][0] is WHOLE["head"][0]
    assert parts.overlaid("start", WHOLE, None)["base"]["kernel"] is WHOLE["base"]["kernel"]


@pytest.mark.parametrize(
    ("error", "which", "message"),
    [
        (ValueError, "^bsae/", r"frozen = .* accepted is what holds for a leaf; their names are 'base/bias'"),
        (ValueError, "(", "frozen: '\\(' is no regular expression"),
        (TypeError, ((".*", "yes"),), "frozen: mask: 'yes' for '.*'"),
        (ValueError, (("base", True),), "frozen: no rule matches 'head/0'"),
    ],
)
def test_a_choice_of_nothing_is_refused(error, which, message):
    with pytest.raises(error, match=message):
        parts.chosen("frozen", which, WHOLE)


def test_a_part_that_the_whole_has_not_is_refused():
    with pytest.raises(ValueError, match="start has a leaf 'base/scale': accepted are names of parameters"):
        parts.overlaid("start", WHOLE, {"base": {"scale": jnp.ones(3)}})
    with pytest.raises(ValueError, match=r"start: 'base/bias' has shape \(4,\): accepted is \(3,\)"):
        parts.overlaid("start", WHOLE, {"base": {"bias": jnp.ones(4)}})
