import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.optimize
from references.descent import descend, rosenbrock
from references.second_order import LBFGS_MUTANTS
from references.second_order import lbfgs as reference

from jaxlab.optimizers import lbfgs, scale_by_lbfgs

SHAPES = {"matrix": (3, 4), "scalar": (), "vector": (7,)}
SIZE = 20
TOLERANCE = {"float32": 2e-5, "float64": 1e-10}


def _sequence() -> tuple[np.ndarray, np.ndarray]:
    """Parameters that wander, and gradients of a quadratic of condition 30 that for some steps is upside down."""
    rng = np.random.default_rng(3)
    basis = np.linalg.qr(rng.standard_normal((SIZE, SIZE)))[0]
    hessian = basis @ np.diag(np.geomspace(1, 30, SIZE)) @ basis.T
    points = np.cumsum(rng.standard_normal((40, SIZE)), axis=0)
    signs = np.ones(40)
    signs[[8, 9, 21, 22, 23]] = -1
    return points.astype(np.float32), (signs[:, None] * (points @ hessian)).astype(np.float32)


POINTS, GRADIENTS = _sequence()


def _tree(vectors: np.ndarray, dtype: str) -> dict:
    leaves, start = {}, 0
    for name, shape in SHAPES.items():
        size = int(np.prod(shape))
        leaves[name] = jnp.asarray(vectors[:, start : start + size].reshape(-1, *shape), dtype)
        start += size
    return leaves


def _vectors(tree: dict) -> np.ndarray:
    return np.concatenate([np.reshape(leaf, (len(leaf), -1)) for leaf in tree.values()], axis=1)


@functools.cache
def _directions(memory_size: int, dtype: str, scale: float = 1.0) -> np.ndarray:
    tx = scale_by_lbfgs(memory_size)

    @jax.jit
    def run(points, gradients):
        def step(state, inputs):
            p, g = inputs
            direction, state = tx.update(g, state, p)
            return state, direction

        return jax.lax.scan(step, tx.init(jax.tree.map(lambda leaf: leaf[0], points)), (points, gradients))[1]

    return _vectors(run(_tree(POINTS, dtype), _tree(scale * GRADIENTS, dtype)))


def _discrepancy(directions: np.ndarray, wrong, memory_size: int) -> float:
    state, worst = {}, 0.0
    for got, g, p in zip(directions, np.float64(GRADIENTS), np.float64(POINTS), strict=True):
        wanted, state = wrong(g, p, state, memory_size=memory_size)
        worst = max(worst, float(np.linalg.norm(got - wanted) / np.linalg.norm(wanted)))
    return worst


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """The dtype of all arithmetic, each in turn."""
    jax.config.update("jax_enable_x64", request.param == "float64")
    yield request.param
    jax.config.update("jax_enable_x64", False)


def test_the_sequence_has_pairs_to_skip():
    curvatures = np.sum(np.diff(POINTS, axis=0) * np.diff(GRADIENTS, axis=0), axis=1)
    assert np.sum(curvatures < 0) >= 4


@pytest.mark.parametrize("memory_size", [10, 3, 1])
def test_agrees_with_the_transcription(memory_size, dtype):
    assert _discrepancy(_directions(memory_size, dtype), reference, memory_size) <= TOLERANCE[dtype]


@pytest.mark.parametrize("wrong", LBFGS_MUTANTS)
def test_refuses_the_mutant(wrong, dtype):
    assert _discrepancy(_directions(3, dtype), LBFGS_MUTANTS[wrong], 3) > 100 * TOLERANCE[dtype]


@pytest.mark.parametrize("scale", [2.0**-60, 2.0**90])
def test_no_scale_of_the_loss_overflows(scale):
    """H shrinks as the gradient grows: from the second step on the direction is the same, where squares overflow."""
    scaled = _directions(3, "float32", scale)
    np.testing.assert_allclose(scaled[1:], _directions(3, "float32")[1:], rtol=1e-5, atol=1e-5)


