"""The engine's seam, tried with optimizers small enough to be written again in NumPy."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab.core import leafwise as engine
from jaxlab.core import storage

SHAPES = {"a": (), "b": (5,), "c": (2, 3), "d": (2, 1, 3, 1, 2), "e": (0, 3)}


def _tree(seed, dtype=jnp.float32, scale=1.0):
    rng = np.random.default_rng(seed)
    return {name: jnp.asarray(scale * rng.standard_normal(shape), dtype) for name, shape in SHAPES.items()}


def leafwise(*args, **kwargs) -> Any:
    """The engine, its trees untyped: these tests look into them."""
    return engine.leafwise(*args, **kwargs)


class Sum(NamedTuple):
    s: Any


def running_sum(store="float32", **kwargs):
    """The sum of all gradients: the smallest optimizer with state."""

    def update(leaf, slots, shared, t):
        s = slots.s + leaf.g
        return s, Sum(s)

    return leafwise(update, slots=lambda p: Sum(storage.zeros(p)), store=store, **kwargs)


class Past(NamedTuple):
    g: Any


def normalised_with_memory():
    r"""d = (g + last g) / norm over all leaves, times the step's number, times what the shared memory holds."""

    def gather(leaf, slots, shared, t):
        direction = leaf.g + slots.g
        return Past(leaf.g), {"square": jnp.sum(direction**2), "count": jnp.float32(leaf.g.size)}

    def combine(shared, sums, t, *, boost=1.0, **extra):
        return {"norm": jnp.sqrt(sums["square"]), "total": shared["total"] + sums["count"] * boost, "last_t": t}

    def update(leaf, slots, shared, t):
        return leaf.g / shared["norm"] * shared["total"], slots

    start = {"norm": jnp.float32(0), "total": jnp.float32(1), "last_t": jnp.float32(0)}
    return leafwise(update, slots=lambda p: Past(storage.zeros(p)), gather=gather, combine=combine, shared=start)


def test_gather_combine_update_against_numpy():
    tx = normalised_with_memory()
    state = tx.init(_tree(0))
    past = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    total, step = 1.0, jax.jit(tx.update)
    size = sum(int(np.prod(shape)) for shape in SHAPES.values())
    for i in range(1, 6):
        grads = _tree(i)
        updates, state = step(grads, state, boost=float(i))
        exact = jax.tree.map(lambda x: np.asarray(x, np.float64), grads)
        norm = np.sqrt(sum(np.sum((exact[name] + past[name]) ** 2) for name in SHAPES))
        total += size * i
        past = exact
        for name in SHAPES:
            np.testing.assert_allclose(updates[name], exact[name] / norm * total, rtol=1e-5)
        assert float(state.shared["last_t"]) == i


def test_combine_without_gather_sees_no_sums():
    def combine(shared, sums, t, *, value, **extra):
        assert sums is None
        return value

    tx = leafwise(lambda leaf, slots, shared, t: (leaf.g * shared, slots), combine=combine, shared=jnp.float32(0))
    state = tx.init(jnp.ones(2))
    updates, state = tx.update(jnp.ones(2), state, value=jnp.float32(3), other="ignored")
    assert updates.tolist() == [3.0, 3.0]
    assert float(state.shared) == 3.0


def test_leaf_is_full_precision_and_named():
    seen = {}

    def update(leaf, slots, shared, t):
        seen[leaf.name] = (leaf.g.dtype, leaf.p.dtype, t.dtype, leaf.g.shape)
        return leaf.g, slots

    tx = leafwise(update, needs_params=True)
    params = {"x": jnp.ones((2, 2), jnp.bfloat16), "y": [jnp.ones(3, jnp.float16)]}
    updates, _ = tx.update(params, tx.init(params), params)
    full = jnp.dtype(jnp.float32)
    assert seen == {"x": (full, full, full, (2, 2)), "y/0": (full, full, full, (3,))}
    assert jax.tree.map(jnp.result_type, updates) == jax.tree.map(jnp.result_type, params)


