"""How large the numbers beside each parameter are, and what a policy makes of it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxlab.losses import mse
from jaxlab.models import MLP, RMSNorm, pure
from jaxlab.models.linear import Linear
from jaxlab.optimizers import Recipe
from jaxlab.precision import Policy, Range, as_policy, ranges
from jaxlab.train import init_state, make_train_step

KEY = jax.random.key(0)


def of(found):
    """Largest in and out, by name."""
    return {name: (float(f"{at.input:.6g}"), float(f"{at.output:.6g}")) for name, at in found.items()}


def largest(*arrays):
    return max(np.abs(array).max() for array in arrays)


def test_a_perceptron_in_numpy():
    model = pure(lambda rngs: MLP((4, 8, 3), rngs=rngs))
    params = jax.jit(model.init)(KEY)
    params["dense_0"]["bias"] += 2.0
    x = np.asarray(jax.random.normal(KEY, (5, 4)))
    found = ranges(lambda params, x, key: (jnp.mean(model.apply(params, x)), {}), params, jnp.asarray(x), KEY)

    (w, b), (v, c) = ((np.float64(params[name]["kernel"]), np.float64(params[name]["bias"])) for name in params)
    products = x @ w
    hidden = np.maximum(products + b, 0)
    outputs = hidden @ v
    expected = {
        "dense_0/kernel": (largest(x, w), largest(products, w)),
        "dense_0/bias": (largest(products, b), largest(products + b)),
        "dense_1/kernel": (largest(hidden, v), largest(outputs, v)),
        "dense_1/bias": (largest(outputs, c), largest(outputs + c)),
    }
    assert found.keys() == expected.keys()
    for name, (taken, given) in expected.items():
        np.testing.assert_allclose([found[name].input, found[name].output], [taken, given], rtol=1e-5)


W, X = jnp.array([[2.0, 0.0], [0.0, 3.0]]), jnp.array([[1.0, 10.0]])


@jax.custom_vjp
def product(w, x):
    return x @ w


product_forward = jax.custom_jvp(lambda w, x: x @ w)
product_forward.defjvps(lambda dw, y, w, x: x @ dw, lambda dx, y, w, x: dx @ w)
product.defvjp(lambda w, x: (product(w, x), (w, x)), lambda saved, g: (saved[1].T @ g, g @ saved[0].T))


@pytest.mark.parametrize(
    "apply",
    [
        lambda w, x: x @ w,
        lambda w, x: jax.jit(lambda x: x @ w)(x),
        jax.checkpoint(lambda w, x: jax.nn.relu(x @ w)),
        jax.jit(product_forward),
        product,
        lambda w, x: x @ w.T.reshape(4).astype(jnp.bfloat16).reshape(2, 2).T.astype(jnp.float32),
        lambda w, x: jax.vmap(lambda row: row @ w)(x),
        lambda w, x: jax.lax.scan(lambda total, row: (total, total @ row[:, None]), x, w.T)[1],
        lambda w, x: jax.lax.map(lambda row: x @ row[:, None], w.T),
        lambda w, x: jax.lax.cond(x[0, 0] > 0, lambda: x @ w, lambda: x),
    ],
)
def test_the_way_of_a_parameter_to_its_activation_is_followed(apply):
    def loss(params, x, key):
        activation = apply(params["w"], x)
        return jnp.sum(jnp.tanh(activation) * 1e6), {}  # What is computed from activations is nobody's.

    assert of(ranges(loss, {"w": W, "idle": jnp.ones(2)}, X, KEY)) == {"idle": (1, 0), "w": (10, 30)}


def test_a_loop_hands_its_parameter_on_and_is_counted_to_its_end():
    def loss(params, x, key):
        # The carry is data alone only after the first round; the second parameter enters in each round.
        def body(carry, gain):
            x, w = carry
            return (x * gain, w * 2), x @ w

        (_, _), outputs = jax.lax.scan(body, (x, params["w"]), params["gain"])
        return jnp.sum(outputs), {}

    found = of(ranges(loss, {"w": W, "gain": jnp.array([1.0, 10.0, 1000.0])}, X, KEY))
    # 10 * 1 * 10 * 1000 by the gains; 10 * 10 @ 3 * 2 * 2 by the weights.
    assert found == {"gain": (1000, 1e5), "w": (100, 1200)}


def test_lookups_ties_and_masks():
    def loss(params, tokens, key):
        x = params["embed"][tokens]
        scores = jnp.where(jnp.arange(3) < 2, x @ params["embed"].T, -jnp.inf)
        return jnp.sum(jax.nn.softmax(scores)), {}

    embed = jnp.array([[1.0, 0.0], [0.0, -2.0], [100.0, 0.0]])
    assert of(ranges(loss, {"embed": embed}, jnp.array([0, 1]), KEY)) == {"embed": (100, 100)}


def test_underflow_and_what_is_no_number():
    def loss(params, x, key):
        return jnp.sum(x * params["w"]), {}

    # Four products: zero; too small for float16 even after rounding; its smallest number; and an ordinary one.
    x = jnp.array([0.0, 2.0**-26, 2.0**-24, 1.0])
    params = {"w": jnp.ones(4)}
    # The four ones of the parameter, broadcast or cast, came out of no operation here.
    assert ranges(loss, params, x, KEY)["w"].underflow == pytest.approx(1 / 3)
    assert ranges(loss, params, x, KEY, dtype="bfloat16")["w"].underflow == 0
    assert np.isnan(ranges(loss, params, x.at[0].set(jnp.nan), KEY)["w"].largest)
    with pytest.raises(ValueError, match="dtype = 'float32': unknown"):
        ranges(loss, params, x, KEY, dtype="float32")
    with pytest.raises(TypeError, match=r"loss_fn = 3\.0: accepted is a function"):
        ranges(3.0, params, x, KEY)


def test_raised_adds_what_lies_beyond_and_no_more():
    policy = Policy(compute="float16", exceptions=[("wide", "bfloat16"), ("high", "float32")])
    found = {
        "a.b": Range(1.0, 65505.0, 0.0),
        "axb": Range(65504.0, 1.0, 0.0),
        "taken": Range(7e4, 1.0, 0.0),
        "wide": Range(1e5, 1e5, 0.0),
        "high": Range(1e30, 1e30, 0.0),
        "lost": Range(1.0, float("nan"), 0.0),
    }
    own = (("wide", "bfloat16"), ("high", "float32"))
    rules = policy.raised(found).exceptions
    assert rules == (("^a\\.b$", "float32"), ("^taken$", "float32"), ("^lost$", "float32"), *own)
    assert policy.raised(found, headroom=2.0).exceptions[1] == ("^axb$", "float32")
    assert policy.raised(found).raised(found) == policy.raised(found)
    assert Policy(compute="bfloat16").raised({"wide": found["wide"]}) == Policy(compute="bfloat16")


class Network(nnx.Module):
    """Its first layer may be of any size, for the norm divides by it."""

    def __init__(self, rngs):
        self.first, self.norm, self.last = Linear(4, 16, rngs=rngs), RMSNorm(16), Linear(16, 1, rngs=rngs)

    def __call__(self, x, key=None):
        return self.last(jnp.tanh(self.norm(self.first(x))))


def test_a_layer_that_overflows_float16_is_raised_and_then_trains():
    model = pure(Network)
    params = jax.jit(model.init)(KEY)
    params["first"] = jax.tree.map(lambda leaf: 1e5 * leaf, params["first"])
    x = jax.random.normal(KEY, (32, 4))
    batch = {"x": x, "y": jnp.sin(x[:, :1])}

    def loss(params, batch, key):
        return mse(model.apply(params, batch["x"]), batch["y"]), {}

    float16 = as_policy("float16")
    raised = float16.raised(ranges(loss, params, batch, KEY))
    assert raised == dataclasses.replace(
        float16, exceptions=[("^first/bias$", "float32"), ("^first/kernel$", "float32")]
    )

    build, state = Recipe("adam").build, None
    for policy, trains in ((float16, False), (raised, True)):
        # The state of the policy that fails goes on under the raised one.
        state = state or init_state(params, build, {"learning_rate": 0.03}, key=KEY, policy=policy)
        step = make_train_step(loss, build, policy=policy)
        losses = []
        for _ in range(20):
            state, metrics = step(state, batch)
            losses.append(float(metrics["loss"]))
        assert np.isfinite(losses).all() == trains
        assert int(state.skipped) == 20
    assert losses[-1] < 0.5 * losses[0]
