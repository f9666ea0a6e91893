"""What a policy casts, and what a step makes of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.losses import cross_entropy
from jaxlab.models import CNN, GPT, pure
from jaxlab.optimizers import Recipe
from jaxlab.precision import LossScale, Policy, Range, as_policy
from jaxlab.train import init_state, make_train_step

KEY = jax.random.key(0)
BUILD = Recipe("adam").build
RATE = {"learning_rate": 0.01}


def dtypes(values):
    return jax.tree.map(lambda leaf: str(leaf.dtype), values)


def test_exceptions_are_for_parameters_and_the_first_decides():
    params = {name: {"kernel": jnp.ones(2), "count": jnp.ones(2, jnp.int32)} for name in ("head", "norm", "out")}
    policy = Policy(compute="bfloat16", exceptions=[("norm", "float16"), ("norm|head", "float32")])
    found = policy.cast_weights(params)
    assert {name: str(layer["kernel"].dtype) for name, layer in found.items()} == {
        "head": "float32",
        "norm": "float16",
        "out": "bfloat16",
    }
    assert {str(layer["count"].dtype) for layer in found.values()} == {"int32"}
    assert dtypes(policy.cast_batch({"head": jnp.ones(2), "label": jnp.ones(2, jnp.uint8)})) == {
        "head": "bfloat16",
        "label": "uint8",
    }


@pytest.mark.parametrize("compute", ["bfloat16", "float16"])
def test_saturation_keeps_large_parameters_and_inputs_finite(compute):
    largest = float(jnp.finfo(compute).max)
    values = {"w": jnp.array([3.4e38, -3.4e38, 1.0])}
    found = Policy(compute=compute, saturate=True)
    for cast in (found.cast_weights, found.cast_batch):
        np.testing.assert_array_equal(np.float32(cast(values)["w"]), np.float32([largest, -largest, 1]))
    assert not np.isfinite(np.float32(Policy(compute=compute).cast_weights(values)["w"])).all()
    # What is kept is no cast to the compute dtype.
    np.testing.assert_array_equal(found.cast_params(values)["w"], values["w"])


def test_equal_policies_have_one_hash_and_say_what_they_are():
    one, other = (Policy(compute="float16", exceptions=rules) for rules in ([("a", "float32")], (("a", "float32"),)))
    assert one == other
    assert hash(one) == hash(other)
    assert hash(as_policy("float16")) == hash(as_policy("float16"))
    assert str(as_policy("float16")) == "parameters float32, compute float16, results float32, with a loss scale"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Policy(exceptions=[("head", "float8")]), ValueError, "policy.exceptions: 'head' = 'float8': unknown"),
        (lambda: Policy(exceptions=[("(", "float32")]), ValueError, "no regular expression"),
        (
            lambda: Policy(exceptions={"head": "float32"}),
            TypeError,
            r"accepted are \(regular expression, dtype\) rules",
        ),
        (lambda: Policy(saturate="no"), TypeError, "policy.saturate = 'no': accepted are True and False"),
        (lambda: as_policy("autom"), ValueError, "did you mean 'auto'"),
        (lambda: as_policy(jnp.bfloat16), TypeError, "accepted here are None, a Policy and the names auto"),
        (lambda: Policy().raised({"w": Range(1.0, 1.0, 0.0)}, headroom=0.5), ValueError, "headroom = 0.5"),
        (lambda: Policy().raised({"w": 7e4}), TypeError, "accepted is what jaxlab.precision.ranges returns"),
        (lambda: Policy(loss_scale=1024.0), TypeError, "policy.loss_scale = 1024.0: accepted is a jaxlab.precision"),
    ],
)
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_rule_that_matches_nothing_is_refused_before_anything_is_compiled():
    policy = Policy(compute="bfloat16", exceptions=[("kernel", "float32"), ("haed", "float32")])
    message = "policy.exceptions: 'haed' matches no parameter; the parameters are head, kernel"
    params = {"head": jnp.ones(2), "kernel": jnp.ones(2)}
    with pytest.raises(ValueError, match=message):
        init_state(params, BUILD, RATE, key=KEY, policy=policy)
    step = make_train_step(lambda params, batch, key: (jnp.sum(params["head"]), {}), BUILD, policy=policy)
    with pytest.raises(ValueError, match=message):
        step(init_state(params, BUILD, RATE, key=KEY), jnp.ones(2))


MODELS = {
    "cnn": (lambda rngs: CNN((4, 4, 1), channels=(2,), hidden=4, classes=3, rngs=rngs), (5, 4, 4, 1), "head/dense_1"),
    "gpt": (lambda rngs: GPT(7, width=8, layers=1, heads=2, rngs=rngs), (5, 4), "head|norm"),
}


def problem(name):
    """A model's loss, its parameters and a batch, and which parameters are to stay in float32."""
    make, shape, exception = MODELS[name]
    model = pure(make)
    key = jax.random.key(1)
    x = jax.random.randint(key, shape, 0, 7) if name == "gpt" else jax.random.normal(key, shape)
    labels = jnp.arange(np.prod(shape) if name == "gpt" else shape[0]) % 3

    def loss(params, batch, key):
        logits = model.apply(params, batch["x"])
        return cross_entropy(logits.reshape(len(batch["y"]), -1), batch["y"]), {"logits": jnp.sum(logits)}

    return loss, jax.jit(model.init)(KEY), {"x": x, "y": labels}, exception


@pytest.mark.parametrize("name", MODELS)
def test_a_float32_policy_changes_no_bit(name):
    loss, params, batch, _ = problem(name)
    plain, float32 = (
        make_train_step(loss, BUILD, policy=policy).lower(
            init_state(params, BUILD, RATE, key=KEY, policy=policy), batch
        )
        for policy in (None, "float32")
    )
    assert plain.as_text() == float32.as_text()  # It is the same program.


@pytest.mark.parametrize("name", MODELS)
def test_a_mixed_policy_keeps_every_dtype_step_after_step(name):
    loss, params, batch, exception = problem(name)
    policy = Policy("float32", "float16", "float32", LossScale(), exceptions=[(exception, "float32")], saturate=True)
    state = init_state(params, BUILD, RATE, key=KEY, policy=policy)
    step = make_train_step(loss, BUILD, policy=policy)
    types, losses = dtypes(state), []
    for _ in range(4):
        state, metrics = step(state, batch)
        assert dtypes(state) == types
        losses.append(float(metrics["loss"]))
    assert step._cache_size() == 1
    assert losses[-1] < losses[0]
    assert int(state.skipped) == 0
