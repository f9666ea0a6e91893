"""The laws of numbers for every optimizer whose state is in blocks of 8 and of 4 bits.

The suite's one tree is too small for blocks: here leaves have up to a few hundred values, whole blocks and odd ones.
Blocks are the engines' and not the optimizers': a few optimizers stand for all every day, all of them at night.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from laws import subjects
from laws.subjects import AT_REST, PLAIN, types

from jaxlab import optimizers
from jaxlab.core import hyper

# No gradients in float16: what is rounded up from its largest number has no place in it.
SHAPES = {
    "matrix": ((16, 24), "float32", "float32"),
    "odd": ((3, 33), "bfloat16", "bfloat16"),
    "mixed": ((8, 64), "float32", "bfloat16"),
    "vector": ((70,), "bfloat16", "float32"),
    "small": ((5,), "float32", "float32"),
}
EVERY = 7
"""One pair of optimizer and format in so many stands trial every day: an odd number, so that both formats do."""


def _trials():
    plain = {subject.name: subject for subject in PLAIN}
    pairs = [
        (name, bits) for name in optimizers.names() for bits in ("int8", "int4") if "state_dtype" in _info(name).static
    ]
    for number, (name, bits) in enumerate(pairs):
        info = _info(name)

        def build(numbers, name=name, info=info, bits=bits):
            return subjects._around(name)(info.factory(**numbers, state_dtype=bits))

        one = dataclasses.replace(plain[name], name=f"{name}-{bits}", build=build, plain=False, low_bit=True)
        daily = name == "adam" or number % EVERY == 0
        yield pytest.param(one, id=one.name, marks=() if daily else pytest.mark.nightly)


def _info(name):
    return optimizers.get(name)


every = pytest.mark.parametrize("subject", list(_trials()))


def _gradients(seed):
    rng = np.random.default_rng(seed)
    return {name: jnp.asarray(rng.standard_normal(shape), dtype) for name, (shape, dtype, _) in SHAPES.items()}


def _constant(value):
    def one(leaf):
        limit = float(jnp.finfo(leaf.dtype).max)
        return jnp.full_like(leaf, np.clip(value, -limit, limit) if np.isfinite(value) else value)

    return jax.tree.map(one, _gradients(0))


def _parameters():
    rng = np.random.default_rng(1000)
    return {name: jnp.asarray(rng.standard_normal(shape), dtype) for name, (shape, _, dtype) in SHAPES.items()}


@functools.cache
def _start(subject):
    return jax.jit(lambda numbers, params: subject.build(numbers).init(params))


@functools.cache
def _step(subject):
    return jax.jit(lambda numbers, grads, state, params: subject.build(numbers).update(grads, state, params))


def _run(subject, sequence, numbers=None):
    canonical, params = hyper.canonical(dict(numbers or subject.hyperparams)), _parameters()
    state, updates = _start(subject)(canonical, params), []
    for grads in sequence:
        update, state = _step(subject)(canonical, grads, state, params)
        updates.append(update)
    return updates, state


@every
def test_types_are_stable_and_only_codes_are_below_float32(subject):
    fresh = jax.eval_shape(subject.transform().init, _parameters())
    updates, state = _run(subject, [_gradients(0), _gradients(1)])
    assert types(state) == types(fresh)
    assert types(updates[-1]) == types(_gradients(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} <= {jnp.dtype(x) for x in ("float32", "int32", "uint8")}
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(updates))


@every
def test_zero_gradients_leave_a_fresh_start_at_rest(subject):
    numbers = {name: AT_REST.get(name, value) for name, value in subject.hyperparams.items()}
    for update in _run(subject, [_constant(0.0)] * 3, numbers)[0]:
        jax.tree.map(lambda leaf: np.testing.assert_array_equal(leaf, 0), update)


@every
def test_huge_gradients_and_an_ordinary_step_after_them_give_finite_updates(subject):
    for value in (1e30, -1e30):
        updates, _ = _run(subject, [_constant(value), _gradients(0)])
        assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(updates))


@every
def test_what_is_not_finite_changes_no_type(subject):
    fresh = jax.eval_shape(subject.transform().init, _parameters())
    for value in (np.nan, np.inf):
        _, state = _run(subject, [_constant(value)])
        assert types(state) == types(fresh)


@every
def test_updates_stay_near_those_of_float32(subject):
    """After a few steps of ordinary gradients: what is stored is coarser (a sign or two may flip), nothing else."""
    full = next(one for one in PLAIN if one.name == subject.name.rsplit("-", 1)[0])
    grads = [_gradients(i) for i in range(4)]
    for kept, wanted in zip(_run(subject, grads)[0], _run(full, grads)[0], strict=True):
        for name in SHAPES:
            a, b = (np.asarray(updates[name], np.float64) for updates in (kept, wanted))
            assert np.linalg.norm(a - b) <= (0.3 if "int8" in subject.name else 0.7) * np.linalg.norm(b) + 1e-12, name
