"""Modifiers agree at every step with what their papers and official code say, and mistakes are seen."""

import optax
import pytest
from modifiers.trajectory import RATE, Inner, distance, start
from references import modifiers as paper
from references import optimizers as inner

from jaxlab import modifiers, optimizers

NEAR, FAR = 2e-6, 1e-3


def _of_steps(change, step=inner.adam, **numbers):
    """A transcription that changes the steps of an inner optimizer."""
    run = Inner(step, learning_rate=RATE, **numbers)
    return lambda grads, params, t: {
        name: change(run(name, g, params[name], t), g, params[name], name) for name, g in grads.items()
    }


def _of_gradients(change, step=inner.adam):
    run = Inner(step, learning_rate=RATE)
    return lambda grads, params, t: {
        name: run(name, change(g, params[name]), params[name], t) for name, g in grads.items()
    }


def _grafted(mistake):
    lengths = Inner(inner.momentum, learning_rate=RATE)
    return _of_steps(lambda u, g, p, name: paper.graft(u, lengths(name, g, p, None), mistake=mistake))


CASES = {
    "cautious": (
        lambda: modifiers.cautious(optimizers.adam(RATE)),
        lambda mistake: _of_steps(lambda u, g, p, name: paper.cautious(u, g, mistake=mistake)),
        ("sign of a step", "no rescaling"),
    ),
    "cautious_decay": (
        lambda: modifiers.cautious_decay(optimizers.momentum(RATE), 0.3),
        lambda mistake: _of_steps(
            lambda u, g, p, name: paper.cautious_decay(u, p, RATE, weight_decay=0.3, mistake=mistake), inner.momentum
        ),
        ("where they differ", "not times the rate"),
    ),
    "centralise": (
        lambda: modifiers.centralise(optimizers.momentum(RATE)),
        lambda mistake: _of_gradients(lambda g, p: paper.centralise(g, mistake=mistake), inner.momentum),
        ("outputs first",),
    ),
    "clip_by_value": (
        lambda: modifiers.clip_by_value(optimizers.adam(RATE), 0.7),
        lambda mistake: _of_gradients(lambda g, p: g.clip(-0.7, None if mistake else 0.7)),
        ("one side alone",),
    ),
    "clip_adaptive": (
        lambda: modifiers.clip_adaptive(optimizers.momentum(RATE), 0.4, 0.5),
        lambda mistake: _of_gradients(
            lambda g, p: paper.clip_adaptive(g, p, clipping=0.4, eps=0.5, mistake=mistake), inner.momentum
        ),
        ("whole leaves", "eps added"),
    ),
    "clip_update_rms": (
        lambda: modifiers.clip_update_rms(optimizers.momentum(RATE), 0.8),
        lambda mistake: _of_steps(
            lambda u, g, p, name: paper.clip_update_rms(u, RATE, max_rms=0.8, mistake=mistake), inner.momentum
        ),
        ("norm",),
    ),
    "decay_to_init": (
        lambda: modifiers.decay_to_init(optimizers.adam(RATE), 0.5),
        lambda mistake: _of_steps(
            lambda u, g, p, name: paper.decay_to_init(u, p, start()[name], RATE, weight_decay=0.5, mistake=mistake)
        ),
        ("towards zero",),
    ),
    "graft": (
        lambda: modifiers.graft(optimizers.adam(1.0), optax.sgd(RATE, momentum=0.9)),
        _grafted,
        ("the other way round",),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_steps_are_the_papers(name):
    tx, transcription, _ = CASES[name]
    assert distance(tx(), transcription(None)) < NEAR


@pytest.mark.parametrize(("name", "mistake"), [(name, m) for name, case in CASES.items() for m in case[2]])
def test_a_mistake_is_seen(name, mistake):
    tx, transcription, _ = CASES[name]
    assert distance(tx(), transcription(mistake)) > FAR
