"""The form of EfficientNet-Lite; its numbers are compared in tests/transfer/test_efficientnet_lite.py."""

import json
import pathlib

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from jaxlab.core import tree
from jaxlab.models import EfficientNetLite, pure
from jaxlab.models.efficientnet_lite import VARIANTS

TORCH = json.loads((pathlib.Path(__file__).parents[1] / "data" / "torch_efficientnet.json").read_text())


@pytest.mark.parametrize("variant", ["lite0", "lite4"])
def test_a_variant_has_as_many_parameters_as_the_original(variant):
    module = nnx.eval_shape(lambda: EfficientNetLite(variant, rngs=nnx.Rngs(0)))
    shapes = nnx.to_pure_dict(nnx.state(module, nnx.Param))
    sizes = dict(zip(tree.names(shapes), (leaf.size for leaf in jax.tree.leaves(shapes)), strict=True))
    counted = sum(size for name, size in sizes.items() if not name.endswith(("/mean", "/variance")))
    assert counted == TORCH["parameters"][variant]
    assert set(VARIANTS) == set(TORCH["parameters"])
    if variant == "lite0":
        assert module.blocks == 16
        assert "block_0/expand/conv/kernel" not in sizes
        assert shapes["block_2"]["depthwise"]["conv"]["kernel"].shape == (3, 3, 1, 144)


def test_without_classes_it_gives_the_features_and_a_key_drops():
    model = pure(lambda rngs: EfficientNetLite(classes=None, channels=1, dropout=0.5, rngs=rngs))
    params = jax.eval_shape(model.init, jax.random.key(0))
    assert "classifier" not in params
    x = jax.ShapeDtypeStruct((2, 9, 12, 1), jnp.float32)
    plain = jax.make_jaxpr(model.apply)(params, x)
    dropping = jax.make_jaxpr(model.apply)(params, x, jax.random.key(0))
    assert plain.out_avals[0].shape == dropping.out_avals[0].shape == (2, 1280)
    # Nine blocks add their input; and the pooled features.
    assert [str(made).count("name=_bernoulli") for made in (plain, dropping)] == [0, 10]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "lite5"}, "variant = 'lite5': unknown, did you mean 'lite"),
        ({"classes": 0}, "classes = 0: accepted is a whole number of at least 1"),
        ({"channels": 0}, "channels = 0"),
        ({"dropout": 1.0}, "dropout = 1.0"),
        ({"stochastic_depth": -0.1}, "stochastic_depth = -0.1"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        nnx.eval_shape(lambda: EfficientNetLite(**options, rngs=nnx.Rngs(0)))
