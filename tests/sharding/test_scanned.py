"""A GPT whose layers are one loop: on eight devices as on one, and no device ever has the weights of all layers."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from train.problems import assert_equal_trees, shares

from jaxlab.models import GPT, LanguageLoss, pure
from jaxlab.models.gpt import SCANNED, STACKED
from jaxlab.optimizers import Recipe
from jaxlab.sharding import Layout
from jaxlab.train import abstract_state, init_state, make_train_step

LAYERS, WIDTH, WORDS = 3, 16, 24
OPTIONS = {"width": WIDTH, "layers": LAYERS, "heads": 4, "kv_heads": 2, "qk_norm": True, "activation": "swiglu"}
BUILD = Recipe("muon", static={"layouts": STACKED}).build
HYPERPARAMS = {"learning_rate": 1e-2, "fallback_learning_rate": 1e-2}
HYPERPARAMS_OF_ADAM = {"learning_rate": 1e-2}
TOKENS = np.random.default_rng(0).integers(0, WORDS, (16, 9))
BATCH = {"x": TOKENS[:, :-1], "y": TOKENS[:, 1:]}


def model(remat="full"):
    return pure(lambda rngs: GPT(WORDS, **OPTIONS, expansion=2, scan=True, remat=remat, rngs=rngs))


def layout(mesh, zero):
    names = ("batch", "sequence")
    return Layout(mesh, model().tensor_rules(), zero=zero, batch=names, min_size=0, scanned=SCANNED)


def train(layout):
    state = init_state(model().init(jax.random.key(0)), BUILD, HYPERPARAMS, key=jax.random.key(1), layout=layout)
    step = make_train_step(LanguageLoss(model(), chunk_size=32), BUILD, layout=layout)
    for _ in range(2):
        state, _ = step(state, BATCH)
    return step(state, BATCH)


@pytest.fixture(scope="module")
def on_one_device():
    with jax.enable_x64(True):
        return train(None)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("mesh", "zero", "cut"), [("fsdp=8", 3, 8), ("data=2,fsdp=2,tensor=2", 3, 4), ("data=4,sequence=2", 1, 1)]
)
def test_eight_devices_equal_one(on_one_device, mesh, zero, cut):
    state, metrics = train(layout(mesh, zero))
    wanted, wanted_metrics = on_one_device
    assert_equal_trees(state.params, wanted.params, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(metrics["loss"], wanted_metrics["loss"], rtol=1e-11)
    up = state.params["blocks"]["mlp"]["up"]["kernel"]
    assert shares(up) == cut
    assert up.addressable_shards[0].data.shape[0] == LAYERS  # Each device has its part of every layer.


@pytest.mark.parametrize("remat", ["none", "dots", "full"])
def test_no_device_has_all_layers(remat):
    own = layout("fsdp=8", 3)
    build = Recipe("adam").build
    state = abstract_state(model().init, build, HYPERPARAMS_OF_ADAM, key=jax.random.key(1), layout=own)
    step = make_train_step(LanguageLoss(model(remat)), build, layout=own)
    text = step.lower(state, own.put_batch(BATCH)).compile().as_text()
    gathered = "\n".join(re.findall(r"^.* = (.*) all-gather\(", text, re.MULTILINE))
    assert f"f32[{WIDTH},{2 * WIDTH}]" in gathered or f"f32[1,{WIDTH},{2 * WIDTH}]" in gathered
    # Neither gathered at once, nor kept one by one.
    assert f"[{LAYERS},{WIDTH},{2 * WIDTH}]" not in text
    assert f"[{LAYERS}," not in gathered


def test_what_is_scanned_is_said_of_parameters_that_there_are():
    shapes = {"blocks": {"kernel": jax.ShapeDtypeStruct((4, 16, 8), jnp.float32)}}
    # Not along the layers, though eight devices divide them best.
    assert tuple(Layout("fsdp=8", scanned="^blocks/", min_size=0).shardings(shapes)["blocks"]["kernel"].spec) == (
        None,
        "fsdp",
        None,
    )
    with pytest.raises(ValueError, match=r"scanned = '\^layers/' matches no parameter"):
        Layout("fsdp=8", scanned="^layers/").shardings(shapes)
    with pytest.raises(ValueError, match="is no regular expression"):
        Layout("fsdp=8", scanned="(")
