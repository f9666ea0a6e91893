import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from references.descent import descend, extras, mean_of_squares, rosenbrock, rosenbrock_residuals
from references.second_order import GAUSS_NEWTON_MUTANTS
from references.second_order import gauss_newton as reference

from jaxlab import train
from jaxlab.optimizers import gauss_newton, newton, scale_by_gauss_newton

# Squared condition numbers: the float32 gradient alone decides seven digits less those.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def _matrix(rows: int, columns: int, rank: int) -> np.ndarray:
    rng = np.random.default_rng(rows)
    left = np.linalg.qr(rng.standard_normal((rows, rank)))[0]
    right = np.linalg.qr(rng.standard_normal((columns, rank)))[0]
    return np.sqrt(rows) * left @ np.diag(rng.uniform(0.5, 2.0, rank)) @ right.T


PROBLEMS = {
    "more residuals": _matrix(9, 4, 4),
    "more parameters": _matrix(4, 9, 4),
    "rank deficient": _matrix(9, 6, 3),
}


def _discrepancy(other, kind: str, damping: float, dtype: str) -> float:
    matrix = PROBLEMS[kind]
    tx, targets = scale_by_gauss_newton(damping), np.random.default_rng(0).standard_normal(len(matrix))
    numbers = jnp.asarray(matrix, dtype)
    x = jnp.zeros(matrix.shape[1], dtype)

    def residual_fn(p):
        return numbers @ p - jnp.asarray(targets, dtype)

    gradient = jax.grad(mean_of_squares(residual_fn))(x)
    got, _ = jax.jit(lambda g: tx.update(g, tx.init(x), x, residual_fn=residual_fn))(gradient)
    exact = np.float64(numbers)
    wanted = other(-2 / len(exact) * exact.T @ targets, exact, damping=float(np.dtype(dtype).type(damping)))
    return float(np.linalg.norm(got - wanted) / np.linalg.norm(wanted))


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """The dtype of all arithmetic, each in turn."""
    jax.config.update("jax_enable_x64", request.param == "float64")
    yield request.param
    jax.config.update("jax_enable_x64", False)


@pytest.mark.parametrize("damping", [0.0, 0.3])
@pytest.mark.parametrize("kind", PROBLEMS)
def test_agrees_with_the_transcription(kind, damping, dtype):
    tolerance = TOLERANCE[dtype] if dtype == "float32" else 1e-6 if kind == "rank deficient" else TOLERANCE[dtype]
    assert _discrepancy(reference, kind, damping, dtype) <= tolerance


@pytest.mark.parametrize("wrong", GAUSS_NEWTON_MUTANTS)
def test_refuses_the_mutant(wrong, dtype):
    assert _discrepancy(GAUSS_NEWTON_MUTANTS[wrong], "more residuals", 0.3, dtype) > 100 * TOLERANCE[dtype]


@pytest.mark.parametrize("kind", PROBLEMS)
def test_one_step_is_least_squares_of_least_norm(kind, x64):
    matrix = PROBLEMS[kind]
    targets = np.random.default_rng(1).standard_normal(len(matrix))

    def residual_fn(p):
        return matrix @ p - targets

    points, _ = descend(
        gauss_newton(), mean_of_squares(residual_fn), jnp.zeros(matrix.shape[1]), 1, residual_fn=residual_fn
    )
    np.testing.assert_allclose(points[-1], np.linalg.lstsq(matrix, targets)[0], atol=1e-12)


def test_equals_newton_on_linear_least_squares(x64):
    matrix, x = PROBLEMS["more residuals"], jnp.ones(4)

    def residual_fn(p):
        return matrix @ p - 1.0

    grad, known = extras(mean_of_squares(residual_fn), x, residual_fn)
    steps = [make(damping=0.1).update(grad, make().init(x), x, **known)[0] for make in (newton, gauss_newton)]
    np.testing.assert_allclose(*steps, rtol=1e-12)


def test_reaches_the_optimum_of_rosenbrock_that_scipy_finds(x64):
    start = np.array([-1.2, 1.0, -0.5])
    solved = scipy.optimize.least_squares(rosenbrock_residuals, start, method="lm", xtol=1e-14, ftol=1e-14, gtol=1e-14)
    points, _ = descend(gauss_newton(), rosenbrock, jnp.asarray(start), 60, residual_fn=rosenbrock_residuals)
    np.testing.assert_allclose(points[-1], solved.x, atol=1e-9)


@pytest.mark.parametrize("damping", [0.0, 1e-3])
def test_fits_a_decay_as_scipy_does(damping, x64):
    """A nonlinear fit whose residuals do not vanish: amplitude, rate, offset."""
    times = np.linspace(0, 4, 25)
    measured = 2.5 * np.exp(-1.3 * times) + 0.5 + 0.05 * np.sin(17 * times)

    def residual_fn(p):
        return p[0] * jnp.exp(-p[1] * times) + p[2] - measured

    solved = scipy.optimize.least_squares(residual_fn, [1.0, 1.0, 0.0], method="lm", xtol=1e-14, ftol=1e-14, gtol=1e-14)
    points, _ = descend(
        gauss_newton(damping=damping),
        mean_of_squares(residual_fn),
        jnp.array([1.0, 1.0, 0.0]),
        25,
        residual_fn=residual_fn,
    )
    np.testing.assert_allclose(points[-1], solved.x, rtol=1e-7)


def test_a_jacobian_that_is_not_finite_is_not_hidden():
    tx, x = scale_by_gauss_newton(), jnp.zeros(2)
    direction, _ = tx.update(jnp.ones(2), tx.init(x), x, residual_fn=jnp.sqrt)
    assert not jnp.any(jnp.isfinite(direction))


def test_losses_without_residuals_are_named():
    def build(hyperparams):
        return gauss_newton(hyperparams["learning_rate"])

    params = {"w": jnp.zeros(2)}
    state = train.init_state(params, build, {"learning_rate": 1.0}, key=jax.random.key(0))
    step = train.make_train_step(lambda p, batch, key: (jnp.sum(p["w"] ** 2), {}), build)
    with pytest.raises(ValueError, match=r"no method residuals.*newton and lbfgs take any loss"):
        step(state, jnp.ones((2, 1)))
    with pytest.raises(ValueError, match="residual_fn = None: gauss_newton needs residual_fn"):
        scale_by_gauss_newton().update(params, scale_by_gauss_newton().init(params), params)
