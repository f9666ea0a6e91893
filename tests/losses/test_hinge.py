"""The binary hinge loss against scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics

from jaxlab import losses

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("weights", [None, RNG.uniform(size=8).astype(np.float32)])
@pytest.mark.parametrize("negative", [-1, 0])
def test_scikit_learn(weights, negative):
    scores = 2 * RNG.normal(size=8).astype(np.float32)
    labels = np.where(RNG.integers(2, size=8), 1, negative)
    expected = metrics.hinge_loss(labels, scores.astype(np.float64), sample_weight=weights)
    for form in (labels, labels.astype(np.float32), labels > 0, labels.astype(np.int8)):
        np.testing.assert_allclose(losses.hinge(scores, form, weights=weights), expected, rtol=1e-6)


def test_subgradients():
    scores = jnp.array([0.5, 1.0, 1.5, -0.5, -1.0, -1.5])
    slopes = jax.grad(lambda s: losses.hinge(s, np.array([1, 1, 1, 0, 0, 0]), reduction="sum"))(scores)
    assert slopes.tolist() == [-1, 0, 0, 1, 0, 0]
