"""The squared hinge loss against its definition."""

import jax
import numpy as np
import pytest
from sklearn import svm

from jaxlab import losses

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("negative", [-1, 0])
def test_it_is_the_hinge_squared(negative):
    scores = 2 * RNG.normal(size=8).astype(np.float32)
    labels = np.where(RNG.integers(2, size=8), 1, negative)
    expected = np.maximum(0, 1 - np.where(labels > 0, 1, -1) * scores.astype(np.float64)) ** 2
    for form in (labels, labels.astype(np.float32), labels > 0, labels.astype(np.int8)):
        np.testing.assert_allclose(losses.squared_hinge(scores, form, reduction="none"), expected, rtol=1e-6)


def test_gradient():
    scores = np.float32([0.5, 1.0, 1.5, -0.5, 0.5])
    slopes = jax.grad(lambda s: losses.squared_hinge(s, np.array([1, 1, 1, 0, 0]), reduction="sum"))(scores)
    assert slopes.tolist() == [-1, 0, 0, 1, 3]


def test_scikit_learns_machine_is_where_the_gradient_vanishes():
    x, y = RNG.normal(size=(40, 3)), RNG.integers(2, size=40)
    machine = svm.LinearSVC(C=0.5, loss="squared_hinge", dual=False, fit_intercept=False, tol=1e-10).fit(x, y)

    def objective(w):
        return 0.5 * w @ w + 0.5 * losses.squared_hinge(x @ w, y, reduction="sum")

    w = np.float32(machine.coef_[0])
    assert np.abs(w).max() > 0.05
    np.testing.assert_allclose(jax.grad(objective)(w), np.zeros(3), atol=1e-5)
