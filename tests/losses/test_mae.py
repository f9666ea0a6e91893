"""Mean absolute error against scikit-learn."""

import jax
import numpy as np
import pytest
from sklearn import metrics

from jaxlab import losses

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(8,), (8, 3)])
@pytest.mark.parametrize("weights", [None, RNG.uniform(size=8).astype(np.float32)])
def test_scikit_learn(shape, weights):
    predictions, targets = RNG.normal(size=(2, *shape)).astype(np.float32)
    expected = metrics.mean_absolute_error(targets, predictions.astype(np.float64), sample_weight=weights)
    np.testing.assert_allclose(losses.mae(predictions, targets, weights=weights), expected, rtol=1e-6)


def test_subgradient_is_zero_where_both_agree():
    slopes = jax.grad(lambda p: losses.mae(p, np.float32([1, 2, 3]), reduction="sum"))(np.float32([0, 2, 4]))
    assert slopes.tolist() == [-1, 0, 1]
