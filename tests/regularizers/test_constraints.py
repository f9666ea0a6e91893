"""Constraints: projections against scipy, solutions of constrained problems, what passes and what is refused."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import optimize

from jaxlab import optimizers, regularizers
from jaxlab.core.chain import chain

FLOATS = (jnp.float32, jnp.bfloat16, jnp.float16)
RNG = np.random.default_rng(0)
W = RNG.normal(size=(4, 3)) * [0.3, 1.0, 3.0]


def landed(tx, params, updates):
    return optax.apply_updates(params, tx.update(updates, tx.init(params), params)[0])


def nearest(x, constraints=(), bounds=None):
    """The projection as an optimization problem, for scipy."""
    found = optimize.minimize(
        lambda z: np.sum((z - x) ** 2) / 2,
        0.1 * x,
        jac=lambda z: z - x,
        bounds=bounds,
        constraints=constraints,
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 500},
    )
    return found.x


def test_max_norm_is_the_nearest_point_of_the_ball(x64):
    ball = {"type": "ineq", "fun": lambda z: 1.0 - z @ z, "jac": lambda z: -2 * z}
    wanted = np.stack([nearest(column, [ball]) for column in W.T], axis=1)
    params = jnp.asarray(RNG.normal(size=(4, 3)))
    found = np.asarray(landed(regularizers.max_norm(1.0), params, W - params))
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    norms = np.linalg.norm(found, axis=0)
    assert np.sum(norms < 0.99) > 0
    np.testing.assert_allclose(norms[norms >= 0.99], 1, rtol=1e-12)


def test_box_is_the_nearest_point_of_the_box(x64):
    wanted = nearest(W.ravel(), bounds=[(-0.5, 1.0)] * 12).reshape(4, 3)
    params = jnp.asarray(RNG.normal(size=(4, 3)))
    np.testing.assert_allclose(landed(regularizers.box(-0.5, 1.0), params, W - params), wanted, atol=1e-6)


@pytest.mark.parametrize(("low", "high"), [(0.0, math.inf), (-0.2, 0.3)])
def test_projected_gradient_descent_solves_bounded_least_squares(low, high, x64):
    design, target = RNG.normal(size=(30, 6)), RNG.normal(size=30)
    wanted = optimize.lsq_linear(design, target, (low, high), tol=1e-14).x
    rate = 1 / np.linalg.eigvalsh(design.T @ design)[-1]
    tx = chain(optimizers.sgd(rate), regularizers.box(low, high))

    def step(_, w):
        gradient = jnp.asarray(design.T) @ (jnp.asarray(design) @ w - target)
        return optax.apply_updates(w, tx.update(gradient, tx.init(w), w)[0])

    found = np.asarray(jax.lax.fori_loop(0, 2000, step, jnp.full(6, 0.1)))
    at_bound = (found == low) | (found == high)
    assert 0 < at_bound.sum() < 6
    np.testing.assert_allclose(found, wanted, atol=1e-8)


@pytest.mark.parametrize(("axis", "inside"), [(-1, (0, 1, 2)), (0, (1, 2, 3)), (-2, (0, 1, 3)), (None, (0, 1, 2, 3))])
def test_units_of_a_convolution_kernel(axis, inside):
    params = jnp.asarray(3 * RNG.normal(size=(3, 2, 4, 5)), "float32")
    found = np.asarray(landed(regularizers.max_norm(2.0, axis), params, jnp.zeros_like(params)), np.float64)
    before = np.asarray(params, np.float64)
    norms = np.sqrt(np.sum(before**2, inside, keepdims=True))
    np.testing.assert_allclose(found, before * np.minimum(1, 2 / norms), rtol=1e-5, atol=1e-7)


def test_leaves_without_incoming_weights():
    params = {"bias": jnp.full(4, 3.0), "scale": jnp.asarray(3.0)}
    zeros = jax.tree.map(jnp.zeros_like, params)
    jax.tree.map(np.testing.assert_array_equal, landed(regularizers.max_norm(1.0), params, zeros), params)
    found = landed(regularizers.max_norm(1.0, axis=None), params, zeros)
    assert (found["bias"].tolist(), found["scale"].tolist()) == ([0.5] * 4, 1.0)


@pytest.mark.parametrize("tx", [regularizers.max_norm(100.0), regularizers.box(-10.0, 10.0)], ids=["max_norm", "box"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_what_is_allowed_passes_to_the_bit(tx, dtype):
    """An update far below the parameter's last place is not lost on the way through float32."""
    params = jnp.asarray(RNG.normal(size=(4, 3)), "float32")
    updates = jnp.asarray(1e-5 * RNG.normal(size=(4, 3)), dtype)
    np.testing.assert_array_equal(tx.update(updates, tx.init(params), params)[0], updates)


