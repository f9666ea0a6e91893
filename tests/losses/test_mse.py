"""Mean squared error against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics

from jaxlab import losses

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(8,), (8, 3)])
@pytest.mark.parametrize("weights", [None, RNG.uniform(size=8).astype(np.float32)])
def test_scikit_learn(shape, weights):
    predictions, targets = RNG.normal(size=(2, *shape)).astype(np.float32)
    expected = metrics.mean_squared_error(
        targets.astype(np.float64), predictions.astype(np.float64), sample_weight=weights
    )
    np.testing.assert_allclose(losses.mse(predictions, targets, weights=weights), expected, rtol=1e-6)


def test_scalars_and_one_weight_for_all():
    assert losses.mse(3.0, 1.0).item() == 4
    assert losses.mse(np.ones(2), np.zeros(2), weights=0.5).item() == 1
