"""A module as two pure functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxlab.models import MLP, pure

MODEL = pure(lambda rngs: MLP((3, 8, 2), rngs=rngs))
X = jnp.linspace(-1, 1, 12).reshape(4, 3)


def test_parameters_are_plain_dicts_and_the_keys_alone():
    one, same, other = map(jax.jit(MODEL.init), map(jax.random.key, (0, 0, 1)))
    assert type(one) is dict
    assert type(one["dense_0"]) is dict
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(one))
    np.testing.assert_array_equal(one["dense_0"]["kernel"], same["dense_0"]["kernel"])
    assert not np.array_equal(one["dense_0"]["kernel"], other["dense_0"]["kernel"])


def test_it_is_the_module():
    module = MLP((3, 8, 2), rngs=nnx.Rngs(jax.random.key(5)))
    np.testing.assert_array_equal(MODEL.apply(MODEL.init(jax.random.key(5)), X), module(X))


def test_both_functions_trace_map_and_differentiate():
    keys = jax.random.split(jax.random.key(0), 3)
    stacked = jax.jit(jax.vmap(MODEL.init))(keys)
    alone = MODEL.init(keys[1])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1], b, rtol=1e-6), stacked, alone)
    together = jax.jit(jax.vmap(MODEL.apply, in_axes=(0, None)))(stacked, X)
    np.testing.assert_allclose(together[1], MODEL.apply(alone, X), rtol=1e-5, atol=1e-6)
    gradient = jax.grad(lambda params: jnp.sum(MODEL.apply(params, X)))(alone)
    np.testing.assert_allclose(gradient["dense_1"]["bias"], [4, 4])


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_the_parameters_decide_the_dtype(dtype):
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), MODEL.init(jax.random.key(0)))
    assert MODEL.apply(params, X).dtype == dtype


def test_double_precision_where_it_is_enabled():
    jax.config.update("jax_enable_x64", True)
    try:
        params = jax.jit(MODEL.init)(jax.random.key(0))
        assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float64")}
        assert MODEL.apply(params, X).dtype == jnp.float64
    finally:
        jax.config.update("jax_enable_x64", False)


def test_a_module_with_a_memory_is_refused():
    with pytest.raises(ValueError, match="BatchStat"):
        pure(lambda rngs: nnx.BatchNorm(3, rngs=rngs))
