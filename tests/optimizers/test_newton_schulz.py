"""The iteration against NumPy's singular values: what it does to them, and to nothing else."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.optimizers import newton_schulz
from jaxlab.optimizers.newton_schulz import POLAR_EXPRESS, QUINTIC, SAFETY, polynomials

EPS = 1e-30
orthogonalized = jax.jit(newton_schulz.orthogonalized, static_argnames=("coefficients", "steps", "compute_dtype"))
SHAPES = [(6, 6), (3, 8), (8, 3), (1, 5)]


def _matrix(shape, singular_values=None):
    u, s, vt = np.linalg.svd(np.random.default_rng(sum(shape)).standard_normal(shape), full_matrices=False)
    return (u * (s if singular_values is None else singular_values[: s.size])) @ vt


@pytest.mark.usefixtures("x64")
def test_polar_express_converges_to_the_polar_factor():
    for shape in SHAPES:
        x = _matrix(shape)
        u, _, vt = np.linalg.svd(x, full_matrices=False)
        np.testing.assert_allclose(orthogonalized(jnp.asarray(x), EPS, "polar_express", 12), u @ vt, atol=1e-12)


@pytest.mark.parametrize("shape", [(6, 6), (3, 8), (8, 3)], ids=str)
def test_the_quintic_brings_singular_values_into_its_band(shape):
    # From the largest down to a hundredth of it.
    x = _matrix(shape, np.geomspace(1.0, 1e-2, min(shape)))
    found = np.linalg.svd(np.asarray(orthogonalized(jnp.asarray(x, jnp.float32), 1e-7)), compute_uv=False)
    assert np.all((found > 0.65) & (found < 1.25))
    # And not to 1: that is what its steepness at zero costs.
    assert np.max(np.abs(found - 1)) > 0.05


def _best(low, high):
    """The odd quintic nearest to 1 on an interval: it swings between 1 - E and 1 + E (Remez 1934)."""
    q, r, a, b, c = (3 * low + high) / 4, (low + 3 * high) / 4, 0.0, 0.0, 0.0
    # It converges quadratically: these are many.
    for _ in range(20):
        rows = [[x, x**3, x**5, sign] for x, sign in ((low, 1), (q, -1), (r, 1), (high, -1))]
        a, b, c, _ = np.linalg.solve(rows, np.ones(4))
        root = math.sqrt(9 * b * b - 20 * a * c)
        q, r = np.sqrt((-3 * b + np.array([-root, root])) / (10 * c))
    return np.array([a, b, c])


def test_the_coefficients_of_polar_express_are_the_best_one_after_the_other():
    """For singular values from a thousandth, intervals no wider than the paper's cushion allows."""
    low, high, cushion = 1e-3, 1.0, 0.02407327424182761
    for triple, safety in zip(POLAR_EXPRESS[:7], [SAFETY] * 7, strict=True):
        best = _best(max(low, cushion * high), high)

        def value(x, best=best):
            return best @ [x, x**3, x**5]

        best = best * 2 / (value(low) + value(high)) if cushion * high > low else best
        np.testing.assert_allclose(np.array(triple) * [safety, safety**3, safety**5], best, rtol=1e-7)
        low = best @ [low, low**3, low**5]
        high = 2 - low
    # In the limit, Newton and Schulz's of the fifth order.
    assert POLAR_EXPRESS[7] == (15 / 8, -10 / 8, 3 / 8)


def test_schedules_of_coefficients():
    assert polynomials("quintic", 5) == ((3.4445, -4.775, 2.0315),) * 5 == (QUINTIC,) * 5
    assert polynomials("polar_express", 2) == POLAR_EXPRESS[:2]
    assert polynomials("polar_express", 10) == (*POLAR_EXPRESS, *POLAR_EXPRESS[-1:] * 2)
    triples = ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    assert polynomials(triples, 2) == triples
    assert polynomials(triples, 1) == triples[:1]
    assert polynomials([[1, 2, 3]], 3) == ((1.0, 2.0, 3.0),) * 3


@pytest.mark.parametrize(
    ("coefficients", "steps", "error", "message"),
    [
        ("quartic", 5, ValueError, "coefficients = 'quartic': unknown, did you mean 'quintic'"),
        (((1.0, 2.0, 3.0),) * 2, 3, ValueError, "for steps = 3: accepted are .* one for each step or one for all"),
        ((), 1, ValueError, r"coefficients = \(\) for steps = 1"),
        ((1.0, 2.0, 3.0), 1, TypeError, r"coefficients = \(1.0, 2.0, 3.0\): accepted are"),
        (((1.0, 2.0),), 1, TypeError, "accepted are"),
        (((1.0, 2.0, "3"),), 1, TypeError, "accepted are"),
        (3, 1, TypeError, "coefficients = 3"),
        ("quintic", 0, ValueError, "steps = 0: accepted is a whole number of at least 1"),
        ("quintic", 2.0, TypeError, "steps = 2.0"),
    ],
)
def test_bad_coefficients_are_named(coefficients, steps, error, message):
    with pytest.raises(error, match=message):
        polynomials(coefficients, steps)


def test_an_unknown_compute_dtype():
    with pytest.raises(ValueError, match="compute_dtype = 'float16'"):
        orthogonalized(jnp.eye(2), 1e-7, compute_dtype="float16")


def test_any_finite_size_gives_the_same_and_zero_gives_zero():
    x = jnp.asarray(_matrix((4, 3)), jnp.float32)
    wanted = orthogonalized(x, EPS)
    for scale in (1e-20, 1e-6, 1e30, 1e37):
        np.testing.assert_allclose(orthogonalized(scale * x, EPS), wanted, rtol=2e-4, atol=2e-4)
    np.testing.assert_array_equal(orthogonalized(0 * x, 1e-7), 0)
    assert orthogonalized(jnp.zeros((0, 3)), 1e-7).shape == (0, 3)


def test_eps_is_added_to_the_norm():
    """A matrix as large as eps is taken for half as large as it is."""
    x = jnp.eye(1)
    half = orthogonalized(x, 1.0, ((1.0, 0.0, 0.0),), 1)
    assert float(half[0, 0]) == 0.5
    np.testing.assert_allclose(orthogonalized(1e-30 * x, 1e-30, ((1.0, 0.0, 0.0),), 1), half, rtol=1e-6)


def test_products_in_bfloat16_lose_digits_and_no_more():
    x = jnp.asarray(_matrix((8, 5)), jnp.float32)
    full, half = orthogonalized(x, 1e-7), orthogonalized(x, 1e-7, compute_dtype="bfloat16")
    assert half.dtype == jnp.float32
    off = float(jnp.linalg.norm(half - full) / jnp.linalg.norm(full))
    assert 1e-3 < off < 0.15
    products = str(jax.make_jaxpr(lambda x: newton_schulz.orthogonalized(x, 1e-7, compute_dtype="bfloat16"))(x))
    assert products.count("dot_general") == 15
    assert "bf16[5,5] = dot_general" in products
    assert "f32[5,5] = dot_general" not in products


@pytest.mark.parametrize("shape", [(3, 8), (8, 3)], ids=str)
def test_the_smaller_gram_matrix_is_used(shape):
    jaxpr = jax.make_jaxpr(lambda x: newton_schulz.orthogonalized(x, 1e-7))(jnp.ones(shape))
    sizes = [eqn.outvars[0].aval.shape for eqn in jaxpr.eqns if eqn.primitive.name == "dot_general"]
    assert sizes == [(3, 3), (3, 3), shape] * 5
