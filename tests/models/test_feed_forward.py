"""The feed-forward layers against float64 NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import expit

from jaxlab.models.feed_forward import FeedForward, squared_relu

NONLINEAR = {
    "gelu": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "relu2": lambda x: np.maximum(x, 0) ** 2,
    "swiglu": lambda x: x * expit(x),
}


def layers(activation):
    return FeedForward(4, 6, activation=activation, out_init=jax.nn.initializers.lecun_normal(), rngs=nnx.Rngs(0))


@pytest.mark.parametrize("activation", NONLINEAR)
def test_each_activation(activation):
    module = layers(activation)
    x = np.random.RandomState(0).standard_normal((2, 3, 4))
    up, down = (np.float64(getattr(module, name).kernel[...]) for name in ("up", "down"))
    hidden = x @ up
    if activation == "swiglu":
        expected = NONLINEAR[activation](x @ np.float64(module.gate.kernel[...])) * hidden @ down
    else:
        assert module.gate is None
        expected = NONLINEAR[activation](hidden) @ down
    np.testing.assert_allclose(module(jnp.asarray(x, jnp.float32)), expected, rtol=1e-4, atol=1e-6)


def test_the_slope_of_squared_relu():
    slopes = jax.vmap(jax.grad(squared_relu))(jnp.array([-1.0, 0.0, 3.0]))
    assert slopes.tolist() == [0.0, 0.0, 6.0]


def test_an_unknown_activation_is_named():
    with pytest.raises(ValueError, match="activation = 'tanh'"):
        layers("tanh")
