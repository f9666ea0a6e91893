"""Softmax cross entropy against scikit-learn and SciPy."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special
from sklearn import metrics

from jaxlab import losses

RNG = np.random.default_rng(0)
LOGITS = 2 * RNG.normal(size=(8, 5)).astype(np.float32)
LABELS = RNG.integers(5, size=8)


@pytest.mark.parametrize("weights", [None, RNG.uniform(size=8).astype(np.float32)])
def test_scikit_learn(weights):
    probabilities = special.softmax(LOGITS.astype(np.float64), axis=-1)
    expected = metrics.log_loss(LABELS, probabilities, sample_weight=weights, labels=range(5))
    np.testing.assert_allclose(losses.cross_entropy(LOGITS, LABELS, weights=weights), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [bool, np.int32, np.float32, jnp.bfloat16])
def test_one_hot_is_the_index(dtype):
    one_hot = np.eye(5)[LABELS].astype(dtype)
    found = losses.cross_entropy(LOGITS, one_hot, 0.1)
    np.testing.assert_array_equal(found, losses.cross_entropy(LOGITS, LABELS, 0.1))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_uniform_logits_cost_the_logarithm_of_the_classes(smoothing):
    found = losses.cross_entropy(np.full((8, 5), 1e4), LABELS, smoothing)
    np.testing.assert_allclose(found, np.log(5), rtol=1e-6)


def test_a_shift_of_all_logits_changes_nothing():
    shifted = (LOGITS.round(2) * 64).round() / 64 + np.float32(8192)
    np.testing.assert_array_equal(losses.cross_entropy(shifted, LABELS), losses.cross_entropy(shifted - 8192, LABELS))


def test_traced_smoothing_in_one_compilation_and_vmapped():
    traces = []

    @jax.jit
    def loss(smoothing):
        traces.append(1)
        return losses.cross_entropy(LOGITS, LABELS, smoothing)

    values = jnp.array([0.0, 0.1, 1.0])
    expected = [losses.cross_entropy(LOGITS, LABELS, float(value)) for value in values]
    np.testing.assert_allclose([loss(value) for value in values], expected, rtol=1e-6)
    assert len(traces) == 1
    np.testing.assert_allclose(jax.vmap(loss)(values), expected, rtol=1e-6)


@pytest.mark.parametrize("label", [-1, -5, -100, 5, 2**31 - 1])
def test_a_label_that_is_no_class_is_nan_and_does_not_wrap(label):
    labels = np.where(np.arange(8) == 1, label, LABELS)
    values = losses.cross_entropy(LOGITS, labels, reduction="none")
    assert np.flatnonzero(np.isnan(values)).tolist() == [1]
    slopes = jax.grad(losses.cross_entropy)(LOGITS, labels)
    assert np.flatnonzero(np.isnan(slopes).any(axis=-1)).tolist() == [1]
    assert np.isfinite(losses.cross_entropy(LOGITS, labels, ignore_index=label))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint32, np.int64])
def test_labels_of_every_width_find_the_ignored(dtype):
    values = losses.cross_entropy(LOGITS, LABELS, reduction="none")
    for ignored in (-100, 2):
        found = losses.cross_entropy(LOGITS, LABELS.astype(dtype), ignore_index=ignored)
        np.testing.assert_allclose(found, np.mean(values[ignored != LABELS]), rtol=1e-6)


def test_narrow_labels_do_not_wrap():
    # In eight bits 156 is -100, and 300 classes are 44.
    logits, labels = np.zeros((2, 300), np.float32), np.array([156, 3], np.uint8)
    found = losses.cross_entropy(logits, labels, ignore_index=-100, reduction="none")
    np.testing.assert_allclose(found, np.log([300, 300]), rtol=1e-6)


def test_what_is_ignored_may_be_nan():
    logits = LOGITS.copy()
    logits[3] = np.nan
    labels = np.where(np.arange(8) == 3, -1, LABELS)
    value, slopes = jax.value_and_grad(losses.cross_entropy)(logits, labels, 0.1, -1)
    assert np.isfinite(value)
    assert np.isfinite(slopes).all()
    assert not slopes[3].any()


def test_all_ignored_is_zero_with_zero_gradient():
    value, slopes = jax.value_and_grad(losses.cross_entropy)(LOGITS, np.full(8, -1), ignore_index=-1)
    assert value == 0
    assert not slopes.any()


def test_ignored_and_weighted_together():
    weights = RNG.uniform(size=8).astype(np.float32)
    values = losses.cross_entropy(LOGITS, LABELS, reduction="none")
    found = losses.cross_entropy(LOGITS, LABELS, ignore_index=2, weights=weights)
    np.testing.assert_allclose(found, np.average(values, weights=weights * (LABELS != 2)), rtol=1e-6)


def test_impossible_classes_cost_nothing_where_they_have_no_weight():
    logits = LOGITS.copy()
    logits[:, 4] = -np.inf
    labels = LABELS % 4
    loss = jax.jit(jax.value_and_grad(losses.cross_entropy))
    for form in (labels, np.eye(5)[labels]):
        value, slopes = loss(logits, form, jnp.float32(0))
        exact = special.log_softmax(logits.astype(np.float64), axis=-1)
        np.testing.assert_allclose(value, -exact[np.arange(8), labels].mean(), rtol=1e-6)
        assert np.isfinite(slopes).all()
        assert not slopes[:, 4].any()
    assert np.isposinf(losses.cross_entropy(logits, labels, 0.1))


def test_tokens_of_sequences():
    logits = LOGITS.reshape(2, 4, 5)
    labels = LABELS.reshape(2, 4)
    values = losses.cross_entropy(logits, labels, reduction="none")
    np.testing.assert_allclose(values.ravel(), losses.cross_entropy(LOGITS, LABELS, reduction="none"), rtol=1e-6)
    found = losses.cross_entropy(logits, labels, weights=np.array([0, 1]))
    np.testing.assert_allclose(found, np.mean(values[1]), rtol=1e-6)
    np.testing.assert_allclose(losses.cross_entropy(LOGITS[0], LABELS[0]), values[0, 0], rtol=1e-6)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"label_smoothing = 1.5"):
        losses.cross_entropy(LOGITS, LABELS, 1.5)
    with pytest.raises(TypeError, match=r"labels of shape \(8,\) has dtype float32"):
        losses.cross_entropy(LOGITS, LABELS.astype(np.float32))
    with pytest.raises(ValueError, match=r"indices of shape \(8,\) or probabilities of shape \(8, 5\)"):
        losses.cross_entropy(LOGITS, LABELS[None, None])
    with pytest.raises(ValueError, match="ignore_index = -100: accepted is None where labels are probabilities"):
        losses.cross_entropy(LOGITS, np.eye(5)[LABELS], ignore_index=-100)
    options: dict[str, Any] = {"ignore_index": 1.5}
    with pytest.raises(TypeError, match=r"ignore_index = 1\.5"):
        losses.cross_entropy(LOGITS, LABELS, **options)
    with pytest.raises(ValueError, match="at least one axis, of classes"):
        losses.cross_entropy(1.0, 1.0)
