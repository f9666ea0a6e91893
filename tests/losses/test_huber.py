"""The Huber loss against its two pieces."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import losses

ERRORS = np.float32([-1e4, -3, -0.5, -1e-6, 0, 1e-6, 0.5, 1, 2, 3, 1e4])


@pytest.mark.parametrize("delta", [0.25, 1.0, 2.0, 100.0])
def test_both_pieces_and_their_slopes(delta):
    exact = ERRORS.astype(np.float64)
    inside = np.abs(exact) <= delta
    expected = np.where(inside, exact**2 / 2, delta * (np.abs(exact) - delta / 2))
    found = losses.huber(ERRORS, np.zeros(11), delta, reduction="none")
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    slopes = jax.grad(lambda e: losses.huber(e, np.zeros(11), delta, reduction="sum"))(ERRORS)
    np.testing.assert_allclose(slopes, np.clip(exact, -delta, delta), rtol=1e-6)


def test_limits_are_squared_and_absolute():
    error = np.float32([0.5, -2, 3])
    huge = losses.huber(error, np.zeros(3), 1e4, reduction="none")
    np.testing.assert_allclose(huge, losses.mse(error, np.zeros(3), reduction="none") / 2, rtol=1e-6)
    tiny = losses.huber(error, np.zeros(3), 1e-6, reduction="none") / 1e-6
    np.testing.assert_allclose(tiny, losses.mae(error, np.zeros(3), reduction="none"), rtol=1e-5)


def test_traced_delta_in_one_compilation_and_vmapped():
    traces = []

    @jax.jit
    def loss(delta):
        traces.append(1)
        return losses.huber(ERRORS, np.zeros(11), delta)

    deltas = jnp.array([0.25, 1.0, 4.0])
    expected = [losses.huber(ERRORS, np.zeros(11), float(delta)) for delta in deltas]
    np.testing.assert_allclose([loss(delta) for delta in deltas], expected, rtol=1e-6)
    assert len(traces) == 1
    np.testing.assert_allclose(jax.vmap(loss)(deltas), expected, rtol=1e-6)


@pytest.mark.parametrize("delta", [0, -1.0, np.nan, np.inf])
def test_bad_delta_is_named(delta):
    with pytest.raises(ValueError, match=r"delta = .*accepted is a number in \(0, inf\)"):
        losses.huber(ERRORS, ERRORS, delta)
