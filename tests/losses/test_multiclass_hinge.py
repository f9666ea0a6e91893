"""Multi-class hinge losses against scikit-learn and their definitions."""

import jax
import numpy as np
import pytest
from sklearn import metrics

from jaxlab import losses

RNG = np.random.default_rng(0)
SCORES = 2 * RNG.normal(size=(8, 5)).astype(np.float32)
LABELS = np.array([0, 4, 2, 2, 1, 3, 0, 1])


@pytest.mark.parametrize("weights", [None, RNG.uniform(size=8).astype(np.float32)])
def test_scikit_learn(weights):
    expected = metrics.hinge_loss(LABELS, SCORES.astype(np.float64), labels=range(5), sample_weight=weights)
    np.testing.assert_allclose(losses.multiclass_hinge(SCORES, LABELS, weights=weights), expected, rtol=1e-6)


def test_weston_and_watkins_sum_over_wrong_classes():
    expected = [
        sum(max(0.0, 1 + float(row[c]) - float(row[y])) for c in range(5) if c != y)
        for row, y in zip(SCORES, LABELS, strict=True)
    ]
    found = losses.multiclass_hinge(SCORES, LABELS, form="weston_watkins", reduction="none")
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("form", ["crammer_singer", "weston_watkins"])
def test_two_classes_are_the_binary_hinge_of_the_lead(form):
    found = losses.multiclass_hinge(SCORES[:, :2], LABELS % 2, form=form, reduction="none")
    lead = SCORES[:, 1] - SCORES[:, 0]
    np.testing.assert_allclose(found, losses.hinge(lead, LABELS % 2, reduction="none"), rtol=1e-6, atol=1e-6)


def test_subgradients():
    def slopes(scores, form):
        return jax.grad(losses.multiclass_hinge)(np.array([scores], np.float32), np.array([0]), form=form)[0].tolist()

    assert slopes([0.5, 0.25, 0], "crammer_singer") == [-1, 1, 0]
    assert slopes([0.5, 0.25, 0], "weston_watkins") == [-2, 1, 1]
    assert slopes([0, 0, 0], "crammer_singer") == [-1, 0.5, 0.5]
    for form in ("crammer_singer", "weston_watkins"):
        assert slopes([2, 1, 1], form) == [0, 0, 0]


@pytest.mark.parametrize("form", ["crammer_singer", "weston_watkins"])
@pytest.mark.parametrize("label", [-1, -5, 5])
def test_a_label_that_is_no_class_is_nan_unless_ignored(form, label):
    labels = np.where(np.arange(8) == 1, label, LABELS)
    values = losses.multiclass_hinge(SCORES, labels, form=form, reduction="none")
    assert np.flatnonzero(np.isnan(values)).tolist() == [1]
    slopes = jax.grad(losses.multiclass_hinge)(SCORES, labels, form=form)
    assert np.flatnonzero(np.isnan(slopes).any(axis=-1)).tolist() == [1]
    value, slopes = jax.value_and_grad(losses.multiclass_hinge)(SCORES, labels, label, form=form)
    np.testing.assert_allclose(value, np.mean(np.delete(values, 1)), rtol=1e-6)
    assert np.isfinite(slopes).all()
    assert not slopes[1].any()


def test_impossible_classes_never_violate_the_margin():
    scores = np.column_stack([SCORES, np.full(8, -np.inf, np.float32)])
    for form in ("crammer_singer", "weston_watkins"):
        value, slopes = jax.value_and_grad(losses.multiclass_hinge)(scores, LABELS, form=form)
        np.testing.assert_allclose(value, losses.multiclass_hinge(SCORES, LABELS, form=form), rtol=1e-6)
        assert np.isfinite(slopes).all()


def test_one_class_alone_costs_nothing():
    assert losses.multiclass_hinge(SCORES[:, :1], np.zeros(8, np.int32)).item() == 0


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="form = 'crammer_singr': unknown, did you mean 'crammer_singer'"):
        losses.multiclass_hinge(SCORES, LABELS, form="crammer_singr")
    with pytest.raises(TypeError, match=r"labels of shape \(8,\) has dtype float32"):
        losses.multiclass_hinge(SCORES, LABELS.astype(np.float32))
    with pytest.raises(ValueError, match=r"scores has shape \(8, 5\), labels \(8, 5\): accepted are indices"):
        losses.multiclass_hinge(SCORES, np.eye(5)[LABELS])
    with pytest.raises(ValueError, match="scores has shape"):
        losses.multiclass_hinge(1.0, 1)
