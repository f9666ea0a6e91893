"""l1 and l2 add the gradients of their penalties."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab import regularizers

RNG = np.random.default_rng(0)
PARAMS = {
    "kernel": RNG.normal(size=(4, 3)).astype(np.float32),
    "bias": np.array([0.0, -2.5, 3.0], np.float32),
    "half": RNG.normal(size=(2, 2, 2)).astype(jnp.bfloat16),
    "scalar": np.float32(-0.5),
    "none": None,
    "empty": np.zeros((0, 2), np.float32),
}
GRADIENTS = jax.tree.map(lambda p: RNG.normal(size=np.shape(p)).astype(np.float32), PARAMS)
CASES = [(0.3, None), (0.3, "matrices"), ([("kernel", 0.3), ("bias|half", 0.05), (".*", 0.0)], None)]


@pytest.mark.parametrize(
    ("make", "penalty"), [(regularizers.l1, regularizers.l1_penalty), (regularizers.l2, regularizers.l2_penalty)]
)
@pytest.mark.parametrize(("strength", "mask"), CASES)
def test_gradient_of_the_penalty_is_added(make, penalty, strength, mask):
    tx = make(strength, mask)
    found, _ = jax.jit(tx.update)(GRADIENTS, tx.init(PARAMS), PARAMS)
    full = jax.tree.map(lambda p: jnp.asarray(p, jnp.float32), PARAMS)
    slopes = jax.grad(penalty)(full, strength, mask)
    jax.tree.map(lambda f, g, s: np.testing.assert_allclose(f, g + s, rtol=1e-6, atol=1e-7), found, GRADIENTS, slopes)


@pytest.mark.parametrize(
    ("penalty", "norm"),
    [
        (regularizers.l1_penalty, lambda p: np.abs(p).sum()),
        (regularizers.l2_penalty, lambda p: np.square(p).sum() / 2),
    ],
)
def test_penalty_is_the_norm_in_float64(penalty, norm):
    numbers = {key: np.asarray(p, np.float64) for key, p in PARAMS.items() if p is not None}
    assert penalty(PARAMS, 0.3).dtype == jnp.float32
    everywhere = 0.3 * sum(norm(p) for p in numbers.values())
    np.testing.assert_allclose(penalty(PARAMS, 0.3), everywhere, rtol=1e-6)
    matrices = 0.3 * sum(norm(p) for p in numbers.values() if p.ndim > 1)
    np.testing.assert_allclose(penalty(PARAMS, 0.3, "matrices"), matrices, rtol=1e-6)
    by_rules = 0.3 * norm(numbers["kernel"]) + 0.1 * norm(numbers["bias"])
    np.testing.assert_allclose(penalty(PARAMS, [("kernel", 0.3), ("bias", 0.1), ("", 0)]), by_rules, rtol=1e-6)
    assert penalty({}, 0.3) == 0


def test_penalties_sum_in_full_precision():
    ones = {"w": jnp.ones(100_000, jnp.bfloat16)}
    assert regularizers.l1_penalty(ones, 0.5) == 50_000
    assert regularizers.l2_penalty(ones, 0.5) == 25_000


def test_l1_leaves_zeros_alone():
    p = jnp.array([0.0, -0.0, 1e-30])
    tx = regularizers.l1(2.0)
    np.testing.assert_array_equal(jnp.asarray(tx.update(jnp.zeros(3), tx.init(p), p)[0]), [0.0, 0.0, 2.0])


def test_gradient_descent_with_l2_solves_ridge_regression():
    inputs, outputs = RNG.normal(size=(20, 3)), RNG.normal(size=20)
    solution = np.linalg.solve(inputs.T @ inputs + 0.7 * np.eye(3), inputs.T @ outputs)
    tx = optax.chain(regularizers.l2(0.7), optax.sgd(0.02))

    def descend(_, theta):
        gradient = jnp.asarray(inputs).T @ (jnp.asarray(inputs) @ theta - jnp.asarray(outputs))
        return optax.apply_updates(theta, tx.update(gradient, tx.init(theta), theta)[0])

    theta = jax.lax.fori_loop(0, 500, descend, jnp.zeros(3))
    np.testing.assert_allclose(theta, solution, rtol=1e-5)
