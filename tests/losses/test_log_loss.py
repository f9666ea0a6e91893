"""Binary cross entropy against scikit-learn."""

import jax
import numpy as np
import pytest
from scipy import special
from sklearn import metrics

from jaxlab import losses

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("weights", [None, RNG.uniform(size=8).astype(np.float32)])
def test_scikit_learn(weights):
    logits, labels = 3 * RNG.normal(size=8).astype(np.float32), RNG.integers(2, size=8)
    probabilities = special.expit(logits.astype(np.float64))
    expected = metrics.log_loss(labels, probabilities, sample_weight=weights)
    np.testing.assert_allclose(losses.log_loss(logits, labels, weights=weights), expected, rtol=1e-6)
    np.testing.assert_allclose(losses.log_loss(logits, labels == 1, weights=weights), expected, rtol=1e-6)


def test_small_losses_keep_their_digits():
    logits = np.linspace(-80, 80, 8, dtype=np.float32)
    exact = logits.astype(np.float64)
    for label, expected in ((1, np.log1p(np.exp(-exact))), (0, np.log1p(np.exp(exact)))):
        found = losses.log_loss(logits, np.full(8, label), reduction="none")
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_gradient_is_probability_minus_label():
    logits = np.array([-1e4, -20, 0, 20, 1e4], np.float32)
    slopes = jax.grad(lambda z: losses.log_loss(z, np.array([1, 0, 1, 1, 0]), reduction="sum"))(logits)
    np.testing.assert_allclose(slopes, [-1, special.expit(-20), -0.5, -special.expit(-20), 1], rtol=1e-6)
