"""The transformer: names, a float64 transcription, causality, noise by key."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from references.attention import attended

from jaxlab.core import tree
from jaxlab.models import GPT, pure

SIZES = {"width": 8, "layers": 2, "heads": 2}


@functools.cache
def small(**options):
    return pure(lambda rngs: GPT(11, **SIZES, **options, rngs=rngs))


TOKENS = np.random.RandomState(0).randint(0, 11, (3, 6)).astype(np.uint8)
PARAMS = jax.jit(small().init)(jax.random.key(0))
apply = jax.jit(small().apply)


def test_names_and_shapes():
    shapes = {name: leaf.shape for name, leaf in zip(tree.names(PARAMS), jax.tree.leaves(PARAMS), strict=True)}
    block = {
        "attention_norm/scale": (8,),
        **{f"attention/{name}/kernel": (8, 8) for name in ("query", "key", "value", "out")},
        "mlp_norm/scale": (8,),
        "mlp/up/kernel": (8, 32),
        "mlp/down/kernel": (32, 8),
    }
    assert shapes == {
        "embed/embedding": (11, 8),
        **{f"blocks_{i}/{name}": shape for i in range(2) for name, shape in block.items()},
        "norm/scale": (8,),
        "head/kernel": (8, 11),
    }


def normalised(x, scale):
    return x / np.sqrt(np.mean(x**2, -1, keepdims=True) + 1e-6) * scale


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def transcribed(params, tokens):
    """One sequence through the model in float64."""
    p = jax.tree.map(np.float64, params)
    x = p["embed"]["embedding"][tokens]
    for i in range(SIZES["layers"]):
        block = p[f"blocks_{i}"]
        kernels = [block["attention"][name]["kernel"] for name in ("query", "key", "value", "out")]
        x = x + attended(normalised(x, block["attention_norm"]["scale"]), *kernels, SIZES["heads"])
        hidden = gelu(normalised(x, block["mlp_norm"]["scale"]) @ block["mlp"]["up"]["kernel"])
        x = x + hidden @ block["mlp"]["down"]["kernel"]
    head = p["head"]["kernel"] if "head" in p else p["embed"]["embedding"].T
    return normalised(x, p["norm"]["scale"]) @ head


@pytest.mark.parametrize("tied", [False, True])
def test_every_layer_in_its_order(tied):
    model = small(tied=True) if tied else small()
    params = jax.tree.map(lambda leaf: leaf + 0.05, jax.jit(model.init)(jax.random.key(0)))
    expected = np.stack([transcribed(params, row) for row in TOKENS])
    np.testing.assert_allclose(jax.jit(model.apply)(params, TOKENS), expected, rtol=1e-4, atol=1e-5)


def test_later_tokens_do_not_change_earlier_logits():
    before = apply(PARAMS, TOKENS)
    for place in range(TOKENS.shape[1]):
        changed = TOKENS.copy()
        changed[:, place] = (changed[:, place] + 1) % 11
        after = apply(PARAMS, changed)
        np.testing.assert_array_equal(after[:, :place], before[:, :place])
        assert np.all(np.any(after[:, place] != before[:, place], axis=-1))


def test_at_the_start_all_tokens_are_about_equally_likely():
    model = pure(lambda rngs: GPT(256, width=32, layers=4, heads=2, rngs=rngs))
    params = jax.jit(model.init)(jax.random.key(1))
    log_p = jax.nn.log_softmax(jax.jit(model.apply)(params, np.arange(256, dtype=np.uint8).reshape(4, 64)))
    assert float(-log_p.mean()) == pytest.approx(np.log(256), rel=0.01)
    assert float(params["blocks_3"]["mlp"]["down"]["kernel"].std()) == pytest.approx(np.sqrt(1 / 128 / 8), rel=0.05)
    assert float(params["blocks_3"]["mlp"]["up"]["kernel"].std()) == pytest.approx(np.sqrt(1 / 32), rel=0.05)


@pytest.mark.parametrize("option", ["dropout", "stochastic_depth"])
def test_noise_needs_a_key(option):
    noisy = jax.jit(small(**{option: 0.5}).apply)
    np.testing.assert_array_equal(noisy(PARAMS, TOKENS), apply(PARAMS, TOKENS))
    first, same, other = (noisy(PARAMS, TOKENS, jax.random.key(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


def test_stochastic_depth_leaves_branches_out_example_by_example():
    # One block whose attention adds nothing: an example has its feed-forward branch, doubled, or none.
    model = pure(lambda rngs: GPT(11, width=8, layers=1, heads=2, stochastic_depth=0.5, rngs=rngs))
    params = jax.jit(model.init)(jax.random.key(0))
    params["blocks_0"]["attention"]["out"]["kernel"] *= 0
    tokens = np.repeat(TOKENS[:1], 64, axis=0)
    without = jax.tree.map(lambda leaf: leaf, params)
    without["blocks_0"] = {**params["blocks_0"], "mlp": jax.tree.map(jnp.zeros_like, params["blocks_0"]["mlp"])}
    doubled = {**params, "blocks_0": {**params["blocks_0"], "mlp": {**params["blocks_0"]["mlp"]}}}
    doubled["blocks_0"]["mlp"]["down"] = {"kernel": 2 * params["blocks_0"]["mlp"]["down"]["kernel"]}
    run = jax.jit(model.apply)
    found = run(params, tokens, jax.random.key(5))
    dropped = np.isclose(found, run(without, tokens), atol=1e-5).all((1, 2))
    kept = np.isclose(found, run(doubled, tokens), atol=1e-5).all((1, 2))
    np.testing.assert_array_equal(kept, ~dropped)
    assert 16 < kept.sum() < 48


def test_half_precision_parameters_compute_in_half_precision():
    logits = apply(tree.cast(PARAMS, jnp.bfloat16), TOKENS)
    assert logits.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.float32(logits), apply(PARAMS, TOKENS), atol=0.02)


def test_double_precision_where_it_is_enabled(x64):
    params = tree.cast(jax.tree.map(np.asarray, PARAMS), jnp.float64)
    expected = np.stack([transcribed(params, row) for row in TOKENS])
    found = jax.jit(small().apply)(params, TOKENS)
    assert found.dtype == jnp.float64
    np.testing.assert_allclose(found, expected, atol=1e-13)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 0}, "layers = 0: accepted is a whole number of at least 1"),
        ({"heads": 3}, "heads = 3: accepted divide width = 8 into even sizes"),
        ({"dropout": 1.0}, r"dropout = 1.0: accepted is a number in \[0, 1\)"),
        ({"stochastic_depth": -0.5}, r"stochastic_depth = -0.5: accepted is a number in \[0, 1\)"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        GPT(11, **(SIZES | options), rngs=nnx.Rngs(0))
