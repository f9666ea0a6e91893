"""The mechanism that all additive regularizers share: strengths, masks, dtypes, trees with gaps."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxlab import regularizers
from jaxlab.regularizers.additive import add_term


def square(p):
    return p**2


def once(tx, updates, params) -> Any:
    """One update from a fresh state."""
    return tx.update(updates, tx.init(params), params)[0]


def tree_of(value, dtype=jnp.float32):
    return {
        "dense": {"kernel": jnp.full((2, 3), value, dtype), "bias": jnp.full(3, value, dtype)},
        "scale": jnp.asarray(value, dtype),
    }


def added(strength, mask, params):
    """What the transform adds to updates of zero, one number for each leaf."""
    updates = once(add_term(square, strength, mask), jax.tree.map(jnp.zeros_like, params), params)
    return [leaf.ravel()[0].item() for leaf in jax.tree.leaves(updates)]


PARAMS = tree_of(2.0)  # its leaves in order: bias, kernel, scale


@pytest.mark.parametrize(
    ("strength", "mask", "expected"),
    [
        (0.5, None, [2, 2, 2]),
        (0.5, "matrices", [0, 2, 0]),
        (0.5, [("bias", False), (".*", True)], [0, 2, 2]),
        (0.5, {"dense": {"kernel": True, "bias": False}, "scale": False}, [0, 2, 0]),
        (0.5, {"dense": False, "scale": True}, [0, 0, 2]),
        (0.5, lambda params: jax.tree.map(lambda p: p.ndim == 1, params), [2, 0, 0]),
        ([("kernel", 0.5), (".*", 0.25)], None, [1, 2, 1]),
        ([("kernel", 0.5), ("bias", 0.25)], [("dense", True), (".*", False)], [1, 2, 0]),
        (0.0, None, [0, 0, 0]),
    ],
)
def test_strength_and_mask(strength, mask, expected):
    assert added(strength, mask, PARAMS) == expected


def test_masked_leaves_pass_untouched():
    updates = tree_of(3.0, jnp.bfloat16)
    out = once(add_term(square, 0.5, "matrices"), updates, PARAMS)
    assert out["dense"]["bias"] is updates["dense"]["bias"]


@pytest.mark.parametrize("update_dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("param_dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_full_precision_inside_and_the_updates_dtype_outside(update_dtype, param_dtype):
    # 300^2 overflows float16 and 1 + 2^-8 is 1 in bfloat16; their combination is exact in all three.
    u, p = jnp.full(2, 1.0, update_dtype), jnp.full(2, 300.0, param_dtype)
    out = once(add_term(square, 2.0**-8), u, p)
    assert out.dtype == update_dtype
    np.testing.assert_array_equal(out, np.float32(1 + 90000 / 256).astype(out.dtype))


def test_float64_under_x64(x64):
    p = jnp.full(2, 1 / 3)
    np.testing.assert_allclose(once(add_term(square, 0.1), jnp.zeros(2), p), 0.1 / 9, rtol=1e-15)


def test_gaps_in_trees():
    params = {"a": jnp.ones(2), "b": jnp.ones(2), "c": None, "d": jnp.zeros((0, 3)), "e": ()}
    updates = {"a": jnp.ones(2), "b": None, "c": None, "d": jnp.zeros((0, 3)), "e": ()}
    out = once(add_term(square, 0.5), updates, params)
    assert out["a"].tolist() == [1.5, 1.5]
    assert out["b"] is None
    assert out["d"].shape == (0, 3)
    assert jax.tree.structure(out) == jax.tree.structure(updates)
    assert once(add_term(square, 0.5), {}, {}) == {}


def test_inside_optax_masked():
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    for mask in (None, [("a", True)], {"a": True, "b": False}):
        tx = optax.masked(add_term(square, 0.5, mask), {"a": True, "b": False})
        out = once(tx, params, params)
        assert [leaf.tolist() for leaf in jax.tree.leaves(out)] == [[1.5, 1.5], [1.0, 1.0]]


def test_nnx_state_masks_and_trees():
    model = nnx.Linear(2, 3, bias_init=nnx.initializers.ones, rngs=nnx.Rngs(0))
    state = nnx.state(model, nnx.Param)
    mask = jax.tree.map(lambda p: p.ndim == 1, state)
    for params in (state, nnx.to_pure_dict(state)):
        zeros = jax.tree.map(jnp.zeros_like, params)
        for form in (mask, [("bias$", True), (".*", False)]):
            out = once(add_term(square, 0.5, form), zeros, params)
            assert jax.tree.structure(out) == jax.tree.structure(zeros)
            bias, kernel = jax.tree.leaves(out)
            assert bias.tolist() == [0.5] * 3
            assert not kernel.any()


def test_nnx_optimizer():
    model = nnx.Linear(2, 3, use_bias=False, rngs=nnx.Rngs(0))
    before = model.kernel[...]
    tx = optax.chain(regularizers.l2(0.5, [("kernel$", True)]), optax.sgd(1.0))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    optimizer.update(model, jax.tree.map(jnp.zeros_like, nnx.state(model, nnx.Param)))
    np.testing.assert_array_equal(model.kernel[...], before / 2)


def test_strengths_trace_and_vmap():
    traces = []

    @jax.jit
    def step(strength, bias, params):
        traces.append(1)
        return once(add_term(square, [("bias", bias), (".*", strength)]), params, params)

    numbers = jnp.array([0.0, 0.25, 3.0]), jnp.array([1.0, 0.0, 0.5])
    alone = [step(a, b, PARAMS) for a, b in zip(*numbers, strict=True)]
    assert len(traces) == 1
    together = jax.vmap(step, in_axes=(0, 0, None))(*numbers, PARAMS)
    for i, one in enumerate(alone):
        jax.tree.map(np.testing.assert_array_equal, one, jax.tree.map(lambda leaf, i=i: leaf[i], together))
        rules = [("bias", float(numbers[1][i])), (".*", float(numbers[0][i]))]
        jax.tree.map(np.testing.assert_array_equal, one, once(add_term(square, rules), PARAMS, PARAMS))


def test_init_under_eval_shape_and_unknown_extra_arguments():
    tx = add_term(square, 0.5, "matrices")
    assert jax.eval_shape(tx.init, PARAMS) == optax.EmptyState()
    tx.update(PARAMS, tx.init(PARAMS), PARAMS, value=1.0, nobody_knows=2)


def test_missing_parameters():
    tx = add_term(square, 0.5)
    with pytest.raises(ValueError, match=r"params = None: .* tx.update\(updates, state, params\)"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf"), [("a", -1.0)]])
def test_strengths_out_of_range(strength):
    with pytest.raises(ValueError, match="strength"):
        add_term(square, strength)


@pytest.mark.parametrize("strength", ["0.1", None, [0.1, 0.2], [("a", "b")], [(1, 0.5)], jnp.ones(2)])
def test_strengths_of_wrong_type(strength):
    with pytest.raises(TypeError, match="strength"):
        add_term(square, strength)


def test_bad_rules_are_said_at_once():
    with pytest.raises(ValueError, match=r"strength: '\(' is no regular expression"):
        add_term(square, [("(", 0.1)])
    with pytest.raises(ValueError, match="no rule matches 'dense/bias', 'scale'"):
        add_term(square, [("kernel", 0.1)]).init(PARAMS)
    with pytest.raises(ValueError, match="mask = 'matrix'"):
        add_term(square, 0.1, "matrix").init(PARAMS)


@pytest.mark.parametrize(("u", "p"), [(jnp.ones(2, int), jnp.ones(2)), (jnp.ones(2), jnp.ones(2, complex))])
def test_what_is_no_real_floating_array_is_refused(u, p):
    with pytest.raises(TypeError, match="accepted are real floating arrays"):
        once(add_term(square, 0.5), u, p)
