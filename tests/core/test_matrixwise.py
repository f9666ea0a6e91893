"""A stack of matrices is each matrix alone: the engine beside a plain loop in float64 NumPy."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab.core import matrixwise as engine
from jaxlab.core import storage

SHAPES = {
    "dense/kernel": (3, 4),
    "mlp/kernel": (3, 4),
    "out/kernel": (7, 5),
    "conv/kernel": (2, 1, 3, 4),
    "blocks/kernel": (2, 3, 4),
    "query/kernel": (3, 2, 4),
}
RULES = (("blocks", "brc"), ("query", "rbc"))

# Every matrix by hand, as the indices of its elements: of convolutions the outputs are the columns, of attention
# each head is one.
MATRICES = {
    "dense/kernel": lambda x: [x],
    "mlp/kernel": lambda x: [x],
    "out/kernel": lambda x: [x],
    "conv/kernel": lambda x: [x.reshape(6, 4)],
    "blocks/kernel": lambda x: [x[0], x[1]],
    "query/kernel": lambda x: [x[:, 0], x[:, 1]],
}
BLOCKS = [(slice(r, r + 3), slice(c, c + 3)) for r in (0, 3, 6) for c in (0, 3)]
"""Of at most 3 x 3, ragged at the edges; of smaller matrices some are empty."""


class Sum(NamedTuple):
    m: Any


def matrixwise(*args, **kwargs) -> Any:
    """The engine, its trees untyped: these tests look into them."""
    return engine.matrixwise(*args, **kwargs)


def cubed(**kwargs):
    """What no element can do without the others of its matrix: the sum of gradients, cubed, over its norm."""

    def update(matrix, slots):
        m = slots.m + matrix.g
        return m @ m.T @ m / jnp.sum(m**2) + matrix.t * matrix.p, Sum(m)

    return matrixwise(update, slots=lambda p: Sum(storage.zeros(p)), needs_params=True, rules=RULES, **kwargs)


def _tree(seed, dtype=jnp.float32):
    rng = np.random.default_rng(seed)
    return {name: jnp.asarray(rng.standard_normal(shape), dtype) for name, shape in SHAPES.items()}


def _one_by_one(name, parts, sums, p, t):
    """The update of one leaf, its matrices one after the other."""
    flat, result = np.arange(p.size).reshape(p.shape), np.full(p.size, np.nan)
    for index in parts(MATRICES[name](flat)):
        m = sums.ravel()[index]
        result[index] = m @ m.T @ m / np.sum(m**2) + t * p.ravel()[index]
    return result.reshape(p.shape)


def _whole(matrices):
    return matrices


def _blocks(matrices):
    return [block for x in matrices for rows, columns in BLOCKS if (block := x[rows, columns]).size]


@pytest.mark.parametrize(("block_size", "parts"), [(None, _whole), (3, _blocks)], ids=["whole", "blocks"])
def test_a_stack_is_each_matrix_alone(block_size, parts):
    tx = cubed(block_size=block_size)
    params = _tree(0)
    state, step = tx.init(params), jax.jit(tx.update)
    sums = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    for t in (1, 2, 3):
        grads = _tree(t)
        updates, state = step(grads, state, params)
        for name in SHAPES:
            sums[name] = sums[name] + np.float64(grads[name])
            wanted = _one_by_one(name, parts, sums[name], np.float64(params[name]), t)
            np.testing.assert_allclose(updates[name], wanted, rtol=1e-4, atol=1e-5)
    # Two dense kernels, two scanned and two heads are one stack; of blocks, 3 x 3 and its ragged edges are.
    shapes = {key: slots.m.shape for key, slots in state.slots.items()}
    if block_size is None:
        assert shapes == {"3x4": (6, 3, 4), "7x5": (1, 7, 5), "6x4": (1, 6, 4)}
    else:
        assert shapes == {"3x3": (10, 3, 3), "3x1": (8, 3, 1), "3x2": (2, 3, 2), "1x3": (1, 1, 3), "1x2": (1, 1, 2)}


def test_many_leaves_under_jit_are_what_they_are_eagerly():
    """From eight leaves on a compiler is not told where in the stack each lies."""
    grads = {f"layer{i}": {"kernel": jnp.full((2, 2), float(i))} for i in range(9)} | {"last": jnp.ones((3, 2, 2))}
    tx = matrixwise(lambda matrix, slots: (matrix.g @ matrix.g, slots), rules=[("last", "brc")])
    wanted, _ = tx.update(grads, tx.init(grads))
    updates, _ = jax.jit(tx.update)(grads, tx.init(grads))
    jax.tree.map(np.testing.assert_array_equal, updates, wanted)
    assert float(updates["layer3"]["kernel"][0, 0]) == 18.0


def test_absent_gradients_leave_their_matrices_alone():
    tx = cubed()
    params = {"a": jnp.ones((2, 2)), "b": jnp.ones((2, 2)), "c": jnp.ones((4, 2))}
    state = tx.init(params)
    _, state = tx.update(params, state, params)
    updates, after = tx.update({"a": None, "b": 2 * params["b"], "c": None}, state, params)
    assert updates["a"] is None is updates["c"]
    assert float(updates["b"][0, 0]) == 3.0 + 2.0
    assert after.slots["2x2"].m[:, 0, 0].tolist() == [1.0, 3.0]
    np.testing.assert_array_equal(after.slots["4x2"].m, state.slots["4x2"].m)


def test_matrices_are_in_full_precision_and_state_in_its_own():
    seen = []

    def update(matrix, slots):
        seen.append((matrix.g.dtype, matrix.p.dtype, slots.m.dtype, matrix.t.dtype))
        return matrix.g, Sum(slots.m + matrix.g)

    tx = matrixwise(update, slots=lambda p: Sum(storage.zeros(p)), store="bfloat16", needs_params=True)
    params = {"a": jnp.ones((2, 3), jnp.bfloat16), "b": jnp.ones((2, 3), jnp.float16)}
    state = tx.init(params)
    for dtype in (jnp.bfloat16, jnp.float16, jnp.float32):
        grads = jax.tree.map(lambda p, dtype=dtype: p.astype(dtype), params)
        updates, state = tx.update(grads, state, params)
        assert {u.dtype for u in updates.values()} == {jnp.dtype(dtype)}
        assert state.slots["2x3"].m.dtype == jnp.bfloat16
    assert set(seen) == {(jnp.dtype(jnp.float32),) * 4}


def test_parameters_are_shown_to_those_who_need_them():
    tx = matrixwise(lambda matrix, slots: (matrix.g, slots) if matrix.p is None else (matrix.p, slots))
    params = jnp.ones((2, 2))
    assert tx.update(3 * params, tx.init(params), params)[0][0, 0] == 3.0
    with pytest.raises(ValueError, match="needs the parameters"):
        cubed().update(params, cubed().init(params))


def test_keys_differ_by_matrix_and_step_and_repeat():
    tx = matrixwise(lambda matrix, slots: (jax.random.uniform(matrix.key, matrix.g.shape), slots))
    grads = {"a": jnp.zeros((10, 10)), "b": jnp.zeros((10, 10))}
    state = tx.init(grads)
    first, state = tx.update(grads, state)
    second, _ = tx.update(grads, state)
    again, _ = tx.update(grads, tx.init(grads))
    np.testing.assert_array_equal(first["a"], again["a"])
    for x, y in ((first["a"], first["b"]), (first["a"], second["a"])):
        assert abs(np.corrcoef(np.ravel(x), np.ravel(y))[0, 1]) < 0.4


def test_a_conditional_on_the_clock_stays_one_in_a_population():
    def update(matrix, slots):
        return jax.lax.cond(matrix.clock % 3 == 0, lambda: 2 * matrix.g, lambda: matrix.g), slots

    tx = matrixwise(update)
    states = jax.vmap(tx.init)(jnp.ones((4, 2, 2)))

    def members(grads, states, step):
        return jax.vmap(lambda g, s: tx.update(g, s, step=step))(grads, states)

    for step, factor in ((0, 1.0), (1, 1.0), (2, 2.0)):
        updates, states = members(jnp.ones((4, 2, 2)), states, jnp.int32(step))
        assert float(updates[3, 0, 0]) == factor
    assert "cond[" in str(jax.make_jaxpr(members)(jnp.ones((4, 2, 2)), states, jnp.int32(0)))


def test_state_shares_no_buffer_and_is_donated():
    tx = matrixwise(
        lambda matrix, slots: (matrix.g, Sum(slots.m + 1)), slots=lambda p: Sum(storage.Slot(jnp.ones(p.shape)))
    )
    params = {"a": jnp.ones((2, 2)), "b": jnp.ones((2, 2))}

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(state, params):
        updates, state = tx.update(params, state)
        return state, optax.apply_updates(params, updates)

    state, params = step(*step(tx.init(params), params))
    assert float(state.slots["2x2"].m[1, 0, 0]) == 3.0


def test_what_is_no_matrix_is_named():
    tx = matrixwise(lambda matrix, slots: (matrix.g, slots))
    with pytest.raises(ValueError, match=r"leaf 'bias' of shape \(3,\) is no matrix: give it to another transform"):
        tx.init({"bias": jnp.ones(3)})
    with pytest.raises(ValueError, match=r"leaf 'w' of shape \(2, 3, 4\) may be one matrix, .* rule such as \('w', 'b"):
        tx.init({"w": jnp.ones((2, 3, 4))})
    with pytest.raises(TypeError, match="leaf 'w' has dtype int32"):
        tx.init({"w": jnp.ones((2, 3), int)})
    state = tx.init({"w": jnp.ones((2, 3))})
    with pytest.raises(TypeError, match="leaf 'w' has dtype int32"):
        tx.update({"w": jnp.ones((2, 3), int)}, state)
    with pytest.raises(ValueError, match=r"leaf 'v' has no state: accepted are \['w'\]"):
        tx.update({"v": jnp.ones((2, 3))}, state)


def test_rules_choose_the_format_of_a_leaf_by_its_name():
    """Equal matrices that are kept in different formats are different stacks; what is exact stays so to the bit."""
    params, grads = _tree(0), _tree(1)
    exact, mixed = cubed(), cubed(store=[("dense|query", "float32"), ("", "bfloat16")])
    state = mixed.init(params)
    assert {key: slots.m.dtype for key, slots in state.slots.items()} == {
        "3x4-float32": jnp.float32,
        "3x4-bfloat16": jnp.bfloat16,
        "6x4-bfloat16": jnp.bfloat16,
        "7x5-bfloat16": jnp.bfloat16,
    }
    assert state.slots["3x4-float32"].m.shape[0] == 3
    updates, after = jax.jit(mixed.update)(grads, state, params)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    wanted, _ = jax.jit(exact.update)(grads, exact.init(params), params)
    for name in SHAPES:
        np.testing.assert_allclose(updates[name], wanted[name], rtol=1e-5)
    own = after.slots["3x4-float32"].m
    np.testing.assert_array_equal(own[0], grads["dense/kernel"])
    np.testing.assert_array_equal(own[1:], jnp.moveaxis(grads["query/kernel"], 1, 0))
    assert list(cubed(store=(("", "bfloat16"),)).init(params).slots) == ["3x4", "6x4", "7x5"]
    with pytest.raises(ValueError, match="no rule matches 'blocks/kernel', 'conv/kernel'"):
        cubed(store=(("dense|mlp|out|query", "int8"),)).init(params)


def test_a_direction_of_another_shape_is_refused():
    tx = matrixwise(lambda matrix, slots: (matrix.g.T, slots))
    with pytest.raises(ValueError, match=r"matrices 2x3: direction \(3, 2\) for a gradient \(2, 3\)"):
        tx.update(jnp.ones((2, 3)), tx.init(jnp.ones((2, 3))))


def test_bad_arguments_are_named():
    for size, error in ((0, ValueError), (2.0, TypeError), (True, TypeError)):
        with pytest.raises(error, match=f"block_size = {size}: accepted is a whole number"):
            cubed(block_size=size)
    with pytest.raises(ValueError, match="state_dtype = 'half'"):
        cubed(store="half")
