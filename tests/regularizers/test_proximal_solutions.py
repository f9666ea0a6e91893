"""Run to convergence, proximal steps reach what independent solvers find: the same coefficients, the same zeros."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import ElasticNet, Lasso, MultiTaskLasso, Ridge

from jaxlab import optimizers, regularizers
from jaxlab.core.chain import chain

pytestmark = pytest.mark.usefixtures("x64")


def _data():
    inputs, outputs = load_diabetes(return_X_y=True)
    return inputs * np.sqrt(len(inputs)), outputs - outputs.mean()


X, Y = _data()
N = len(X)
RATE = N / np.linalg.eigvalsh(X.T @ X)[-1]


def converge(tx, gradient, start, steps=20_000):
    """Full-batch descent in one compiled loop."""

    @jax.jit
    def run(params):
        def step(_, carry):
            params, state = carry
            updates, state = tx.update(gradient(params), state, params)
            return optax.apply_updates(params, updates), state

        return jax.lax.fori_loop(0, steps, step, (params, tx.init(params)))[0]

    return jax.tree.map(np.asarray, run(start))


def mean_squares(w):
    """The gradient of scikit-learn's loss, half the mean squared error."""
    return jnp.asarray(X.T @ X / N) @ w - jnp.asarray(X.T @ Y / N)


def assert_same(found, wanted, zeros):
    assert np.sum(wanted == 0) == zeros
    np.testing.assert_array_equal(found == 0, wanted == 0)
    np.testing.assert_allclose(found, wanted, atol=1e-8 * np.abs(wanted).max())


@pytest.mark.parametrize(("alpha", "zeros"), [(0.5, 2), (2.0, 3), (10.0, 6)])
def test_ista_reaches_the_lasso(alpha, zeros):
    solver = Lasso(alpha=alpha, fit_intercept=False, tol=1e-14, max_iter=1_000_000).fit(X, Y)
    tx = regularizers.proximal_l1(optimizers.sgd(RATE), alpha)
    assert_same(converge(tx, mean_squares, jnp.zeros(10)), solver.coef_, zeros)


def test_momentum_needs_the_strength_of_its_longer_steps():
    solver = Lasso(alpha=2.0, fit_intercept=False, tol=1e-14, max_iter=1_000_000).fit(X, Y)
    tx = regularizers.proximal_l1(optimizers.momentum(0.1 * RATE, 0.9), 2.0 / (1 - 0.9))
    assert_same(converge(tx, mean_squares, jnp.zeros(10)), solver.coef_, 3)


def test_under_adam_the_strength_has_another_scale():
    """Its direction is near 1 whatever the gradient's length: in full batches nothing is 0 below, all is 0 above."""

    def zeros(strength):
        tx = regularizers.proximal_l1(optimizers.adam(0.1), strength)
        return np.sum(converge(tx, mean_squares, jnp.zeros(10), steps=3_000) == 0)

    assert (zeros(0.1), zeros(1.1)) == (0, 10)


@pytest.mark.parametrize(("alpha", "ratio", "zeros"), [(2.0, 0.9, 2), (10.0, 0.7, 2)])
def test_elastic_net(alpha, ratio, zeros):
    solver = ElasticNet(alpha=alpha, l1_ratio=ratio, fit_intercept=False, tol=1e-14, max_iter=1_000_000).fit(X, Y)
    tx = regularizers.proximal_elastic_net(optimizers.sgd(RATE), alpha, ratio)
    assert_same(converge(tx, mean_squares, jnp.ones(10)), solver.coef_, zeros)


@pytest.mark.parametrize("around", [False, True])
def test_ridge(around):
    """As a coupled penalty, and as the elastic net's other end; scikit-learn's Ridge sums where Lasso averages."""
    solver = Ridge(alpha=3.0 * N, fit_intercept=False, tol=1e-14).fit(X, Y)
    rate = 1 / (1 / RATE + 3.0)
    if around:
        tx = regularizers.proximal_elastic_net(optimizers.sgd(RATE), 3.0, 0.0)
    else:
        tx = chain(regularizers.l2(3.0), optimizers.sgd(rate))
    assert_same(converge(tx, mean_squares, jnp.zeros(10), steps=500), solver.coef_, 0)


def test_group_lasso_reaches_multi_task_lasso():
    """scikit-learn's groups are the features' rows, without the root of their size."""
    outputs = np.stack([Y, np.roll(Y, 1), np.random.default_rng(0).permutation(Y) + Y], axis=1)
    solver = MultiTaskLasso(alpha=8.0, fit_intercept=False, tol=1e-14, max_iter=1_000_000).fit(X, outputs)

    def gradient(w):
        return jnp.asarray(X.T @ X / N) @ w - jnp.asarray(X.T @ outputs / N)

    tx = regularizers.proximal_group_lasso(optimizers.sgd(RATE), 8.0 / np.sqrt(3))
    found = converge(tx, gradient, jnp.zeros((10, 3)))
    rows = np.all(found == 0, axis=1)
    assert 0 < rows.sum() < 10
    np.testing.assert_array_equal(np.any(found == 0, axis=1), rows)
    assert_same(found, solver.coef_.T, 3 * rows.sum())


def test_group_lasso_of_an_orthonormal_design_is_a_formula():
    rng = np.random.default_rng(0)
    design, _ = np.linalg.qr(rng.normal(size=(30, 6)))
    outputs = rng.normal(size=(30, 4))
    free = design.T @ outputs
    norms = np.linalg.norm(free, axis=1, keepdims=True)
    strength = np.median(norms) / 2
    wanted = free * np.maximum(1 - strength * np.sqrt(4) / norms, 0)
    tx = regularizers.proximal_group_lasso(optimizers.sgd(0.5), strength)
    found = converge(tx, lambda w: jnp.asarray(design.T) @ (jnp.asarray(design) @ w - outputs), jnp.ones((6, 4)), 100)
    assert np.sum(np.all(found == 0, axis=1)) == 3
    np.testing.assert_array_equal(found == 0, wanted == 0)
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_l1_on_one_layer_and_l2_on_the_other():
    """The conditions of optimality, leaf by leaf: a subgradient of each layer's own penalty balances the loss."""
    inner = chain(regularizers.l2([("ridge", 0.5), ("lasso", 0.0)]), optimizers.sgd(RATE / 2))
    tx = regularizers.proximal_l1(inner, [("lasso", 6.0), ("ridge", 0.0)])

    def gradient(w):
        flat = mean_squares(jnp.concatenate([w["lasso"], w["ridge"]]))
        return {"lasso": flat[:5], "ridge": flat[5:]}

    found = converge(tx, gradient, {"lasso": jnp.zeros(5), "ridge": jnp.zeros(5)})
    slope = jax.tree.map(np.asarray, gradient(found))
    at_zero = found["lasso"] == 0
    assert 0 < at_zero.sum() < 5
    assert np.all(found["ridge"] != 0)
    np.testing.assert_allclose(slope["ridge"], -0.5 * found["ridge"], atol=1e-9)
    np.testing.assert_allclose(slope["lasso"][~at_zero], -6.0 * np.sign(found["lasso"][~at_zero]), atol=1e-9)
    assert np.all(np.abs(slope["lasso"][at_zero]) < 6.0)
