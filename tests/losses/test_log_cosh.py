"""log cosh over all magnitudes, where the textbook formula overflows, rounds to nothing or cancels."""

import jax
import numpy as np

from jaxlab import losses

SIZES = np.logspace(-15, 15, 121).astype(np.float32)
ERRORS = np.concatenate([-SIZES, SIZES, np.float32([0.999999, 1, 1.000001, 88, 89, 90])])


def exact(x):
    """In float64: x^2/2 - x^4/12 + x^6/45 near 0, elsewhere the logarithm of a sum."""
    x = np.abs(x.astype(np.float64))
    small = np.minimum(x, 1e-2)
    return np.where(x < 1e-2, small**2 / 2 - small**4 / 12 + small**6 / 45, np.logaddexp(x, -x) - np.log(2))


def test_every_magnitude_keeps_its_digits():
    found = losses.log_cosh(ERRORS, np.zeros(ERRORS.shape), reduction="none")
    np.testing.assert_allclose(found, exact(ERRORS), rtol=1e-6)


def test_gradient_is_tanh_and_curvature_is_its_derivative():
    def total(e):
        return losses.log_cosh(e, np.zeros(e.shape), reduction="sum")

    slopes = jax.jit(jax.grad(total))(ERRORS)
    np.testing.assert_allclose(slopes, np.tanh(ERRORS.astype(np.float64)), rtol=1e-6)
    moderate = np.linspace(-5, 5, 21, dtype=np.float32)
    curvature = jax.jit(jax.vmap(jax.grad(jax.grad(lambda e: losses.log_cosh(e, 0.0)))))(moderate)
    np.testing.assert_allclose(curvature, 1 / np.cosh(moderate.astype(np.float64)) ** 2, rtol=1e-5)
