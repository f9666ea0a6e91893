"""Widths: the paper's table, and what it is for."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab import modifiers, optimizers

RULES = [("^first", "input"), ("^head/bias", "fixed"), ("^head", "output"), ("", "hidden")]
GROWTH = 4.0


def _params(width: int) -> dict:
    return {
        "first": {"bias": jnp.ones(width), "kernel": jnp.ones((5, width))},
        "middle": {"kernel": jnp.ones((width, width))},
        "head": {"bias": jnp.ones(3), "kernel": jnp.ones((width, 3))},
    }


# Yang et al. 2021, table 3, with everything relative to a base: fan-in and fan-out of what grows are GROWTH.
TABLE = {
    "adam": {"first/bias": 1.0, "first/kernel": 1.0, "middle/kernel": 1 / 4, "head/kernel": 1 / 4, "head/bias": 1.0},
    "sgd": {"first/bias": 4.0, "first/kernel": 4.0, "middle/kernel": 1.0, "head/kernel": 1 / 4, "head/bias": 1.0},
}


@pytest.mark.parametrize("kind", TABLE)
def test_steps_are_multiplied_by_the_papers_table(kind):
    params = _params(8)
    tx = modifiers.mup(optax.sgd(1.0), RULES, GROWTH, kind)
    updates, _ = jax.jit(tx.update)(params, tx.init(params), params)
    for name, factor in TABLE[kind].items():
        layer, leaf = name.split("/")
        np.testing.assert_allclose(updates[layer][leaf], -factor, rtol=1e-6)


def test_initial_deviations_follow_the_papers_table():
    """Variance 1 / fan-in of hidden, 1 / fan-in squared of output weights, whatever the model's own was."""
    params = _params(8)
    for init, hidden, output in (("fan_in", 1.0, 1 / 2), ("constant", 1 / 2, 1 / 4)):
        scaled = modifiers.mup_init(params, RULES, GROWTH, init)
        np.testing.assert_allclose(scaled["middle"]["kernel"], hidden, rtol=1e-6)
        np.testing.assert_allclose(scaled["head"]["kernel"], output, rtol=1e-6)
        np.testing.assert_array_equal(scaled["first"]["kernel"], 1.0)


def test_roles_are_found_by_comparing_two_widths():
    rules, growth = modifiers.roles_of(_params(4), jax.eval_shape(lambda: _params(12)))
    assert growth == 3.0
    found = {pattern.strip("^$").replace("\\", ""): role for pattern, role in rules}
    assert found == {
        "first/bias": "input",
        "first/kernel": "input",
        "middle/kernel": "hidden",
        "head/bias": "fixed",
        "head/kernel": "output",
    }


@pytest.mark.parametrize("wide", [{"heads": 4, "size": 3}, {"heads": 2, "size": 6}], ids=["heads", "size"])
def test_attention_is_hidden_whether_heads_grow_or_their_size(wide):
    def shapes(heads: int, size: int) -> dict:
        width, layers = heads * size, 7
        return {
            "key": {"bias": jnp.ones((heads, size)), "kernel": jnp.ones((width, heads, size))},
            "out": {"bias": jnp.ones(width), "kernel": jnp.ones((heads, size, width))},
            "scanned": {"bias": jnp.ones((layers, width)), "kernel": jnp.ones((layers, width, width))},
        }

    rules, growth = modifiers.roles_of(shapes(2, 3), shapes(**wide))
    assert growth == 2.0
    assert [role for _, role in rules] == ["input", "hidden"] * 3


def test_a_growth_of_one_changes_nothing():
    params = _params(4)
    alone, around = optimizers.adam(0.1), modifiers.mup(optimizers.adam(0.1), RULES, 1.0)
    wanted, _ = alone.update(params, alone.init(params), params)
    updates, _ = around.update(params, around.init(params), params)
    jax.tree.map(np.testing.assert_array_equal, updates, wanted)


def test_in_a_chain_the_decay_is_left_alone():
    params = {"middle": jnp.full(1, 2.0)}
    zero = {"middle": jnp.zeros(1)}
    scale = modifiers.scale_by_width(RULES, GROWTH)
    tx = optax.chain(optax.scale(1.0), scale, optax.add_decayed_weights(0.5))
    assert float(tx.update(zero, tx.init(params), params)[0]["middle"][0]) == 1.0


def test_bad_input():
    with pytest.raises(ValueError, match=r"growth = 0: accepted is a number in \(0, inf\)"):
        modifiers.mup(optax.sgd(1.0), RULES, 0)
    with pytest.raises(ValueError, match=r"roles\['a'\] = 'hiden': unknown, did you mean 'hidden'"):
        modifiers.mup(optax.sgd(1.0), [("a", "hiden")], 2.0)
    with pytest.raises(ValueError, match="kind = 'adan': unknown"):
        modifiers.mup(optax.sgd(1.0), RULES, 2.0, "adan")
    with pytest.raises(TypeError, match="roles = 3"):
        modifiers.scale_by_width(3, 2.0)
    with pytest.raises(ValueError, match="no rule matches 'middle/kernel'"):
        modifiers.mup(optax.sgd(1.0), RULES[:3], 2.0).init(_params(2))
    with pytest.raises(ValueError, match="accepted is growth of its last two axes"):
        modifiers.roles_of({"a": jnp.ones((2, 3, 3))}, {"a": jnp.ones((4, 3, 3))})
    with pytest.raises(ValueError, match="accepted is growth of its last two axes"):
        modifiers.roles_of({"a": jnp.ones((2, 3, 3))}, {"a": jnp.ones((4, 6, 6))})
    with pytest.raises(ValueError, match="accepted is growth of its last two axes"):
        modifiers.roles_of({"a": jnp.ones((2, 3))}, {"a": jnp.ones(4)})
    with pytest.raises(ValueError, match="accepted is one factor for all that grow"):
        modifiers.roles_of({"a": jnp.ones((2, 3))}, {"a": jnp.ones((4, 9))})
    with pytest.raises(ValueError, match="accepted are those of base"):
        modifiers.roles_of({"a": jnp.ones(2)}, {"b": jnp.ones(2)})
