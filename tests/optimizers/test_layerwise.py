"""LAMB, LARS, MARS and SM3 work layer by layer: a stack is its layers, and what decay spares is not scaled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import optimizers
from jaxlab.optimizers.layerwise import norm

RNG = np.random.default_rng(0)
PARAMS = {"stack": jnp.asarray(RNG.standard_normal((3, 4, 5)), "float32"), "bias": jnp.arange(1.0, 6.0)}
GRADS = jax.tree.map(lambda p: jnp.asarray(10.0 ** RNG.integers(-2, 2) * RNG.standard_normal(p.shape), p.dtype), PARAMS)
# Each layer's gradient has its own size.
GRADS["stack"] = GRADS["stack"] * jnp.array([1.0, 10.0, 0.01])[:, None, None]


def _updates(tx, params, grads) -> list:
    state, seen = tx.init(params), []
    for factor in (1.0, -0.5):
        updates, state = jax.jit(tx.update)(jax.tree.map(lambda g, f=factor: f * g, grads), state, params)
        seen.append(updates)
    return seen


def _apart(tree: dict) -> dict:
    return {"bias": tree["bias"]} | {str(i): layer for i, layer in enumerate(tree["stack"])}


@pytest.mark.parametrize("name", ["lamb", "lars", "mars", "sm3"])
def test_a_stack_of_layers_is_its_layers(name):
    factory = optimizers.get(name).factory
    stacked = _updates(factory(0.1, layer_axes=[("stack", 1), ("", 0)]), PARAMS, GRADS)
    alone = _updates(factory(0.1), _apart(PARAMS), _apart(GRADS))
    whole = _updates(factory(0.1), PARAMS, GRADS)
    for ours, wanted in zip(stacked, alone, strict=True):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), _apart(ours), wanted)
    assert float(jnp.max(jnp.abs(whole[1]["stack"] - stacked[1]["stack"]))) > 1e-5


def test_what_decay_spares_takes_adam_s_steps():
    lamb = optimizers.lamb(0.1, weight_decay=0.5, decay_mask="matrices")
    adam = optimizers.adam(0.1, eps=1e-6)
    for ours, wanted in zip(_updates(lamb, PARAMS, GRADS), _updates(adam, PARAMS, GRADS), strict=True):
        np.testing.assert_array_equal(ours["bias"], wanted["bias"])
        # The rest has the length of its parameters.
        assert float(norm(ours["stack"])) == pytest.approx(0.1 * float(norm(PARAMS["stack"])), rel=1e-5)


def test_what_decay_spares_takes_steps_of_momentum():
    lars = optimizers.lars(0.1, weight_decay=0.5, trust_coefficient=0.02, decay_mask="matrices")
    momentum = optimizers.momentum(0.1, 0.9)
    ours, wanted = _updates(lars, PARAMS, GRADS), _updates(momentum, PARAMS, GRADS)
    for a, b in zip(ours, wanted, strict=True):
        np.testing.assert_array_equal(a["bias"], b["bias"])
    lengths = 0.1 * 0.02 * norm(PARAMS["stack"]) / (norm(GRADS["stack"]) + 0.5 * norm(PARAMS["stack"]))
    by_hand = -lengths * (GRADS["stack"] + 0.5 * PARAMS["stack"])
    np.testing.assert_allclose(ours[0]["stack"], by_hand, rtol=1e-5)


@pytest.mark.parametrize("name", ["lamb", "lars"])
def test_parameters_that_are_zero_are_not_scaled(name):
    """Of a layer that begins at zero the ratio would keep it there."""
    params = {"w": jnp.zeros(3)}
    ours = _updates(optimizers.get(name).factory(0.1), params, {"w": jnp.ones(3)})[0]["w"]
    np.testing.assert_allclose(ours, -0.1, rtol=1e-5)


def test_the_norm_of_what_is_huge_or_tiny():
    for size in (1e30, 1.0, 1e-30):
        assert float(norm(jnp.full(4, size))) == pytest.approx(2 * size, rel=1e-6)
    assert float(norm(jnp.zeros((0, 3)))) == 0
    assert np.isinf(norm(jnp.array([1.0, np.inf])))
    assert np.isnan(norm(jnp.array([1.0, np.nan])))
