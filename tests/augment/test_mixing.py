"""Mixup and CutMix: the weights they draw, and labels that say what the image is made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxlab import augment
from jaxlab.augment.beta import symmetric_beta

DRAWS = 2000
ONE, OTHER = np.zeros((7, 5, 2), np.float32), np.ones((7, 5, 2), np.float32)
LABEL, OTHER_LABEL = jnp.array([1.0, 0.0, 0.0]), jnp.array([0.0, 0.25, 0.75])


@pytest.fixture(scope="module")
def mixed():
    """``operation -> (images, labels)``, many draws of one pair; one program for each operation."""
    keys = jax.random.split(jax.random.key(1), DRAWS)

    @jax.jit
    def draw(operation):
        return jax.vmap(lambda key: operation(key, ONE, LABEL, OTHER, OTHER_LABEL))(keys)

    return draw


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_mixup_has_the_papers_weights(mixed, alpha):
    images, labels = map(np.float64, mixed(augment.mixup(alpha)))
    weight = 1 - images[:, 0, 0, 0]
    assert stats.kstest(weight, stats.beta(alpha, alpha).cdf).pvalue > 1e-3
    np.testing.assert_allclose(images, np.broadcast_to(1 - weight[:, None, None, None], images.shape), atol=1e-6)
    np.testing.assert_allclose(labels, weight[:, None] * LABEL + (1 - weight[:, None]) * OTHER_LABEL, atol=1e-6)


def test_the_weights_are_beta_at_every_alpha():
    alphas = np.array([0.1, 0.5, 1.0, 3.0, 30.0], np.float32)
    keys = jax.random.split(jax.random.key(2), DRAWS)
    draws = jax.jit(jax.vmap(jax.vmap(symmetric_beta, in_axes=(0, None)), in_axes=(None, 0)))(keys, alphas)
    for alpha, found in zip(alphas, np.float64(draws), strict=True):
        assert ((found >= 0) & (found <= 1)).all()
        # Float32 has no numbers between 1 - 6e-8 and 1, where a small alpha has much of its mass.
        smaller = np.sort(np.minimum(found, 1 - found))
        wanted = 2 * stats.beta(alpha, alpha).cdf(smaller)
        expected = (np.arange(DRAWS) + 0.5) / DRAWS
        far = smaller > 1e-6
        assert np.abs(wanted - expected)[far].max() < 1.95 / np.sqrt(DRAWS)


@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_cutmix_labels_say_how_much_of_the_image_is_left(mixed, alpha):
    images, labels = map(np.float64, mixed(augment.cutmix(alpha)))
    np.testing.assert_array_equal(images[..., 0], images[..., 1])
    cut = images[..., 0]
    assert set(np.unique(cut)) == {0, 1}
    np.testing.assert_array_equal(cut, cut.max(axis=2, keepdims=True) * cut.max(axis=1, keepdims=True))
    kept = 1 - cut.mean(axis=(1, 2))
    np.testing.assert_allclose(labels, kept[:, None] * LABEL + (1 - kept[:, None]) * OTHER_LABEL, atol=1e-6)


def test_cutmix_boxes_have_the_papers_area(mixed):
    cut = np.asarray(mixed(augment.cutmix(1.0))[0])[..., 0]
    # What reaches no edge is whole: sqrt(1 - lambda) of the height and of the width, lambda uniform.
    rng = np.random.default_rng(0)
    side, row, column = np.sqrt(1 - rng.random(200_000)), rng.random(200_000), rng.random(200_000)

    def reach(middle, length):
        places = (np.arange(length) + 0.5) / length
        return np.abs(places - middle[:, None]) < side[:, None] / 2

    rows, columns = reach(row, 7), reach(column, 5)
    wanted = np.einsum("ni,nj->ij", rows, columns, dtype=np.float64) / len(side)
    np.testing.assert_allclose(cut.mean(axis=0), wanted, atol=4 * np.sqrt(0.25 / DRAWS))
    areas = rows.mean(axis=1) * columns.mean(axis=1)
    assert stats.ks_2samp(np.float64(cut).mean(axis=(1, 2)).round(4), areas.round(4)).pvalue > 1e-3


def test_without_strength_no_other_is_seen(mixed):
    for operation in (augment.mixup(0), augment.cutmix(0)):
        images, labels = mixed(operation)
        assert not images.any()
        np.testing.assert_array_equal(labels, np.broadcast_to(LABEL, labels.shape))


@pytest.mark.parametrize("make", [augment.mixup, augment.cutmix])
def test_out_of_range_is_refused(make):
    with pytest.raises(ValueError, match=r"strength = -0.1: accepted is a number in \[0, inf\)"):
        make(-0.1)
