"""The GPT whose layers are one loop: the same numbers as layer after layer, in values, gradients, noise and layouts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.core import tree
from jaxlab.models import GPT, pure
from jaxlab.precision import Policy
from jaxlab.sharding.rules import specs_of

SIZES = {"width": 8, "layers": 3, "heads": 4}
MODERN = {"kv_heads": 2, "qk_norm": True, "activation": "swiglu", "tied": True}
TOKENS = np.random.RandomState(0).randint(0, 11, (2, 6)).astype(np.uint8)


@functools.cache
def small(**options):
    return pure(lambda rngs: GPT(11, **SIZES, **options, rngs=rngs))


def random_params(model, dtype=np.float32):
    """Of the model's shapes, without compiling its first ones."""
    rng = np.random.RandomState(1)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: rng.normal(0.2, 0.3, leaf.shape).astype(dtype), shapes)


def stacked(params):
    """The parameters of layer after layer as those of a loop."""
    blocks = [params[f"blocks_{i}"] for i in range(SIZES["layers"])]
    others = {name: child for name, child in params.items() if not name.startswith("blocks_")}
    return {**others, "blocks": jax.tree.map(lambda *leaves: jnp.stack(leaves), *blocks)}


def with_gradients(model, params, key=None):
    def loss(params):
        logits = model.apply(params, TOKENS, key)
        return jnp.sum(jnp.sin(jnp.arange(logits.size).reshape(logits.shape)) * logits)

    return jax.jit(jax.value_and_grad(loss))(params)


def close(a, b, tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), a, b)


@pytest.mark.parametrize(("options", "remat"), [({}, "full"), (MODERN, "dots")], ids=["plain", "modern"])
def test_a_loop_is_layer_after_layer(options, remat, x64):
    params = random_params(small(**options), np.float64)
    value, slopes = with_gradients(small(**options, remat=remat), params)
    found, found_slopes = with_gradients(small(**options, scan=True), stacked(params))
    np.testing.assert_allclose(found, value, rtol=1e-12)
    close(found_slopes, stacked(slopes), 1e-10)


def test_parameters_are_stacked_and_each_layer_starts_apart():
    own = jax.jit(small(**MODERN, scan=True).init)(jax.random.key(0))
    assert jax.tree.map(jnp.shape, own) == jax.tree.map(jnp.shape, stacked(random_params(small(**MODERN))))
    kernel = own["blocks"]["mlp"]["down"]["kernel"]
    assert len(np.unique(kernel)) == kernel.size
    assert float(kernel.std()) == pytest.approx(np.sqrt(1 / (kernel.shape[1] * 2 * SIZES["layers"])), rel=0.1)


def test_noise_is_the_same_in_a_loop():
    options = {"dropout": 0.2, "stochastic_depth": 0.5}
    params, key = random_params(small()), jax.random.key(7)
    found = jax.jit(small(**options, scan=True).apply)(stacked(params), TOKENS, key)
    np.testing.assert_allclose(found, jax.jit(small(**options).apply)(params, TOKENS, key), rtol=1e-4, atol=1e-5)
    other = jax.jit(small(**options, scan=True).apply)(stacked(params), TOKENS, jax.random.key(8))
    assert not np.allclose(found, other)


def test_activations_are_those_of_the_stream_after_each_block():
    params = random_params(small())
    one_by_one = jax.jit(lambda p: small().bind(p).activations(TOKENS))
    found = one_by_one(params)
    close(jax.jit(lambda p: small(scan=True).bind(p).activations(TOKENS))(stacked(params)), found, 1e-5)
    # Without any branch the stream stays what the embedding made it.
    still = {name: jax.tree.map(np.zeros_like, child) if "blocks" in name else child for name, child in params.items()}
    stream = params["embed"]["embedding"][TOKENS]
    expected = {"rms": np.sqrt(np.mean(stream**2)), "largest": np.abs(stream).max()}
    close(one_by_one(still), {name: np.full(3, value) for name, value in expected.items()}, 1e-6)


@pytest.mark.parametrize("exception", ["mlp/down", "embed"])
def test_a_layer_in_float32_widens_the_stream_of_a_loop_too(exception):
    params = random_params(small())
    policy = Policy(compute="bfloat16", exceptions=[(exception, "float32")])
    found = jax.jit(small(scan=True).apply)(policy.cast_weights(stacked(params)), TOKENS)
    expected = jax.jit(small().apply)(policy.cast_weights(params), TOKENS)
    assert found.dtype == expected.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.float32(found), np.float32(expected), rtol=0.05, atol=0.1)


@pytest.mark.parametrize("activation", ["relu2", "swiglu"])
@pytest.mark.parametrize("tied", [False, True])
def test_tensor_rules_cut_the_same_axes_of_each_layer(activation, tied):
    options = {"activation": activation, "tied": tied, "kv_heads": 2}
    axes = {"tensor": 2}

    def specs(model):
        shapes = jax.eval_shape(model.init, jax.random.key(0))
        named = dict(zip(tree.names(shapes), [leaf.shape for leaf in jax.tree.leaves(shapes)], strict=True))
        return specs_of(named, [r for r in model.tensor_rules() if not r[0].startswith(("embed", "head"))], axes)

    plain, loop = specs(small(**options)), specs(small(**options, scan=True))
    cut = {name.replace("blocks_0/", "blocks/"): spec for name, spec in plain.items() if name.startswith("blocks_0/")}
    assert {name: tuple(spec) for name, spec in loop.items() if name.startswith("blocks/")} == {
        name: (None, *spec) if len(spec) else () for name, spec in cut.items()
    }
    assert sum("tensor" in spec for spec in loop.values()) == (7 if activation == "swiglu" else 6)
