"""A layer computes in the dtype of its own parameters."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxlab.models import CNN, GPT, MLP, RMSNorm, pure
from jaxlab.models.linear import Linear
from jaxlab.precision import Policy

KEY = jax.random.key(0)


def cast(module, dtype, *names):
    """The module with some of its parameters in another dtype."""
    graph, params = nnx.split(module, nnx.Param)
    params = nnx.to_pure_dict(params)
    return nnx.merge(graph, {name: p.astype(dtype) if name in names else p for name, p in params.items()})


@pytest.mark.parametrize("use_bias", [True, False])
def test_it_is_flaxs_layer_but_for_the_dtype(use_bias):
    ours, flaxs = (kind(4, 3, use_bias=use_bias, rngs=nnx.Rngs(0)) for kind in (Linear, nnx.Linear))
    x = jax.random.normal(KEY, (2, 5, 4))
    np.testing.assert_array_equal(ours(x), flaxs(x))
    low = cast(ours, jnp.bfloat16, "kernel", "bias")
    assert low(x).dtype == jnp.bfloat16
    assert low(x.astype(jnp.float16)).dtype == jnp.bfloat16


def test_the_widest_of_a_layers_parameters_decides():
    layer = cast(Linear(4, 3, rngs=nnx.Rngs(0)), jnp.bfloat16, "kernel")
    assert layer(jnp.ones((2, 4), jnp.bfloat16)).dtype == jnp.float32


B, F = "bf16", "f32"
MODELS = {
    "mlp": (lambda rngs: MLP((4, 6, 6, 3), rngs=rngs), (5, 4)),
    "cnn": (lambda rngs: CNN((4, 4, 1), channels=(2, 2), hidden=4, classes=3, rngs=rngs), (5, 4, 4, 1)),
    "gpt": (lambda rngs: GPT(7, width=8, layers=1, heads=2, rngs=rngs), (5, 4)),
    "tied": (lambda rngs: GPT(7, width=8, layers=1, heads=2, tied=True, rngs=rngs), (5, 4)),
}


@pytest.mark.parametrize(
    ("name", "exceptions", "products", "result"),
    [
        ("mlp", "dense_1", [B, F, B], B),
        ("mlp", "dense_2", [B, B, F], F),
        ("cnn", "conv_0", [F, B, B, B], B),
        ("cnn", "conv_1/bias", [B, F, B, B], B),  # The widest of a layer's parameters.
        ("cnn", "head", [B, B, F, F], F),
        # Query, key, value, scores, what is gathered, out, up, down, head.
        ("gpt", "norm", [B] * 9, B),
        ("gpt", "embed", [B] * 9, B),
        ("gpt", "attention/out", [B, B, B, B, B, F, B, B, B], B),
        ("gpt", "query", [F, B, B, F, F, B, B, B, B], B),
        ("gpt", "norm|head", [B] * 8 + [F], F),
        ("tied", "embed", [B] * 8 + [F], F),
    ],
)
def test_an_exception_holds_for_its_layer_alone(name, exceptions, products, result):
    make, shape = MODELS[name]
    model, policy = pure(make), Policy(compute="bfloat16", exceptions=[(exceptions, "float32")])
    params = jax.eval_shape(lambda key: policy.cast_weights(model.init(key)), KEY)
    x = jax.ShapeDtypeStruct(shape, jnp.int32 if name in ("gpt", "tied") else jnp.bfloat16)
    program = jax.jit(model.apply).lower(params, x)
    found = re.findall(r"dot_general.*: \(tensor<[^>]*x(\w+)>, tensor<[^>]*x(\w+)>\)", program.as_text())
    assert found == [(dtype, dtype) for dtype in products]
    assert program.out_info.dtype == {B: jnp.bfloat16, F: jnp.float32}[result]


def test_a_norm_reads_a_stream_that_is_wider_and_larger_than_its_own_dtype():
    found = cast(RMSNorm(2), jnp.float16, "scale")(jnp.array([3e6, -3e6]))
    assert found.dtype == jnp.float16
    np.testing.assert_array_equal(found, [1, -1])