@pytest.mark.parametrize("update_dtype", FLOATS)
@pytest.mark.parametrize("param_dtype", FLOATS)
def test_constraints_hold_to_rounding(update_dtype, param_dtype):
    params = jnp.asarray(RNG.normal(size=(50, 3)), param_dtype)
    updates = jnp.asarray(3 * RNG.normal(size=(50, 3)), update_dtype)
    eps = max(float(jnp.finfo(dtype).eps) for dtype in (param_dtype, update_dtype))
    boxed = np.asarray(landed(regularizers.box(-0.3, 0.7), params, updates), np.float64)
    assert np.all(boxed >= -0.3 - 2 * eps)
    assert np.all(boxed <= 0.7 + 2 * eps)
    norms = np.linalg.norm(np.asarray(landed(regularizers.max_norm(0.5), params, updates), np.float64), axis=0)
    assert np.all(norms <= 0.5 + 2 * eps * np.linalg.norm(np.asarray(params, np.float64)))


def test_a_bound_of_zero_is_never_crossed():
    params = jnp.asarray(np.abs(RNG.normal(size=10_000)), "float32")
    updates = jnp.asarray(RNG.normal(size=10_000) * 10.0 ** RNG.uniform(-8, 2, 10_000), "float32")
    found = landed(regularizers.box(0.0, math.inf), params, updates)
    assert np.all(found >= 0)
    np.testing.assert_array_equal(found == 0, params + updates <= 0)


def test_bounds_by_rule_and_mask():
    params = {"a": jnp.array([-5.0, 5.0]), "b": jnp.array([-5.0, 5.0]), "c": jnp.array([-5.0, 5.0])}
    tx = regularizers.box([("a", -1.0), ("", -2.0)], [("b", 1.0), ("", math.inf)], mask=[("c", False), ("", True)])
    found = landed(tx, params, jax.tree.map(jnp.zeros_like, params))
    assert jax.tree.map(lambda leaf: leaf.tolist(), found) == {"a": [-1.0, 5.0], "b": [-2.0, 1.0], "c": [-5.0, 5.0]}
    rows = {"a": jnp.full((4, 1), 3.0), "b": jnp.full((4, 1), 3.0)}
    found = landed(regularizers.max_norm([("a", 2.0), ("b", 4.0)]), rows, jax.tree.map(jnp.zeros_like, rows))
    assert [leaf[0, 0].item() for leaf in jax.tree.leaves(found)] == [1.0, 2.0]


def test_radii_of_zero_and_norms_of_zero():
    params, zeros = jnp.array([[3.0, 0.0], [4.0, 0.0]]), jnp.zeros((2, 2))
    assert not landed(regularizers.max_norm(0.0), params, zeros).any()
    assert landed(regularizers.max_norm(5.0), params, zeros).tolist() == params.tolist()


def test_gaps_in_trees():
    params = {"a": jnp.ones((2, 2)), "b": jnp.ones(2), "c": None, "d": jnp.zeros((0, 3)), "e": ()}
    updates = {**params, "b": None}
    for tx in (regularizers.max_norm(0.5), regularizers.box(-0.5, 0.5)):
        out, _ = tx.update(updates, tx.init(params), params)
        assert jax.tree.structure(out) == jax.tree.structure(updates)
        assert out["b"] is None


def test_traced_bounds_are_taken_on_trust():
    params = jnp.array([-5.0, 5.0])

    @jax.jit
    def clipped(low, high):
        return landed(regularizers.box(low, high), params, jnp.zeros(2))

    assert clipped(-1.0, 2.0).tolist() == [-1.0, 2.0]


def test_what_is_refused():
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    with pytest.raises(ValueError, match=r"low = 1\.0, high = 0\.0 for leaf 'bias': accepted is low <= high"):
        regularizers.box(1.0, 0.0).init(params)
    with pytest.raises(ValueError, match="for leaf 'kernel'"):
        regularizers.box(0.0, [("kernel", -1.0), ("", 1.0)]).init(params)
    with pytest.raises(ValueError, match=r"low = nan: accepted is a number in \[-inf, inf\)"):
        regularizers.box(math.nan, 0.0)
    with pytest.raises(TypeError, match="high = 'high'"):
        regularizers.box(0.0, "high")
    with pytest.raises(ValueError, match=r"radius = -1\.0: accepted is a number in \[0, inf\)"):
        regularizers.max_norm(-1.0)
    with pytest.raises(TypeError, match=r"axis = True: accepted are an integer, and None for the whole leaf"):
        regularizers.max_norm(1.0, axis=True)
    with pytest.raises(ValueError, match="axis = 2: leaf 'kernel' has 2 axes, accepted are -2 to 1"):
        regularizers.max_norm(1.0, axis=2).init(params)
    regularizers.max_norm(1.0, axis=2, mask=[("bias", True), ("", False)]).init(params)
    for tx in (
        regularizers.max_norm(1.0),
        regularizers.box(0.0, 1.0, mask=lambda params: {"bias": True, "kernel": True}),
    ):
        with pytest.raises(ValueError, match="params = None"):
            tx.update(params, tx.init(params))
        with pytest.raises(TypeError, match="an update has dtype int32: accepted are real floating arrays"):
            tx.update(jax.tree.map(lambda p: p.astype(int), params), tx.init(params), params)


@pytest.mark.parametrize(("low", "high", "name"), [(np.inf, np.inf, "low"), (-np.inf, -np.inf, "high")])
def test_a_box_at_infinity_is_refused(low, high, name):
    with pytest.raises(ValueError, match=f"{name} = "):
        regularizers.box(low, high)
