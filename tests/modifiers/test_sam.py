"""SAM and ASAM against float64 NumPy, under accumulation and at rest."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab import optimizers
from jaxlab.modifiers import asam, groups, sam
from jaxlab.train import init_state, make_train_step

RNG = np.random.default_rng(0)
A = RNG.standard_normal((3, 3)) / 2
PARAMS = {"bias": RNG.standard_normal(3), "kernel": RNG.standard_normal((2, 3))}
STEPS = 6


def loss(params):
    row = jnp.tanh(params["kernel"] @ jnp.asarray(A)) + params["bias"]
    return jnp.sum(row**2) / 2


def gradient(params):
    """By hand, of the same loss."""
    h = np.tanh(params["kernel"] @ A)
    row = h + params["bias"]
    return {"bias": row.sum(0), "kernel": (row * (1 - h**2)) @ A.T}


def ascent(g, p, name, rho, eta, mistake):
    """The paper's ascents: SAM without eta; the official ASAM scales weights alone."""
    scales = {
        n: np.abs(p[n]) + eta if eta is not None and (n == "kernel" or mistake == "scales biases") else 1.0 for n in p
    }
    if mistake == "not squared":
        return rho * scales[name] * g[name] / np.sqrt(sum(np.sum(g[n] ** 2) for n in g))
    if mistake == "a norm for each leaf":
        return rho * scales[name] ** 2 * g[name] / np.linalg.norm(scales[name] * g[name])
    return rho * scales[name] ** 2 * g[name] / np.sqrt(sum(np.sum((scales[n] * g[n]) ** 2) for n in g))


def by_hand(rho, eta=None, mistake=""):
    p, v = PARAMS, dict.fromkeys(PARAMS, 0.0)
    for _ in range(STEPS):
        g = gradient(p)
        above = {name: p[name] + ascent(g, p, name, rho, eta, mistake) for name in p}
        second = gradient(above)
        v = {name: 0.9 * v[name] + second[name] for name in p}
        start = above if mistake == "never comes down" else p
        p = {name: start[name] - 0.05 * v[name] for name in p}
    return p


def trained(tx):
    def step(carry, _):
        params, state = carry
        updates, state = tx.update(jax.grad(loss)(params), state, params, grad_fn=jax.grad(loss))
        return (optax.apply_updates(params, updates), state), None

    params = jax.tree.map(jnp.asarray, PARAMS)
    return jax.jit(lambda: jax.lax.scan(step, (params, tx.init(params)), length=STEPS)[0][0])()


def distance(ours, other):
    return max(float(np.max(np.abs(ours[name] - other[name]))) for name in other)


CASES = {
    "sam": (lambda inner: sam(inner, 0.3), {"rho": 0.3}, ("a norm for each leaf", "never comes down")),
    "asam": (lambda inner: asam(inner, 0.6, 0.1), {"rho": 0.6, "eta": 0.1}, ("not squared", "scales biases")),
    "asam everywhere": (
        lambda inner: asam(inner, 0.6, 0.1, mask=None),
        {"rho": 0.6, "eta": 0.1, "mistake": "scales biases"},
        ("",),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_is_the_papers_step(case, x64):
    modify, numbers, mistakes = CASES[case]
    ours = trained(modify(optimizers.momentum(0.05)))
    assert distance(ours, by_hand(**numbers)) < 1e-12
    for mistake in mistakes:
        assert distance(ours, by_hand(**(numbers | {"mistake": mistake}))) > 1e-4


@pytest.mark.parametrize("modify", [sam, asam])
def test_zero_gradients_make_no_nan(modify):
    """optax.contrib.sam divides zero by zero."""
    params, zeros = {"w": jnp.ones((2, 2))}, {"w": jnp.zeros((2, 2))}
    for tx in (modify(optimizers.adam(0.1)), optax.chain(modify(optimizers.sgd(0.1)))):
        updates, _ = tx.update(zeros, tx.init(params), params, grad_fn=lambda p: zeros)
        assert updates["w"].tolist() == [[0.0, 0.0], [0.0, 0.0]]


def batch_loss(params, batch, key):
    return jnp.mean((batch["x"] @ params - batch["y"]) ** 2), {}


@pytest.mark.parametrize("modify", [sam, asam])
def test_under_accumulation_the_ascent_is_of_the_whole_batch(modify):
    batch = {"x": jnp.asarray(RNG.standard_normal((8, 3)), "float32"), "y": jnp.ones((8,))}
    ends = []
    for accumulate in (1, 4):
        build = lambda h: modify(optimizers.sgd(h["learning_rate"]), h["rho"])  # noqa: E731
        state = init_state(jnp.ones(3), build, {"learning_rate": 0.1, "rho": 0.5}, key=jax.random.key(0))
        state, _ = make_train_step(batch_loss, build, accumulate=accumulate)(state, batch)
        ends.append(state.params)
    np.testing.assert_allclose(*ends, rtol=1e-5)
    plain = init_state(jnp.ones(3), optimizers.sgd, 0.1, key=jax.random.key(0))
    assert not np.allclose(ends[0], make_train_step(batch_loss, optimizers.sgd)(plain, batch)[0].params, rtol=1e-3)


def test_what_stands_inside_sees_the_second_gradient_and_frozen_leaves_stay():
    seen = {}

    def spy(updates, state, params=None, **extra):
        seen.update(updates)
        return updates, state

    tx = groups(
        {"own": optax.GradientTransformation(lambda p: (), spy), "frozen": None}, [("b", "frozen"), ("", "own")]
    )
    params = {"b": jnp.full(1, 2.0), "w": jnp.full(1, 2.0)}
    grads = {"b": jnp.full(1, 1e6), "w": jnp.full(1, 4.0)}
    outer = sam(tx, rho=0.5)
    outer.update(
        grads, outer.init(params), params, grad_fn=lambda p: jax.tree.map(lambda leaf: 2 * leaf, p) | {"b": p["b"]}
    )
    assert seen["w"].tolist() == [5.0]


@pytest.mark.parametrize("missing", ["params", "grad_fn"])
def test_what_is_missing_is_named(missing):
    tx, params = sam(optimizers.sgd(0.1)), jnp.ones(2)
    given = {"params": params, "grad_fn": lambda p: p} | {missing: None}
    with pytest.raises(ValueError, match=missing):
        tx.update(params, tx.init(params), **given)
