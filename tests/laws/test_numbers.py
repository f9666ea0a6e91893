"""Types are stable, zero is at rest, and what is huge or not finite breaks no structure."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from laws import subjects
from laws.subjects import AT_REST, SUBJECTS, stand_trial, types

every = stand_trial(SUBJECTS)


@every
def test_state_and_updates_keep_their_types(subject):
    grads = subjects.gradients(0)
    fresh = subject.transform().init(subjects.parameters())
    updates, state = subjects.run(subject, [grads, subjects.gradients(1)])
    assert types(state) == types(fresh)
    assert types(updates[-1]) == types(grads)


@every
def test_state_keeps_its_types_whatever_the_gradients_are(subject):
    """The state is that of the parameters: gradients of another dtype, this step or the next, do not change it."""
    tx = subject.transform()
    params = subjects.parameters()
    fresh = tx.init(params)
    for dtype in (jnp.float32, jnp.bfloat16, jnp.float16):
        grads = jax.tree.map(lambda g, dtype=dtype: g.astype(dtype), subjects.gradients(0))
        updates, state = jax.eval_shape(tx.update, grads, fresh, params)
        assert types(state) == types(fresh)
        assert {leaf.dtype for leaf in jax.tree.leaves(updates)} == {jnp.dtype(dtype)}


@every
def test_arithmetic_is_never_below_float32(subject):
    """Slots and scalars alike: only a low-precision store may keep less, and only arrays. A mask is no number."""
    leaves = jax.tree.leaves(subject.transform().init(subjects.parameters()))
    state = [leaf for leaf in leaves if leaf.dtype != bool]
    kept = {jnp.dtype(jnp.bfloat16)} if subject.low_bit else set()
    for leaf in state:
        assert leaf.dtype in {jnp.dtype(jnp.float32), jnp.dtype(jnp.int32)} | kept
        # The tree has one scalar parameter; its slots follow the rest, and all other scalars are global.
    scalars = [leaf for leaf in state if leaf.ndim == 0 and leaf.dtype not in kept]
    assert all(leaf.dtype in (jnp.float32, jnp.int32) for leaf in scalars)


@every
def test_zero_gradients_leave_a_fresh_start_at_rest(subject):
    numbers = {name: AT_REST.get(name, value) for name, value in subject.hyperparams.items()}
    for update in subjects.run(subject, [subjects.constant_gradients(0.0)] * 3, numbers)[0]:
        jax.tree.map(lambda leaf: np.testing.assert_array_equal(leaf, 0), update)


@every
@pytest.mark.parametrize("value", [1e30, -1e30])
def test_huge_gradients_give_finite_updates(subject, value):
    """In float16 the largest number stands for it. The ordinary step that follows is finite, too."""
    fresh = subject.transform().init(subjects.parameters())
    updates, state = subjects.run(subject, [subjects.constant_gradients(value), subjects.gradients(0)])
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(updates))
    assert types(state) == types(fresh)


@every
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_changes_no_type(subject, value):
    fresh = subject.transform().init(subjects.parameters())
    updates, state = subjects.run(subject, [subjects.constant_gradients(value)])
    assert types(state) == types(fresh)
    assert types(updates[0]) == types(subjects.gradients(0))