def test_a_gradient_that_is_not_finite_is_forgotten():
    tx = scale_by_lbfgs(2)
    state, x = tx.init(jnp.ones(3)), jnp.ones(3)
    _, state = tx.update(x, state, x)
    kept, state = tx.update(0.8 * x, state, 0.9 * x)
    _, bad = tx.update(jnp.full(3, jnp.nan), state, 0.8 * x)
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in (bad.steps, bad.changes))
    after, _ = tx.update(0.8 * x, bad, 0.9 * x)
    np.testing.assert_array_equal(after, kept)


def test_the_first_step_may_be_from_other_parameters_than_init_s():
    """Weights that are loaded later: from there to here no gradient changed."""
    curvature, x = jnp.array([1.0, 10.0]), jnp.ones(2)
    tx = scale_by_lbfgs(2)
    direction, state = tx.update(curvature * x, tx.init(jnp.zeros(2)), x)
    np.testing.assert_array_equal(direction, curvature * x)
    assert not jnp.any(state.steps)


def test_reaches_the_optimum_of_logistic_regression(x64):
    rng = np.random.default_rng(0)
    inputs, labels = rng.standard_normal((60, 5)), rng.choice([-1.0, 1.0], 60)

    def loss(w):
        return jnp.mean(jnp.logaddexp(0.0, -labels * (inputs @ w))) + 0.01 * jnp.sum(w**2)

    solved = scipy.optimize.minimize(jax.jit(jax.value_and_grad(loss)), np.zeros(5), jac=True, method="BFGS", tol=1e-10)
    points, _ = descend(lbfgs(), loss, jnp.zeros(5), 20)
    np.testing.assert_allclose(points[-1], solved.x, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(("line_search", "steps"), [("zoom", 75), ("backtracking", 90)])
def test_solves_rosenbrock_in_ten_dimensions(line_search, steps, x64):
    points, _ = descend(lbfgs(line_search=line_search), rosenbrock, jnp.zeros(10), steps)
    np.testing.assert_allclose(points[-1], np.ones(10), atol=1e-8)


def test_a_quadratic_ends_after_as_many_steps_as_dimensions(x64):
    """With exact line searches L-BFGS is the method of conjugate gradients; with Wolfe's it is close to it."""
    curvature = jnp.geomspace(1, 1e4, 6)
    points, _ = descend(lbfgs(), lambda x: jnp.sum(curvature * x**2) / 2, jnp.ones(6), 40)
    np.testing.assert_allclose(points[-1], 0, atol=1e-9)


def test_in_float32_stays_at_the_optimum_it_has_reached():
    curvature = jnp.geomspace(1, 1e4, 6)
    loss = lambda x: 1.0 + jnp.sum(curvature * (x - 1) ** 2) / 2  # noqa: E731
    points, _ = descend(lbfgs(), loss, jnp.zeros(6), 200)
    values = jax.vmap(loss)(points)
    assert float(values[-1]) <= 1 + 1e-6
    assert bool(jnp.all(values[50:] <= 1 + 1e-6))


def test_a_search_that_finds_nothing_restarts_the_memory():
    tx = lbfgs(memory_size=2)

    @jax.jit
    def step(x, state, finite):
        def value_fn(p):
            return jnp.where(finite, jnp.sum(p**2), jnp.inf)

        return tx.update(2 * x, state, x, value=jnp.sum(x**2), grad=2 * x, value_fn=value_fn)

    x = jnp.array([1.0, 2.0])
    state = tx.init(x)
    for size in (1.0, 0.5):
        _, state = step(size * x, state, True)
    assert jnp.any(_memory(state))
    updates, state = step(0.4 * x, state, False)
    np.testing.assert_array_equal(updates, 0.0)
    assert jnp.any(_memory(state))
    _, state = step(0.4 * x, state, True)
    assert not jnp.any(_memory(state))


def _memory(state) -> jax.Array:
    return optax.tree.get(state, "steps")


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="memory_size = 0: accepted"):
        lbfgs(memory_size=0)
    with pytest.raises(ValueError, match="line_search = 'wolfe': unknown"):
        lbfgs(line_search="wolfe")
    with pytest.raises(ValueError, match=r"value_fn = None: .* needs value, grad, value_fn"):
        lbfgs().update(jnp.ones(2), lbfgs().init(jnp.ones(2)), jnp.ones(2), value=1.0, grad=jnp.ones(2))
