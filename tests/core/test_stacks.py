"""Cutting leaves into stacks and putting them together again loses nothing, in any layout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.core import stacks

TREE = {
    "conv": jnp.arange(24.0).reshape(2, 1, 3, 4),
    "dense": jnp.arange(35.0).reshape(7, 5),
    "query": jnp.arange(30.0).reshape(5, 3, 2),
    "scanned": jnp.arange(24.0).reshape(2, 3, 4),
    "turned": jnp.arange(60.0).reshape(3, 2, 2, 5),
}
RULES = (("query", "rbc"), ("scanned", "brc"), ("turned", "cbrr"))
CLOCK = jnp.int32(1)


@pytest.mark.parametrize("block_size", [None, 1, 3, 100])
def test_cut_and_joined_is_what_it_was(block_size):
    leaves = stacks.leaves_of(RULES, TREE)
    cut = stacks.cut(TREE, leaves, None)
    parts = {name: {} for name in TREE}
    number = 0
    for stack in stacks.stacks_of(leaves, block_size):
        gathered = stack.gather(cut)
        assert gathered.shape == (stack.matrices, *stack.shape)
        assert max(stack.shape) <= (block_size or 10)
        number += gathered.size
        stack.hand_out(gathered, parts, CLOCK)
    assert number == sum(leaf.size for leaf in TREE.values())
    for name, leaf in TREE.items():
        np.testing.assert_array_equal(stacks.joined(parts[name], leaf, leaves.layout(name)), leaf)


def test_rows_and_columns_in_the_order_of_the_axes():
    cut = stacks.cut(TREE, stacks.leaves_of(RULES, TREE), None)
    np.testing.assert_array_equal(cut["conv"][0], TREE["conv"].reshape(6, 4))
    np.testing.assert_array_equal(cut["query"][1], TREE["query"][:, 1])
    turned = np.moveaxis(np.asarray(TREE["turned"])[:, 1], 0, -1)
    np.testing.assert_array_equal(cut["turned"][1], turned.reshape(10, 3))


def test_what_is_absent_is_zero_and_keeps_what_it_had():
    leaves = stacks.leaves_of((), {"a": jnp.ones((2, 2)), "b": jnp.ones((2, 2))})
    (stack,) = stacks.stacks_of(leaves, None)
    cut = stacks.cut({"b": jnp.ones((2, 2))}, leaves, None)
    assert stack.gather(cut)[:, 0, 0].tolist() == [0.0, 1.0]
    assert stack.where_present(cut, jnp.full((2, 3), 5.0), jnp.full((2, 3), 4.0))[:, 0].tolist() == [4.0, 5.0]
    parts = {"b": {}}
    stack.hand_out(jnp.stack([jnp.zeros((2, 2)), jnp.ones((2, 2))]), parts, CLOCK)
    assert parts["b"][0, 0].shape == (1, 2, 2)
    assert float(parts["b"][0, 0][0, 0, 0]) == 1.0


def test_leaves_are_structure():
    one, other = (stacks.leaves_of((), {name: jnp.ones((2, 2))}) for name in "ab")
    assert jax.tree.leaves(one) == []
    assert jax.tree.structure(one) == jax.tree.structure(stacks.leaves_of((), {"a": jnp.ones((2, 2))}))
    assert jax.tree.structure(one) != jax.tree.structure(other)
    with pytest.raises(ValueError, match=r"leaf 'b' has no state: accepted are \['a'\]"):
        one.layout("b")
