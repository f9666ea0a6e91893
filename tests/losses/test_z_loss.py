"""The z-loss against SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from jaxlab import losses

RNG = np.random.default_rng(0)
LOGITS = 2 * RNG.normal(size=(8, 5)).astype(np.float32)


def test_scipy():
    z = LOGITS.astype(np.float64)
    normaliser = special.logsumexp(z, axis=-1)
    np.testing.assert_allclose(losses.z_loss(LOGITS, 0.5, reduction="none"), 0.5 * normaliser**2, rtol=1e-6)
    np.testing.assert_allclose(losses.z_loss(LOGITS), 1e-4 * np.mean(normaliser**2), rtol=1e-6)
    slopes = jax.grad(lambda z: losses.z_loss(z, 0.5, reduction="sum"))(LOGITS)
    np.testing.assert_allclose(slopes, normaliser[:, None] * special.softmax(z, axis=-1), rtol=1e-6)


def test_it_is_the_only_one_that_sees_a_shift():
    centred = LOGITS - special.logsumexp(LOGITS, axis=-1, keepdims=True)
    assert losses.z_loss(centred) < 1e-16
    np.testing.assert_allclose(losses.z_loss(centred + 10), 1e-4 * 100, rtol=1e-6)


def test_traced_strength():
    loss = jax.jit(lambda strength: losses.z_loss(LOGITS, strength))
    for strength in (0.0, 1e-4, 0.5):
        np.testing.assert_allclose(loss(jnp.float32(strength)), losses.z_loss(LOGITS, strength), rtol=1e-6)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"strength = -1"):
        losses.z_loss(LOGITS, -1)
    with pytest.raises(ValueError, match="at least one axis, of classes"):
        losses.z_loss(1.0)
