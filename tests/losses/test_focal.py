"""Focal losses: their limits, their definition in float64, and gradients where it would divide 0 by 0."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from jaxlab import losses

RNG = np.random.default_rng(0)
LOGITS = 3 * RNG.normal(size=(8, 5)).astype(np.float32)
LABELS = np.array([0, 4, 2, 2, 1, 3, 0, 1])
BINARY = LABELS % 2
ALPHA = np.float32([0.25, 0.5, 1, 2, 0.75])


def test_gamma_zero_is_cross_entropy_and_log_loss():
    loss, slopes = jax.value_and_grad(losses.focal)(LOGITS, LABELS, 0.0)
    expected, expected_slopes = jax.value_and_grad(losses.cross_entropy)(LOGITS, LABELS)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    np.testing.assert_allclose(slopes, expected_slopes, rtol=1e-6, atol=1e-7)
    loss, slopes = jax.value_and_grad(losses.sigmoid_focal)(LOGITS[:, 0], BINARY, 0.0)
    expected, expected_slopes = jax.value_and_grad(losses.log_loss)(LOGITS[:, 0], BINARY)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    np.testing.assert_allclose(slopes, expected_slopes, rtol=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("alpha", [None, ALPHA])
def test_definition(gamma, alpha):
    p = special.softmax(LOGITS.astype(np.float64), axis=-1)[np.arange(8), LABELS]
    expected = -((1 - p) ** gamma) * np.log(p) * (1 if alpha is None else alpha[LABELS])
    found = losses.focal(LOGITS, LABELS, gamma, alpha, reduction="none")
    np.testing.assert_allclose(found, expected, rtol=2e-6)
    np.testing.assert_allclose(losses.focal(LOGITS, LABELS, gamma, alpha), expected.mean(), rtol=1e-6)


def test_binary_definition_with_probabilities_for_labels():
    z, y = LOGITS[:, 0], np.float32([0, 1, 0.25, 0.5, 0.75, 1, 0, 1])
    p, no = special.expit(z.astype(np.float64)), special.expit(-z.astype(np.float64))
    expected = -y * 0.25 * no**2 * np.log(p) - (1 - y) * 0.75 * p**2 * np.log(no)
    np.testing.assert_allclose(losses.sigmoid_focal(z, y, 2.0, 0.25, reduction="none"), expected, rtol=2e-6)


def test_two_classes_are_the_binary_loss_of_the_lead():
    found = losses.focal(LOGITS[:, :2], BINARY, 1.5, np.float32([0.75, 0.25]), reduction="none")
    lead = LOGITS[:, 1] - LOGITS[:, 0]
    np.testing.assert_allclose(found, losses.sigmoid_focal(lead, BINARY, 1.5, 0.25, reduction="none"), rtol=2e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.1, 0.5, 1.0, 2.0])
def test_sure_and_right_has_a_small_gradient(gamma):
    # At z = 20, 1 - p is 2e-9: in float32 p itself is 1, and (1 - p)^(gamma - 1) infinite.
    z = np.float32([5, 20, 80, 1e4])
    q = special.expit(-z.astype(np.float64))
    exact = q**gamma * (-gamma * (1 - q) * np.log1p(np.exp(-z.astype(np.float64))) - q)
    slopes = jax.jit(jax.grad(lambda z: losses.sigmoid_focal(z, np.ones(4), gamma, reduction="sum")))(z)
    np.testing.assert_allclose(slopes, exact, rtol=1e-5, atol=1e-37)
    rows = np.stack([z, np.zeros(4, np.float32)], axis=-1)
    slopes = jax.jit(jax.grad(lambda z: losses.focal(z, np.zeros(4, np.int32), gamma, reduction="sum")))(rows)
    np.testing.assert_allclose(slopes[:, 0], exact, rtol=1e-5, atol=1e-37)
    np.testing.assert_allclose(slopes[:, 1], -exact, rtol=1e-5, atol=1e-37)


def test_traced_gamma_and_alpha_in_one_compilation():
    traces = []

    @jax.jit
    def loss(gamma, alpha):
        traces.append(1)
        return losses.focal(LOGITS, LABELS, gamma, alpha * ALPHA) + losses.sigmoid_focal(
            LOGITS[:, 0], BINARY, gamma, alpha
        )

    for gamma, alpha in ((0.0, 0.25), (2.0, 0.5)):
        expected = losses.focal(LOGITS, LABELS, gamma, alpha * ALPHA)
        expected += losses.sigmoid_focal(LOGITS[:, 0], BINARY, gamma, alpha)
        np.testing.assert_allclose(loss(jnp.float32(gamma), jnp.float32(alpha)), expected, rtol=1e-6)
    assert len(traces) == 1


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_impossible_and_lonely_classes(gamma):
    wider = np.column_stack([LOGITS, np.full(8, -np.inf, np.float32)])
    value, slopes = jax.jit(jax.value_and_grad(losses.focal))(wider, LABELS, gamma)
    np.testing.assert_allclose(value, losses.focal(LOGITS, LABELS, gamma), rtol=1e-6)
    assert np.isfinite(slopes).all()
    value, slopes = jax.jit(jax.value_and_grad(losses.focal))(LOGITS[:, :1], np.zeros(8, np.int32), gamma)
    assert value == 0
    assert not slopes.any()


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"gamma = -1.*\[0, inf\)"):
        losses.focal(LOGITS, LABELS, -1.0)
    with pytest.raises(ValueError, match=r"alpha has shape \(2,\): accepted is one for each class, shape \(5,\)"):
        losses.focal(LOGITS, LABELS, alpha=np.ones(2))
    with pytest.raises(ValueError, match=r"alpha has shape \(\)"):
        losses.focal(LOGITS, LABELS, alpha=0.25)
    with pytest.raises(ValueError, match=r"gamma = -1"):
        losses.sigmoid_focal(LOGITS[:, 0], BINARY, -1.0)
    with pytest.raises(ValueError, match=r"alpha = 1.5: accepted is a number in \[0, 1\]"):
        losses.sigmoid_focal(LOGITS[:, 0], BINARY, alpha=1.5)
