import jax
import jax.numpy as jnp
import numpy as np
import pytest
from references.descent import descend, rosenbrock
from references.second_order import NEWTON_MUTANTS
from references.second_order import newton as reference

from jaxlab.optimizers import newton, scale_by_newton
from jaxlab.optimizers.dense import MAX_PARAMETERS

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def _hessians() -> np.ndarray:
    """Ten of them, half with curvatures of both signs."""
    rng = np.random.default_rng(0)
    bases = np.linalg.qr(rng.standard_normal((10, 6, 6)))[0]
    curvatures = rng.uniform(0.3, 3.0, (10, 6))
    curvatures[::2] *= rng.choice([-1, 1], (5, 6))
    return np.einsum("sij,sj,skj->sik", bases, curvatures, bases).astype(np.float32)


HESSIANS = _hessians()
GRADIENTS = np.float32(np.random.default_rng(1).standard_normal((10, 6)))


def _discrepancy(other, damping: float, dtype: str) -> float:
    tx = scale_by_newton(damping)

    @jax.jit
    @jax.vmap
    def directions(gradient, hessian):
        def hvp_fn(params, vector):
            product = hessian @ jnp.concatenate([vector["a"], jnp.ravel(vector["b"])])
            return {"a": product[:2], "b": product[2:].reshape(2, 2)}

        tree = {"a": gradient[:2], "b": gradient[2:].reshape(2, 2)}
        direction = tx.update(tree, tx.init(tree), tree, hvp_fn=hvp_fn)[0]
        return jnp.concatenate([direction["a"], jnp.ravel(direction["b"])])

    got = directions(jnp.asarray(GRADIENTS, dtype), jnp.asarray(HESSIANS, dtype))
    symmetric = (np.float64(HESSIANS) + np.float64(HESSIANS).swapaxes(1, 2)) / 2
    exact = float(np.dtype(dtype).type(damping))
    wanted = np.array([other(g, h, damping=exact) for g, h in zip(np.float64(GRADIENTS), symmetric, strict=True)])
    return float(np.max(np.linalg.norm(got - wanted, axis=1) / np.linalg.norm(wanted, axis=1)))


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """The dtype of all arithmetic, each in turn."""
    jax.config.update("jax_enable_x64", request.param == "float64")
    yield request.param
    jax.config.update("jax_enable_x64", False)


@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_agrees_with_the_transcription(damping, dtype):
    assert _discrepancy(reference, damping, dtype) <= TOLERANCE[dtype]


@pytest.mark.parametrize("wrong", NEWTON_MUTANTS)
def test_refuses_the_mutant(wrong, dtype):
    assert _discrepancy(NEWTON_MUTANTS[wrong], 0.3, dtype) > 100 * TOLERANCE[dtype]


@pytest.mark.parametrize("line_search", ["backtracking", "zoom", "none"])
def test_one_step_reaches_the_minimum_of_a_quadratic(line_search, x64):
    rng = np.random.default_rng(2)
    basis = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    hessian = basis @ np.diag(np.geomspace(1e-6, 1, 8)) @ basis.T
    linear = rng.standard_normal(8)
    points, _ = descend(
        newton(line_search=line_search), lambda x: x @ hessian @ x / 2 + linear @ x, jnp.asarray(rng.normal(size=8)), 1
    )
    wanted = np.linalg.solve(hessian, -linear)
    np.testing.assert_allclose(points[-1], wanted, rtol=1e-8, atol=1e-8 * np.linalg.norm(wanted))


def test_the_error_is_squared_near_the_minimum(x64):
    points, _ = descend(newton(), rosenbrock, jnp.array([-1.2, 1.0]), 40)
    errors = np.linalg.norm(points - 1, axis=1)
    near = np.flatnonzero((errors < 0.1) & (errors > 1e-8))
    assert 2 <= len(near) < 6
    assert np.all(errors[near + 1] <= 30 * errors[near] ** 2 + 1e-14), errors[near]
    assert np.max(errors[near[-1] + 2 :]) < 1e-13


def test_leaves_a_saddle_that_newton_s_own_step_climbs_to(x64):
    saddle = lambda x: x[0] ** 2 - x[1] ** 2 + x[1] ** 4 / 2  # noqa: E731
    start = jnp.array([1.0, 1e-3])
    points, _ = descend(newton(), saddle, start, 30)
    np.testing.assert_allclose(points[-1], [0.0, 1.0], atol=1e-12)
    x, hessian, grad = np.array(start), jax.jit(jax.hessian(saddle)), jax.jit(jax.grad(saddle))
    for _ in range(10):
        x = x - np.linalg.solve(hessian(x), grad(x))
    np.testing.assert_allclose(x, 0.0, atol=1e-12)


def test_a_flat_direction_stays_finite():
    """More parameters than the loss depends on: where there is no slope there is no step."""
    points, _ = descend(newton(), lambda x: (x[0] + x[1] - 2) ** 2, jnp.array([0.0, 1.0, 5.0]), 2)
    np.testing.assert_allclose(points[-1], [0.5, 1.5, 5.0], atol=1e-4)


def test_a_curvature_that_is_not_finite_is_not_hidden():
    x = jnp.ones(2)
    direction, _ = scale_by_newton().update(x, scale_by_newton().init(x), x, hvp_fn=lambda p, v: jnp.nan * v)
    assert not jnp.any(jnp.isfinite(direction))


def test_too_many_parameters_are_counted():
    tx, x = newton(), jnp.ones(MAX_PARAMETERS + 1)
    told = {"value": 0.0, "grad": x, "value_fn": jnp.sum, "hvp_fn": lambda p, v: v}
    with pytest.raises(ValueError, match=r"4097 parameters: accepted are at most 4096.*lbfgs"):
        tx.update(x, tx.init(x), x, **told)


def test_what_is_missing_is_named():
    x = jnp.ones(2)
    with pytest.raises(ValueError, match="hvp_fn = None: newton needs hvp_fn"):
        newton(line_search="none").update(x, newton(line_search="none").init(x), x)
    with pytest.raises(ValueError, match="line_search = 'armijo': unknown"):
        newton(line_search="armijo")