def test_slots_see_full_precision():
    seen = []

    def slots(p):
        seen.append(p.dtype)
        return Sum(storage.zeros(p))

    leafwise(lambda leaf, slots, shared, t: (leaf.g, slots), slots=slots).init(jnp.ones(2, jnp.bfloat16))
    assert set(seen) == {jnp.dtype(jnp.float32)}


def test_t_counts_from_one():
    tx = leafwise(lambda leaf, slots, shared, t: (leaf.g * t, slots))
    state = tx.init(jnp.ones(1))
    for i in range(1, 4):
        updates, state = tx.update(jnp.ones(1), state)
        assert float(updates[0]) == i
    assert int(state.count) == 3


def test_keys_differ_by_leaf_and_step_and_repeat():
    def update(leaf, slots, shared, t):
        return jax.random.uniform(leaf.key, leaf.g.shape), slots

    tx = leafwise(update)
    grads = {"a": jnp.zeros(100), "b": jnp.zeros(100)}
    state = tx.init(grads)
    first, state = tx.update(grads, state)
    second, _ = tx.update(grads, state)
    again, _ = tx.update(grads, tx.init(grads))
    np.testing.assert_array_equal(first["a"], again["a"])
    for x, y in ((first["a"], first["b"]), (first["a"], second["a"])):
        assert abs(np.corrcoef(x, y)[0, 1]) < 0.4
    assert abs(float(jnp.mean(first["a"])) - 0.5) < 0.15


class Mixed(NamedTuple):
    start: Any
    exact: Any
    per_row: Any


def memory_of_the_start(store):
    """Slots of other shapes and initial values than zeros: the parameter itself, and one number a row."""

    def slots(p):
        return Mixed(
            start=storage.Slot(p),
            exact=storage.Slot(jnp.ones_like(p), low_bit=False),
            per_row=storage.Slot(jnp.zeros(p.shape[:1]), axes=(0,)),
        )

    def update(leaf, slots, shared, t):
        axes = tuple(range(1, leaf.g.ndim))
        per_row = slots.per_row + (jnp.sum(leaf.g**2, axis=axes) if leaf.g.ndim else leaf.g**2)
        return leaf.g + slots.start, Mixed(slots.start, slots.exact + 1, per_row)

    return leafwise(update, slots=slots, store=store)


@pytest.mark.parametrize("store", ["float32", "bfloat16"])
def test_slots_of_any_shape_and_start(store):
    tx = memory_of_the_start(store)
    params = _tree(0, jnp.bfloat16)
    state = tx.init(params)
    update = jax.jit(tx.update)
    for _ in range(3):
        _, after = update(_tree(1, jnp.float16), state, params)
        assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)
        assert jax.tree.map(jnp.result_type, after) == jax.tree.map(jnp.result_type, state)
        state = after
    kept = jnp.dtype(store)
    for name, shape in SHAPES.items():
        assert state.slots.start[name].dtype == kept
        assert state.slots.exact[name].dtype == jnp.float32
        assert state.slots.per_row[name].shape == shape[:1]
        np.testing.assert_array_equal(state.slots.exact[name], 4.0)
        # The start is a bfloat16 value: no rounding moves it.
        np.testing.assert_array_equal(np.float32(state.slots.start[name]), np.float32(params[name]))


@pytest.mark.parametrize("store", ["float32", "bfloat16"])
def test_state_shares_no_buffer_with_the_parameters(store):
    """A slot that begins as the parameter is a copy of it, or donating both fails."""
    tx = memory_of_the_start(store)
    params = {"w": jnp.ones((3, 2), store)}
    state = tx.init(params)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(state, params, grads):
        updates, state = tx.update(grads, state, params)
        return state, optax.apply_updates(params, updates)

    state, params = step(state, params, jax.tree.map(jnp.ones_like, params))
    state, params = step(state, params, jax.tree.map(jnp.ones_like, params))
    assert float(state.slots.exact["w"][0, 0]) == 3.0


