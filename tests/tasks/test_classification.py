"""The loss of a classifier; networks with dropout and smoothed labels."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.losses import cross_entropy
from jaxlab.tasks import digits_cnn, digits_mlp, get
from jaxlab.tasks.classification import Classifier

LOGITS = jnp.asarray(np.random.RandomState(0).standard_normal((5, 3)), jnp.float32)
BATCH = {"x": LOGITS, "y": jnp.array([0, 2, 1, 1, 0])}


def as_they_are(params, x, key):
    return x


def test_smoothing_is_part_of_the_training_alone():
    smoothed = Classifier(as_they_are, label_smoothing=0.3)
    log_p = np.float64(LOGITS) - np.log(np.exp(np.float64(LOGITS)).sum(1, keepdims=True))
    targets = 0.7 * np.eye(3)[np.asarray(BATCH["y"])] + 0.1
    trained, metrics = smoothed(None, BATCH, jax.random.key(0))
    assert float(trained) == pytest.approx(-np.mean((targets * log_p).sum(1)), rel=1e-6)
    evaluated, same = smoothed(None, BATCH, None)
    assert float(evaluated) == float(cross_entropy(LOGITS, BATCH["y"]))
    assert metrics["accuracy"] == same["accuracy"] == np.mean(LOGITS.argmax(1) == BATCH["y"])


def test_another_loss_is_minimised_and_the_metric_stays():
    def margin(logits, labels):
        return jnp.mean(logits[jnp.arange(5), labels])

    loss, metrics = dataclasses.replace(Classifier(as_they_are), loss=margin)(None, BATCH, jax.random.key(0))
    assert float(loss) == pytest.approx(np.mean(np.asarray(LOGITS)[np.arange(5), np.asarray(BATCH["y"])]))
    assert metrics["accuracy"] == Classifier(as_they_are)(None, BATCH, None)[1]["accuracy"]


@pytest.mark.parametrize("smoothing", [-0.1, 1.1])
def test_smoothing_out_of_range_is_refused(smoothing):
    with pytest.raises(ValueError, match=r"label_smoothing = .*: accepted is a number in \[0, 1\]"):
        Classifier(as_they_are, label_smoothing=smoothing)


@pytest.mark.parametrize("module", [digits_mlp, digits_cnn])
def test_digits_with_dropout_and_smoothing(module):
    plain, noisy = module.task(), module.task(dropout=0.5, label_smoothing=0.1)
    assert noisy.description == plain.description + ", dropout 0.5, label smoothing 0.1"
    params = jax.jit(plain.init)(jax.random.key(0))
    batch = jax.tree.map(lambda leaf: leaf[:8], plain.data)
    losses = jax.jit(
        lambda params: {
            "evaluated": [task.loss(params, batch, None)[0] for task in (plain, noisy)],
            "trained": [noisy.loss(params, batch, jax.random.key(seed))[0] for seed in (1, 2)],
        }
    )(params)
    assert losses["evaluated"][0] == losses["evaluated"][1]
    assert losses["trained"][0] != losses["trained"][1]


def test_equal_rates_share_what_was_compiled():
    assert digits_mlp.task(0.2).loss == digits_mlp.task(dropout=0.2).loss
    assert digits_mlp.task().loss == get("digits_mlp").loss
    assert digits_mlp.task(0.2).loss != digits_mlp.task(0.1).loss
    assert digits_cnn.task(0.2, 0.1).init == digits_cnn.task(0.2).init


def test_a_rate_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"dropout = 1\.0: accepted"):
        digits_mlp.task(dropout=1.0)
