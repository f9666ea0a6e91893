"""Frozen parameters: nothing is computed for them, kept for them, or done to them."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import modifiers, optimizers
from jaxlab.precision import Policy
from jaxlab.sharding import Layout
from jaxlab.train import (
    evaluate,
    init_run,
    init_state,
    make_train_step,
    params_to_evaluate,
    set_hyperparams,
    whole_params,
)
from jaxlab.train.checkpoint import Checkpoints
from jaxlab.train.run import run_keys

X = np.random.RandomState(0).randn(16, 6, 6, 2).astype(np.float32)
Y = np.random.RandomState(1).randn(16, 4).astype(np.float32)
BATCH = {"x": X, "y": Y}


def convolved(x, kernel):
    return jax.lax.conv_general_dilated(
        x.astype(kernel.dtype), kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def features(base, x):
    return jnp.tanh(convolved(jnp.tanh(convolved(x, base["first"])), base["second"])).mean((1, 2))


def loss_fn(params, batch, key):
    out = features(params["base"], batch["x"]) @ params["head"]
    return jnp.mean((out - batch["y"]) ** 2), {}


def init(key):
    first, second, head = jax.random.split(key, 3)
    base = {"first": jax.random.normal(first, (3, 3, 2, 8)), "second": jax.random.normal(second, (3, 3, 8, 8))}
    return {"base": base, "head": jax.random.normal(head, (8, 4))}


PARAMS = jax.jit(init)(jax.random.key(0))
FIXED = np.asarray(features(PARAMS["base"], X))


def adamw(h):
    return optimizers.adamw(h, weight_decay=0.1)


def started(build=adamw, rate=0.01, **options):
    return init_state(PARAMS, build, rate, key=jax.random.key(1), frozen="^base/", **options)


def head_alone(build=adamw, steps=4, rate=0.01):
    """The same head on features that were computed once."""

    def loss(params, batch, key):
        return jnp.mean((batch["features"] @ params["head"] - batch["y"]) ** 2), {}

    state = init_state({"head": PARAMS["head"]}, build, rate, key=jax.random.key(1))
    step = make_train_step(loss, build)
    metrics = {}
    for _ in range(steps):
        state, metrics = step(state, {"features": FIXED, "y": Y})
    return state, metrics


def trained(state, steps=4, build=adamw, **options):
    step = make_train_step(loss_fn, build, **options)
    metrics = {}
    for _ in range(steps):
        state, metrics = step(state, BATCH)
    return state, metrics


def test_a_frozen_base_is_a_head_on_fixed_features():
    state, metrics = trained(started())
    alone, expected = head_alone()
    np.testing.assert_allclose(state.params["head"], alone.params["head"], rtol=2e-5)
    for name in ("loss", "grad_norm", "update_norm", "param_norm"):
        np.testing.assert_allclose(metrics[name], expected[name], rtol=1e-4)
    assert all(
        np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(whole_params(state)["base"]), jax.tree.leaves(PARAMS["base"]), strict=True)
    )


def test_the_state_has_no_slot_for_what_is_frozen():
    state = started()
    assert state.params["base"] == {"first": None, "second": None}
    assert sorted(leaf.size for leaf in jax.tree.leaves(state.opt_state) if leaf.ndim) == [32, 32]
    assert "base" not in str(jax.tree_util.tree_leaves_with_path(state.opt_state))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_program_has_no_backward_pass_of_the_base(accumulate):
    """Two convolutions forward and nothing else; with the base trained there are three more, for its gradients."""

    def convolutions(frozen):
        state = init_state(PARAMS, adamw, 0.01, key=jax.random.key(1), frozen=frozen)
        lowered = make_train_step(loss_fn, adamw, accumulate=accumulate).lower(state, BATCH)
        return [len(re.findall(r"\bconvolution\(", lowered.compile().as_text()))], lowered.as_text()

    (frozen,), text = convolutions("^base/")
    assert frozen == text.count("stablehlo.convolution") == 2
    # The head alone: its product and the product of its gradient.
    assert text.count("stablehlo.dot_general") == 2
    assert text.count("stablehlo.tanh") == 2
    (whole,), text = convolutions(None)
    assert whole == text.count("stablehlo.convolution") == 5


@pytest.mark.parametrize(
    ("build", "options", "start"),
    [
        (lambda h: modifiers.sam(optimizers.sgd(h)), {}, {}),
        (optimizers.sophia, {}, {}),
        (lambda h: modifiers.clip_by_global_norm(optimizers.muon(h), 1.0), {"accumulate": 4}, {"ema_decay": 0.5}),
        (adamw, {"policy": Policy("bfloat16", "bfloat16"), "rounding": "kahan"}, {"rounding": "kahan"}),
    ],
    ids=["sam", "sophia", "muon, clipped, averaged", "bfloat16, Kahan"],
)
def test_the_base_stands_still_under_whatever_trains_the_head(build, options, start):
    policy = {"policy": options["policy"]} if "policy" in options else {}
    state = started(build, **start, **policy)
    before = jax.tree.map(np.asarray, state.frozen)
    forms = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state)
    state, metrics = trained(state, 3, build, **options)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state) == forms
    assert np.isfinite(metrics["loss"])
    assert jax.tree.all(jax.tree.map(np.array_equal, before, jax.tree.map(np.asarray, state.frozen)))
    whole = params_to_evaluate(state)
    assert jax.tree.structure(whole) == jax.tree.structure(PARAMS)
    assert np.isfinite(evaluate(loss_fn, whole, BATCH)["loss"])


@pytest.mark.parametrize("zero", [1, 3])
def test_eight_devices_equal_one(zero):
    layout = Layout("fsdp=8", zero=zero)
    state = init_run(init, adamw, 0.01, key=jax.random.key(3), frozen="^base/", layout=layout)
    one = init_run(init, adamw, 0.01, key=jax.random.key(3), frozen="^base/")
    state, _ = trained(state, layout=layout)
    one, _ = trained(one)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), whole_params(state), whole_params(one)
    )


@pytest.mark.parametrize("frozen", ["^base/", "^head"])
def test_a_layout_may_speak_of_what_is_frozen_and_of_what_is_trained(frozen):
    rules = [("^base/", (None, None, None, "tensor")), ("^head", ("tensor", None))]
    layout = Layout("fsdp=4,tensor=2", rules, zero=3, min_size=0, scanned="^base/second")
    state = init_run(init, adamw, 0.01, key=jax.random.key(3), frozen=frozen, layout=layout)
    whole = whole_params(state)
    everything = init_run(init, adamw, 0.01, key=jax.random.key(3), layout=layout).params
    assert jax.tree.map(lambda leaf: leaf.sharding, whole) == jax.tree.map(lambda leaf: leaf.sharding, everything)
    assert whole["base"]["second"].sharding.spec[3] == whole["head"].sharding.spec[0] == "tensor"
    _, metrics = trained(state, 1, layout=layout)
    expected, _ = loss_fn(jax.jit(init)(run_keys(jax.random.key(3))[0]), BATCH, None)
    np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-5)


def test_a_checkpoint_keeps_it(tmp_path):
    state, _ = trained(started(), 2)
    with Checkpoints(tmp_path / "c") as checkpoints:
        checkpoints.save(2, state)
        found = checkpoints.restore(started())
    assert jax.tree.structure(found) == jax.tree.structure(state)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), found, state))
    assert float(set_hyperparams(found, adamw, 0.5).hyperparams) == 0.5


@pytest.mark.parametrize(
    ("frozen", "message"),
    [
        (
            "^bsae/",
            "frozen = .*: accepted is what holds for a leaf; their names are 'base/first', 'base/second'",
        ),
        (".*", "frozen = '.*': accepted is what leaves a parameter to train"),
    ],
)
def test_a_choice_of_none_or_all_is_refused(frozen, message):
    with pytest.raises(ValueError, match=message):
        init_state(PARAMS, adamw, 0.01, key=jax.random.key(1), frozen=frozen)
