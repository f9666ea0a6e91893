"""Distillation: its two terms, its temperature, and nothing for the teacher."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from jaxlab import losses

RNG = np.random.default_rng(0)
STUDENT, TEACHER = 2 * RNG.normal(size=(2, 8, 5)).astype(np.float32)
LABELS = np.array([0, 4, 2, 2, 1, 3, 0, 1])


@pytest.mark.parametrize(("temperature", "alpha"), [(1.0, 0.5), (4.0, 0.75), (0.5, 1.0), (3.0, 0.0)])
def test_definition(temperature, alpha):
    z, t = STUDENT.astype(np.float64), TEACHER.astype(np.float64)
    q, log_p = special.softmax(t / temperature, axis=-1), special.log_softmax(z / temperature, axis=-1)
    soft = np.sum(q * (np.log(q) - log_p), axis=-1)
    hard = -special.log_softmax(z, axis=-1)[np.arange(8), LABELS]
    expected = alpha * temperature**2 * soft + (1 - alpha) * hard
    found = losses.distillation(STUDENT, LABELS, TEACHER, temperature, alpha, reduction="none")
    np.testing.assert_allclose(found, expected, rtol=2e-6)
    np.testing.assert_allclose(
        losses.distillation(STUDENT, LABELS, TEACHER, temperature, alpha), expected.mean(), rtol=1e-6
    )


def test_at_high_temperature_the_gradient_is_that_of_matching_logits():
    # The paper's equation 4: (z - t) / C for centred logits, whatever the temperature. Without T^2 it would vanish.
    z, t = STUDENT - STUDENT.mean(-1, keepdims=True), TEACHER - TEACHER.mean(-1, keepdims=True)
    slopes = jax.grad(lambda z: losses.distillation(z, LABELS, t, 1000.0, 1.0, reduction="sum"))(z)
    np.testing.assert_allclose(slopes, (z - t) / 5, atol=3e-3)


def test_alpha_is_the_share_of_the_teacher():
    alone = losses.distillation(STUDENT, LABELS, TEACHER, 2.0, 0.0)
    np.testing.assert_allclose(alone, losses.cross_entropy(STUDENT, LABELS), rtol=1e-6)
    assert losses.distillation(STUDENT, LABELS, STUDENT, 2.0, 1.0).item() < 1e-6


def test_no_gradient_flows_to_the_teacher():
    slopes = jax.grad(losses.distillation, argnums=2)(STUDENT, LABELS, TEACHER, alpha=1.0)
    assert not slopes.any()


def test_gradient_of_the_temperature():
    @jax.jit
    def loss(temperature):
        return losses.distillation(STUDENT, LABELS, TEACHER, temperature, 1.0, reduction="sum")

    step = 1e-2
    expected = (loss(2.0 + step) - loss(2.0 - step)) / (2 * step)
    np.testing.assert_allclose(jax.grad(loss)(2.0), expected, rtol=1e-3)


def test_what_is_ignored_may_be_nan_on_both_sides():
    student, teacher = STUDENT.copy(), TEACHER.copy()
    student[3], teacher[3] = np.nan, np.nan
    labels = np.where(np.arange(8) == 3, -1, LABELS)
    both = jax.jit(jax.value_and_grad(losses.distillation, argnums=(0, 3, 4)), static_argnames="ignore_index")
    value, slopes = both(student, labels, teacher, 2.0, 0.5, ignore_index=-1)
    kept = losses.distillation(np.delete(STUDENT, 3, 0), np.delete(LABELS, 3), np.delete(TEACHER, 3, 0))
    np.testing.assert_allclose(value, kept, rtol=1e-6)
    assert all(np.isfinite(slope).all() for slope in slopes)
    weighted = both(student, LABELS, teacher, 2.0, 0.5, weights=labels >= 0)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), weighted, (value, slopes))


def test_labels_may_be_probabilities():
    found = losses.distillation(STUDENT, np.eye(5)[LABELS], TEACHER)
    np.testing.assert_allclose(found, losses.distillation(STUDENT, LABELS, TEACHER), rtol=1e-6)


def test_impossible_classes():
    student, teacher = (np.column_stack([x, np.full(8, -np.inf, np.float32)]) for x in (STUDENT, TEACHER))
    value, slopes = jax.jit(jax.value_and_grad(losses.distillation))(student, LABELS, teacher)
    np.testing.assert_allclose(value, losses.distillation(STUDENT, LABELS, TEACHER), rtol=1e-6)
    assert np.isfinite(slopes).all()


def test_traced_temperature_and_alpha():
    loss = jax.jit(lambda t, a: losses.distillation(STUDENT, LABELS, TEACHER, t, a))
    for t, a in ((1.0, 0.25), (4.0, 1.0)):
        found = loss(jnp.float32(t), jnp.float32(a))
        np.testing.assert_allclose(found, losses.distillation(STUDENT, LABELS, TEACHER, t, a), rtol=1e-6)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"temperature = 0"):
        losses.distillation(STUDENT, LABELS, TEACHER, 0.0)
    with pytest.raises(ValueError, match=r"alpha = 2"):
        losses.distillation(STUDENT, LABELS, TEACHER, alpha=2)
    with pytest.raises(ValueError, match=r"logits has shape \(8, 5\), teacher_logits \(8, 4\)"):
        losses.distillation(STUDENT, LABELS, TEACHER[:, :4])
    with pytest.raises(ValueError, match="ignore_index = -1: accepted is None where labels are probabilities"):
        losses.distillation(STUDENT, np.eye(5)[LABELS], TEACHER, ignore_index=-1)
