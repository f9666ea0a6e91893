"""Transcriptions with one mistake each, of the kind that optimizers are really shipped with.

The agreement check must refuse every one of them against the real optimizer; a check that lets one pass
has no teeth.
"""

import numpy as np
from references import optimizers as paper


def _ascends(g, p, state, t, *, learning_rate):
    return learning_rate * g, state


def _normalises(g, p, state, t, *, learning_rate):
    return -learning_rate * g / (np.linalg.norm(g) + 1e-30), state


def _rate_inside_velocity(g, p, state, t, *, learning_rate, momentum=0.9, nesterov=False):
    # Equal while the rate is constant: only a schedule tells.
    v = momentum * state.get("v", 0.0) + learning_rate * g
    return -(learning_rate * g + momentum * v if nesterov else v), {"v": v}


def _dampened(g, p, state, t, *, learning_rate, momentum=0.9, nesterov=False):
    v = momentum * state.get("v", 0.0) + (1 - momentum) * g
    return -learning_rate * (g + momentum * v if nesterov else v), {"v": v}


def _looks_ahead_with_old_velocity(g, p, state, t, *, learning_rate, momentum=0.9, nesterov=True):
    old = state.get("v", 0.0)
    return -learning_rate * (g + momentum * old), {"v": momentum * old + g}


def _forgets_lookahead(g, p, state, t, *, learning_rate, momentum=0.9, nesterov=True):
    return paper.momentum(g, p, state, t, learning_rate=learning_rate, momentum=momentum)


def _adagrad_eps_inside(g, p, state, t, *, learning_rate, eps=1e-10, initial_accumulator=0.0):
    s = state.get("s", initial_accumulator) + g**2
    return -learning_rate * g / np.sqrt(s + eps), {"s": s}


def _adagrad_one_step_late(g, p, state, t, *, learning_rate, eps=1e-10, initial_accumulator=0.0):
    s = state.get("s", initial_accumulator)
    return -learning_rate * g / (np.sqrt(s) + eps), {"s": s + g**2}


def _adagrad_ignores_start(g, p, state, t, *, learning_rate, eps=1e-10, initial_accumulator=0.0):
    return paper.adagrad(g, p, state, t, learning_rate=learning_rate, eps=eps)


def _rmsprop_eps_inside(g, p, state, t, *, learning_rate, b2=0.9, eps=1e-8):
    v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
    return -learning_rate * g / np.sqrt(v + eps), {"v": v}


def _rmsprop_debiased(g, p, state, t, *, learning_rate, b2=0.9, eps=1e-8):
    v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
    return -learning_rate * g / (np.sqrt(v / (1 - b2**t)) + eps), {"v": v}


def _rmsprop_starts_at_one(g, p, state, t, *, learning_rate, b2=0.9, eps=1e-8):
    return paper.rmsprop(g, p, state or {"v": 1.0}, t, learning_rate=learning_rate, b2=b2, eps=eps)


def _adam_variant(*, debias_m=True, debias_v=True, eps_inside=False, count_from=1, decay="none"):
    def step(g, p, state, t, *, learning_rate, b1=0.9, b2=0.999, eps=1e-8, weight_decay=0.0):
        g = g + weight_decay * p if decay == "coupled" else g
        m = b1 * state.get("m", 0.0) + (1 - b1) * g
        v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
        n = t + count_from - 1
        m_hat = m / (1 - b1**n) if debias_m else m
        v_hat = v / (1 - b2**n) if debias_v else v
        root = np.sqrt(v_hat + eps) if eps_inside else np.sqrt(v_hat) + eps
        update = -learning_rate * m_hat / root
        if decay == "decoupled":
            update = update - learning_rate * weight_decay * p
        if decay == "independent":
            update = update - weight_decay * p
        if decay == "grows":
            update = update + learning_rate * weight_decay * p
        return update, {"m": m, "v": v}

    return step


def _betas_swapped(step):
    return lambda g, p, state, t, *, b1, b2, **rest: step(g, p, state, t, b1=b2, b2=b1, **rest)


def _lion_one_average(g, p, state, t, *, learning_rate, b1=0.9, b2=0.99, weight_decay=0.0):
    m = b1 * state.get("m", 0.0) + (1 - b1) * g
    return -learning_rate * (np.sign(m) + weight_decay * p), {"m": m}


def _lion_sign_of_new_average(g, p, state, t, *, learning_rate, b1=0.9, b2=0.99, weight_decay=0.0):
    m = b2 * state.get("m", 0.0) + (1 - b2) * g
    return -learning_rate * (np.sign(m) + weight_decay * p), {"m": m}


def _lion_decay_unscaled(g, p, state, t, *, learning_rate, b1=0.9, b2=0.99, weight_decay=0.0):
    step, state = paper.lion(g, p, state, t, learning_rate=learning_rate, b1=b1, b2=b2)
    return step - weight_decay * p, state


MUTANTS = {
    "gradient_descent": {"ascends": _ascends, "normalises the gradient": _normalises},
    "sgd": {
        "rate inside the velocity": _rate_inside_velocity,
        "dampened velocity": _dampened,
    },
    "momentum": {
        "rate inside the velocity": _rate_inside_velocity,
        "dampened velocity": _dampened,
        "looks ahead": paper.nesterov,
    },
    "nesterov": {
        "looks ahead with the old velocity": _looks_ahead_with_old_velocity,
        "does not look ahead": _forgets_lookahead,
        "rate inside the velocity": lambda *a, **k: _rate_inside_velocity(*a, nesterov=True, **k),
    },
    "adagrad": {
        "eps inside the root": _adagrad_eps_inside,
        "accumulates after the step": _adagrad_one_step_late,
        "ignores the initial accumulator": _adagrad_ignores_start,
    },
    "rmsprop": {
        "eps inside the root": _rmsprop_eps_inside,
        "debiased": _rmsprop_debiased,
        "average begins at one": _rmsprop_starts_at_one,
    },
    "adam": {
        "eps inside the root": _adam_variant(eps_inside=True),
        "first moment not debiased": _adam_variant(debias_m=False),
        "second moment not debiased": _adam_variant(debias_v=False),
        "debias counts from two": _adam_variant(count_from=2),
        "betas swapped": _betas_swapped(paper.adam),
    },
    "adamw": {
        "decay coupled to the gradient": _adam_variant(decay="coupled"),
        "decay not multiplied by the rate": _adam_variant(decay="independent"),
        "decay grows the parameters": _adam_variant(decay="grows"),
        "no decay": _adam_variant(),
        "eps inside the root": _adam_variant(eps_inside=True, decay="decoupled"),
        "second moment not debiased": _adam_variant(debias_v=False, decay="decoupled"),
    },
    "lion": {
        "one average for both": _lion_one_average,
        "sign of the new average": _lion_sign_of_new_average,
        "betas swapped": _betas_swapped(paper.lion),
        "decay not multiplied by the rate": _lion_decay_unscaled,
    },
}
"""Optimizer name to what is wrong to the wrong transcription."""
