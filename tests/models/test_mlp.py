"""The perceptron against its transcription in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxlab.models import MLP, pure

MODEL = pure(lambda rngs: MLP((3, 5, 4, 2), activation=jnp.tanh, rngs=rngs))


def test_forward_pass():
    params = jax.jit(MODEL.init)(jax.random.key(0))
    params = jax.tree.map(lambda leaf: leaf + 0.1, params)  # biases that are not zero
    x = np.random.RandomState(0).normal(size=(7, 3))
    h = x
    for i in range(3):
        h = h @ np.float64(params[f"dense_{i}"]["kernel"]) + np.float64(params[f"dense_{i}"]["bias"])
        h = np.tanh(h) if i < 2 else h
    np.testing.assert_allclose(MODEL.apply(params, jnp.asarray(x, jnp.float32)), h, rtol=1e-5, atol=1e-6)


def test_without_hidden_layers_it_is_linear():
    params = jax.eval_shape(pure(lambda rngs: MLP((3, 2), rngs=rngs)).init, jax.random.key(0))
    assert jax.tree.map(lambda leaf: leaf.shape, params) == {"dense_0": {"bias": (2,), "kernel": (3, 2)}}


def test_initial_variance_follows_the_fan_in():
    params = jax.jit(pure(lambda rngs: MLP((400, 300, 200), rngs=rngs)).init)(jax.random.key(0))
    assert float(params["dense_0"]["kernel"].std()) == pytest.approx(np.sqrt(2 / 400), rel=0.02)
    assert float(params["dense_1"]["kernel"].std()) == pytest.approx(np.sqrt(1 / 300), rel=0.02)
    assert not params["dense_0"]["bias"].any()


def test_dropout_needs_a_key_and_spares_input_and_output():
    model = pure(lambda rngs: MLP((3, 64, 64, 2), dropout=0.5, rngs=rngs))
    params, x = jax.jit(model.init)(jax.random.key(0)), jnp.ones((4, 3))
    first, second = jax.random.split(jax.random.key(1))
    np.testing.assert_array_equal(model.apply(params, x), model.apply(params, x, None))
    np.testing.assert_array_equal(model.apply(params, x, first), model.apply(params, x, first))
    assert not np.array_equal(model.apply(params, x, first), model.apply(params, x, second))
    many = jax.vmap(lambda key: MLP((3, 2), dropout=0.5, rngs=nnx.Rngs(0))(x, key))(jax.random.split(first, 3))
    np.testing.assert_array_equal(many[0], many[1])


@pytest.mark.parametrize(
    ("sizes", "dropout", "message"),
    [
        ((3,), 0.0, r"sizes = \(3,\): accepted are at least two"),
        ((3, 0, 1), 0.0, "sizes = 0: accepted is a whole number of at least 1"),
        ((3, 1), 1.0, r"dropout = 1.0: accepted is a number in \[0, 1\)"),
    ],
)
def test_bad_arguments_are_named(sizes, dropout, message):
    with pytest.raises(ValueError, match=message):
        MLP(sizes, dropout=dropout, rngs=nnx.Rngs(0))
