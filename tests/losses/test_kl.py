"""Kullback-Leibler divergence against SciPy."""

import jax
import numpy as np
import pytest
from scipy import special

from jaxlab import losses

RNG = np.random.default_rng(0)
LOGITS = 2 * RNG.normal(size=(8, 5)).astype(np.float32)
TARGETS = RNG.dirichlet(np.ones(5), size=8).astype(np.float32)


@pytest.mark.parametrize("zeros", [False, True])
def test_scipy(zeros):
    q = TARGETS * (RNG.uniform(size=(8, 5)) > 0.4) if zeros else TARGETS
    p = special.softmax(LOGITS.astype(np.float64), axis=-1)
    # SciPy's has - q + p besides.
    expected = (special.kl_div(q.astype(np.float64), p) + q - p).sum(axis=-1)
    np.testing.assert_allclose(losses.kl(LOGITS, q, reduction="none"), expected, rtol=2e-6)
    np.testing.assert_allclose(losses.kl(LOGITS, q), expected.mean(), rtol=1e-6)


def test_gradient_is_that_of_cross_entropy():
    found = jax.grad(losses.kl)(LOGITS, TARGETS)
    np.testing.assert_allclose(found, jax.grad(losses.cross_entropy)(LOGITS, TARGETS), rtol=1e-6, atol=1e-8)


def test_it_vanishes_with_its_gradient_where_both_agree():
    p = jax.nn.softmax(LOGITS)
    value, slopes = jax.value_and_grad(losses.kl)(LOGITS, p)
    np.testing.assert_allclose(value, 0, atol=1e-7)
    np.testing.assert_allclose(slopes, np.zeros((8, 5)), atol=1e-7)


def test_what_is_not_there_costs_nothing():
    q = np.float32([[0.5, 0.5, 0]])
    logits = np.float32([[1, 1, -np.inf]])
    assert losses.kl(logits, q).item() == 0
    for argument in (0, 1):
        assert np.isfinite(jax.grad(losses.kl, argument)(logits, q)).all()
    assert np.isposinf(losses.kl(logits, np.float32([[0.5, 0.25, 0.25]])))


def test_a_negative_probability_is_nan():
    assert np.isnan(losses.kl(LOGITS[:1], np.float32([[-0.5, 0.5, 0.5, 0.5, 0]])))