def test_shared_scalars_are_copied_too():
    start = jnp.float32(1)
    state = leafwise(lambda leaf, slots, shared, t: (leaf.g, slots), shared=start).init(jnp.ones(1))
    assert state.shared.unsafe_buffer_pointer() != start.unsafe_buffer_pointer()


def test_absent_gradients_leave_their_slots_alone():
    tx = running_sum()
    params = {"a": jnp.ones(2), "b": jnp.ones(3)}
    state = tx.init(params)
    _, state = tx.update(params, state)
    updates, state = tx.update({"a": None, "b": jnp.ones(3)}, state)
    assert updates["a"] is None
    assert state.slots.s["a"].tolist() == [1.0, 1.0]
    assert state.slots.s["b"].tolist() == [2.0, 2.0, 2.0]


def test_absent_parameters_have_no_slots():
    tx = running_sum()
    params = {"a": None, "b": jnp.ones(3), "c": optax.MaskedNode()}
    state = tx.init(params)
    updates, state = tx.update(params, state, params)
    assert updates["a"] is None
    assert updates["c"] == optax.MaskedNode()
    assert len(jax.tree.leaves(state.slots)) == 1


def test_parameters_are_asked_for_where_needed():
    tx = leafwise(lambda leaf, slots, shared, t: (leaf.p, slots), needs_params=True)
    with pytest.raises(ValueError, match="needs the parameters"):
        tx.update(jnp.ones(1), tx.init(jnp.ones(1)))


def test_leaves_that_are_no_real_arrays_are_named():
    tx = running_sum()
    for dtype in (jnp.int32, jnp.complex64, bool):
        with pytest.raises(TypeError, match="leaf 'layer/0' has dtype"):
            tx.init({"layer": [jnp.ones(1, dtype)]})
    state = tx.init({"w": jnp.ones(1)})
    with pytest.raises(TypeError, match="leaf 'w' has dtype int32"):
        tx.update({"w": jnp.ones(1, jnp.int32)}, state)


def test_unknown_store():
    with pytest.raises(ValueError, match="state_dtype = 'float64'"):
        running_sum(store="float64")


def test_a_direction_of_another_shape_is_refused():
    tx = leafwise(lambda leaf, slots, shared, t: (jnp.sum(leaf.g), slots))
    with pytest.raises(ValueError, match="'w'"):
        tx.update({"w": jnp.ones(3)}, tx.init({"w": jnp.ones(3)}))


def test_low_precision_slots_round_by_step_and_leaf():
    tx = running_sum(store="bfloat16")
    params = {"a": jnp.zeros(2000), "b": jnp.zeros(2000)}
    grads = jax.tree.map(lambda p: jnp.full_like(p, 1.003), params)
    state = tx.init(params)
    step = jax.jit(tx.update)
    for _ in range(2):
        _, state = step(grads, state)
    a, b = (np.asarray(state.slots.s[name], np.float32) for name in "ab")
    # Right on average, and not equal: 2.006 lies between 2 and 2.015625.
    for values in (a, b):
        assert np.mean(values) == pytest.approx(2.006, abs=1e-3)
    assert np.mean(a != b) > 0.1


def test_combine_is_given_the_extra_arguments_it_names_and_keeps_its_dtypes():
    def combine(shared, sums, t, value):
        return {"seen": shared["seen"] + value}

    tx = leafwise(lambda leaf, slots, shared, t: (shared["seen"] * leaf.g, slots), combine=combine, shared={"seen": 1})
    state = tx.init(jnp.ones(2))
    updates, after = tx.update(jnp.ones(2), state, value=jnp.float32(2.0), key="unknown", other=3)
    assert updates.tolist() == [3.0, 3.0]
    assert after.shared["seen"].dtype == state.shared["seen"].dtype
