"""The convolutional network: its shapes, its pooling, equal results whichever way it convolves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxlab.core import tree
from jaxlab.models import CNN, conv2d, pure
from jaxlab.models.cnn import max_pool


def small(method="auto", dropout=0.0):
    return pure(
        lambda rngs: CNN((9, 8, 2), channels=(3, 4), hidden=5, classes=6, dropout=dropout, method=method, rngs=rngs)
    )


X = jax.random.normal(jax.random.key(1), (3, 9, 8, 2))
PARAMS = jax.jit(small().init)(jax.random.key(0))


def test_names_and_shapes():
    params = jax.eval_shape(small().init, jax.random.key(0))
    assert {name: leaf.shape for name, leaf in zip(tree.names(params), jax.tree.leaves(params), strict=True)} == {
        "conv_0/bias": (3,),
        "conv_0/kernel": (3, 3, 2, 3),
        "conv_1/bias": (4,),
        "conv_1/kernel": (3, 3, 3, 4),
        "head/dense_0/bias": (5,),
        "head/dense_0/kernel": (2 * 2 * 4, 5),
        "head/dense_1/bias": (6,),
        "head/dense_1/kernel": (5, 6),
    }


def test_layers_in_their_order():
    params = jax.tree.map(lambda leaf: leaf + 0.05, PARAMS)
    h = X
    for block in ("conv_0", "conv_1"):
        h = max_pool(jax.nn.relu(conv2d(h, params[block]["kernel"]) + params[block]["bias"]))
    h = h.reshape(3, -1)
    head = params["head"]
    h = jax.nn.relu(h @ head["dense_0"]["kernel"] + head["dense_0"]["bias"])
    expected = h @ head["dense_1"]["kernel"] + head["dense_1"]["bias"]
    np.testing.assert_allclose(jax.jit(small().apply)(params, X), expected, rtol=1e-5, atol=1e-6)


def test_both_methods_give_one_model():

    def loss(model):
        return lambda params: jnp.sum(model.apply(params, X) ** 2)

    by_patches, natively = jax.jit(
        lambda params: tuple(jax.value_and_grad(loss(small(m)))(params) for m in ("patches", "native"))
    )(PARAMS)
    for a, b in zip(jax.tree.leaves(by_patches), jax.tree.leaves(natively), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_max_pool_is_the_windowed_maximum_and_so_is_its_gradient():
    def windowed(x):
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    np.testing.assert_array_equal(max_pool(X), windowed(X))
    for cotangent in (jnp.ones((3, 4, 4, 2)), jnp.arange(96.0).reshape(3, 4, 4, 2)):
        ours, theirs = (jax.vjp(pool, X)[1](cotangent)[0] for pool in (max_pool, windowed))
        np.testing.assert_array_equal(ours, theirs)


def test_dropout_with_a_key_alone():
    apply = jax.jit(small(dropout=0.5).apply)
    dropped = [apply(PARAMS, X, jax.random.key(seed)) for seed in (2, 2, 3)]
    np.testing.assert_array_equal(dropped[0], dropped[1])
    assert not np.array_equal(dropped[0], dropped[2])
    np.testing.assert_array_equal(apply(PARAMS, X), jax.jit(small().apply)(PARAMS, X))


def test_computes_in_the_dtype_of_its_parameters():
    half = jax.jit(small().apply)(tree.cast(PARAMS, jnp.bfloat16), X)
    assert half.dtype == jnp.bfloat16
    np.testing.assert_allclose(half.astype(jnp.float32), jax.jit(small().apply)(PARAMS, X), atol=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": (2, 2, 2, 2)}, r"channels = \(2, 2, 2, 2\): accepted are fewer blocks"),
        ({"channels": (0,)}, "channels = 0: accepted is a whole number of at least 1"),
        ({"dropout": -0.1}, "dropout = -0.1"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        CNN((9, 8, 1), **({"channels": (2,), "hidden": 3, "classes": 2} | options), rngs=nnx.Rngs(0))
