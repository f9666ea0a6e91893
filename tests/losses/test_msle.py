"""Mean squared logarithmic error against scikit-learn."""

import jax
import numpy as np
import pytest
from sklearn import metrics

from jaxlab import losses

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(8,), (8, 3)])
@pytest.mark.parametrize("weights", [None, RNG.uniform(size=8).astype(np.float32)])
def test_scikit_learn(shape, weights):
    predictions, targets = np.exp(3 * RNG.normal(size=(2, *shape))).astype(np.float32)
    expected = metrics.mean_squared_log_error(
        targets.astype(np.float64), predictions.astype(np.float64), sample_weight=weights
    )
    np.testing.assert_allclose(losses.msle(predictions, targets, weights=weights), expected, rtol=1e-6)


@pytest.mark.parametrize("position", [0, 1])
def test_what_has_no_logarithm_is_nan_and_nothing_else(position):
    pair = np.array([[1, 2, 3], [3, 2, 1]], np.float32)
    pair[position, 1] = -1.5
    values = losses.msle(*pair, reduction="none")
    assert np.isnan(values).tolist() == [False, True, False]
    slopes = jax.grad(losses.msle)(*pair)
    assert np.isnan(slopes).tolist() == [False, True, False]
    pair[position, 1] = -1
    assert np.isposinf(losses.msle(*pair))


def test_small_numbers_keep_their_digits():
    # log(1 + y) of a y below 1e-8 is 0 in float32 unless it is taken in one step.
    np.testing.assert_allclose(losses.msle(np.float32([3e-9]), np.float32([1e-9])), 4e-18, rtol=1e-6)
