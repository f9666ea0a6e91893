"""Sophia and AdaHessian in float64 NumPy: one step of a whole tree, nothing shared with jaxlab.

``estimate`` is the diagonal that the step was given: the product of random signs and a Hessian product, or the
square of a gradient with drawn labels; None where the step made none.
"""

import numpy as np
from references.mutated import mutated


def sophia(g, p, state, t, *, estimate, learning_rate, b1=0.96, b2=0.99, gamma=0.01, eps=1e-12, weight_decay=0.1):
    """Liu et al. 2024, algorithm 3."""
    updates, after = {}, {}
    for n in g:
        m, h = state[n] if state else (np.zeros_like(g[n]), np.zeros_like(g[n]))
        m = b1 * m + (1 - b1) * g[n]
        if estimate is not None:
            h = b2 * h + (1 - b2) * estimate[n]
        ratio = m / np.maximum(gamma * h, eps)
        updates[n] = -learning_rate * (np.clip(ratio, -1, 1) + weight_decay * p[n])
        after[n] = (m, h)
    return updates, after


def adahessian(
    g,
    p,
    state,
    t,
    *,
    estimate,
    learning_rate,
    b1=0.9,
    b2=0.999,
    eps=1e-4,
    hessian_power=1.0,
    weight_decay=0.0,
    spatial_average=True,
):
    """Yao et al. 2021, algorithm 1, in the order of the official code."""
    updates, after = {}, {}
    for n in g:
        m, v, count = state[n] if state else (np.zeros_like(g[n]), np.zeros_like(g[n]), 0)
        m = b1 * m + (1 - b1) * g[n]
        if estimate is not None:
            d = np.abs(estimate[n])
            if spatial_average and d.ndim == 4:
                d = np.broadcast_to(d.mean((0, 1), keepdims=True), d.shape)
            v = b2 * v + (1 - b2) * d**2
            count += 1
        root = np.sqrt(v / (1 - b2**count))
        direction = m / (1 - b1**t) / (root**hessian_power + eps)
        updates[n] = -learning_rate * (direction + weight_decay * p[n])
        after[n] = (m, v, count)
    return updates, after


REFERENCES = {"sophia": sophia, "adahessian": adahessian}

SETTINGS = {
    "sophia": [
        {},
        {"estimator": "gnb", "gamma": 0.5, "refresh": 4},
        {"b1": 0.8, "b2": 0.9, "gamma": 0.5, "eps": 1e-3, "weight_decay": 0.2, "refresh": 3},
    ],
    "adahessian": [
        {},
        {"spatial_average": False, "refresh": 4},
        {"b1": 0.8, "b2": 0.93, "eps": 1e-2, "hessian_power": 0.7, "weight_decay": 0.2, "refresh": 3},
    ],
}
"""The defaults, flags, and numbers that nobody uses; the last of each also meets the mutants."""

_MISTAKES = {
    "sophia": {
        "every step averages": (
            "if estimate is not None:",
            "if estimate := estimate or {k: 0 * x for k, x in g.items()}:",
        ),
        "the curvature's size": ("gamma * h, eps", "gamma * np.abs(h), eps"),
        "no clipping": ("np.clip(ratio, -1, 1)", "ratio"),
        "the new gradient alone": ("ratio = m /", "ratio = g[n] /"),
        "gamma outside the bound": ("np.maximum(gamma * h, eps)", "gamma / np.maximum(h, eps) ** -1"),
        "decay before the clipping": (
            "np.clip(ratio, -1, 1) + weight_decay * p[n]",
            "np.clip(ratio + weight_decay * p[n], -1, 1)",
        ),
    },
    "adahessian": {
        "no average over places": ("spatial_average and d.ndim == 4", "False"),
        "an average over channels": ("d.mean((0, 1)", "d.mean((2, 3)"),
        "a mean of sizes": ("(1 - b2) * d**2", "(1 - b2) * d"),
        "debiased by steps": ("1 - b2**count", "1 - b2**t"),
        "eps inside the power": ("root**hessian_power + eps", "(root + eps)**hessian_power"),
        "the decay preconditioned": ("+ weight_decay * p[n]", "+ weight_decay * p[n] / (root**hessian_power + eps)"),
    },
}
MUTANTS = {
    name: {what: mutated(REFERENCES[name], *change) for what, change in mistakes.items()}
    for name, mistakes in _MISTAKES.items()
}
