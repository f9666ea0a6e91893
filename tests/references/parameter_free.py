"""Methods that find their own step size, in float64 NumPy: one step of a whole tree, nothing shared with jaxlab.

Every function has the form ``step(g, p, state, t, *, learning_rate, ...) -> (updates, state)`` with dicts of arrays:
the gradients, the parameters, what the method keeps (empty before the first step), the number of the step from 1.
"""

import numpy as np
from references.mutated import mutated


def _dot(a, b):
    return sum(float(np.sum(a[n] * b[n])) for n in a)


def _norm(a):
    return np.sqrt(_dot(a, a))


def _size(a):
    return sum(float(np.sum(np.abs(a[n]))) for n in a)


def _zeros(a):
    return {n: np.zeros_like(x) for n, x in a.items()}


def _mean(old, new, b):
    return {n: b * old[n] + (1 - b) * new[n] for n in old}


def _times(a, x):
    return {n: a * x[n] for n in x}


def prodigy(
    g,
    p,
    state,
    t,
    *,
    learning_rate,
    b1=0.9,
    b2=0.999,
    b3=None,
    eps=1e-8,
    d0=1e-6,
    d_coef=1.0,
    growth_rate=None,
    weight_decay=0.0,
    use_bias_correction=False,
    safeguard_warmup=False,
):
    """Mishchenko and Defazio 2024, in the order of the official code."""
    b3 = np.sqrt(b2) if b3 is None else b3
    growth = np.inf if growth_rate is None else growth_rate
    old = state or {"m": _zeros(g), "v": _zeros(g), "s": _zeros(g), "start": p, "d": d0, "largest": d0, "r": 0.0}
    d = old["d"]
    step = d * learning_rate
    if use_bias_correction:
        step *= np.sqrt(1 - b2**t) / (1 - b1**t)
    moved = {n: old["start"][n] - p[n] for n in p}
    r = b3 * old["r"] + d / d0 * step * _dot(g, moved)
    m = _mean(old["m"], _times(d, g), b1)
    v = _mean(old["v"], {n: d**2 * g[n] ** 2 for n in g}, b2)
    weight = d / d0 * (d if safeguard_warmup else step)
    s = {n: b3 * old["s"][n] + weight * g[n] for n in g}
    found = d_coef * r / _size(s)
    if d == d0:
        d = max(d, found)
    largest = max(old["largest"], found)
    d = min(largest, d * growth)
    updates = {n: -step * (m[n] / (np.sqrt(v[n]) + d * eps) + weight_decay * p[n]) for n in g}
    return updates, {"m": m, "v": v, "s": s, "start": old["start"], "d": d, "largest": largest, "r": r}


def dadapt_adam(
    g,
    p,
    state,
    t,
    *,
    learning_rate,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    d0=1e-6,
    growth_rate=None,
    weight_decay=0.0,
    use_bias_correction=False,
):
    """Defazio and Mishchenko 2023, in the order of the official code, the learning rate outside the mean."""
    growth = np.inf if growth_rate is None else growth_rate
    root = np.sqrt(b2)
    old = state or {"m": _zeros(g), "v": _zeros(g), "s": _zeros(g), "d": d0, "r": 0.0}
    d = old["d"]
    if use_bias_correction:
        d *= np.sqrt(1 - b2**t) / (1 - b1**t)
    step = d * learning_rate
    led = step * _dot(g, {n: old["s"][n] / (np.sqrt(old["v"][n]) + eps) for n in g})
    m = _mean(old["m"], _times(d, g), b1)
    v = _mean(old["v"], {n: g[n] ** 2 for n in g}, b2)
    s = _mean(old["s"], _times(step, g), root)
    r = root * old["r"] + (1 - root) * led
    found = r / ((1 - root) * _size(s))
    updates = {n: -learning_rate * (m[n] / (np.sqrt(v[n]) + eps) + d * weight_decay * p[n]) for n in g}
    return updates, {"m": m, "v": v, "s": s, "d": max(old["d"], min(found, old["d"] * growth)), "r": r}


def dadapt_sgd(g, p, state, t, *, learning_rate, momentum=0.0, d0=1e-6, growth_rate=None):
    """Defazio and Mishchenko 2023, algorithm 4, with momentum as an average of steps."""
    growth = np.inf if growth_rate is None else growth_rate
    old = state or {"m": _zeros(g), "s": _zeros(g), "d": d0, "r": 0.0, "first": _norm(g)}
    d = old["d"]
    step = d * learning_rate / old["first"]
    r = old["r"] + step * _dot(g, old["s"])
    s = {n: old["s"][n] + step * g[n] for n in g}
    found = 2 * r / _norm(s)
    m = _mean(old["m"], _times(d / old["first"], g), momentum)
    after = {"m": m, "s": s, "d": max(d, min(found, d * growth)), "r": r, "first": old["first"]}
    return _times(-learning_rate, m), after


def dog(g, p, state, t, *, learning_rate, reps_rel=1e-6, eps=1e-8, layerwise=False):
    """Ivgi, Hinder and Carmon 2023, algorithm 1; L-DoG leaf by leaf."""
    if layerwise:
        state = state or {n: {} for n in g}
        each = {
            n: dog({n: g[n]}, {n: p[n]}, state[n], t, learning_rate=learning_rate, reps_rel=reps_rel, eps=eps)
            for n in g
        }
        return {n: each[n][0][n] for n in g}, {n: each[n][1] for n in g}
    old = state or {"start": p, "reach": reps_rel * (1 + _norm(p)), "squares": eps}
    reach = max(old["reach"], _norm({n: p[n] - old["start"][n] for n in p}))
    squares = old["squares"] + _dot(g, g)
    after = {"start": old["start"], "reach": reach, "squares": squares}
    return _times(-learning_rate * reach / np.sqrt(squares), g), after


def momo(
    g,
    p,
    state,
    t,
    *,
    value,
    learning_rate,
    b1=0.9,
    lb=0.0,
    weight_decay=0.0,
    use_bias_correction=False,
    use_fstar=False,
):
    """Schaipp et al. 2024, algorithm 1, in the order of the official code."""
    if use_bias_correction:
        rho, begin = 1 - b1**t, {"f": 0.0, "m": _zeros(g), "c": 0.0, "lb": lb}
    else:
        rho, begin = 1.0, {"f": value, "m": g, "c": _dot(g, p), "lb": lb}
    old = state or begin
    f = b1 * old["f"] + (1 - b1) * value
    m = _mean(old["m"], g, b1)
    c = b1 * old["c"] + (1 - b1) * _dot(g, p)
    updates, bound = _momo_step(m, m, f, c, rho, p, old["lb"], lb, learning_rate, weight_decay, use_fstar)
    return updates, {"f": f, "m": m, "c": c, "lb": bound}


def momo_adam(
    g,
    p,
    state,
    t,
    *,
    value,
    learning_rate,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    lb=0.0,
    weight_decay=0.0,
    use_fstar=False,
):
    """Schaipp et al. 2024, algorithm 2, in the order of the official code."""
    old = state or {"f": 0.0, "m": _zeros(g), "v": _zeros(g), "c": 0.0, "lb": lb}
    f = b1 * old["f"] + (1 - b1) * value
    m = _mean(old["m"], g, b1)
    v = _mean(old["v"], {n: g[n] ** 2 for n in g}, b2)
    c = b1 * old["c"] + (1 - b1) * _dot(g, p)
    direction = {n: m[n] / (np.sqrt(v[n] / (1 - b2**t)) + eps) for n in g}
    updates, bound = _momo_step(m, direction, f, c, 1 - b1**t, p, old["lb"], lb, learning_rate, weight_decay, use_fstar)
    return updates, {"f": f, "m": m, "v": v, "c": c, "lb": bound}


def _momo_step(m, direction, f, c, rho, p, lb, least, learning_rate, weight_decay, use_fstar):
    grow = 1 + learning_rate * weight_decay
    along, norm = _dot(m, p), _dot(m, direction)
    if use_fstar:
        cap = grow * f + along - grow * c
        if cap < grow * rho * lb:
            lb = max(cap / (2 * grow * rho), least)
    allowed = max(grow * (f - rho * lb) + along - grow * c, 0.0) / norm
    tau = min(learning_rate / rho, allowed)
    if use_fstar:
        lb = max((f + along - c - tau * norm / 2) / rho, least)
    return {n: (p[n] - tau * direction[n]) / grow - p[n] for n in p}, lb


REFERENCES = {
    "prodigy": prodigy,
    "dadapt_adam": dadapt_adam,
    "dadapt_sgd": dadapt_sgd,
    "dog": dog,
    "momo": momo,
    "momo_adam": momo_adam,
}

SETTINGS = {
    "prodigy": [
        {},
        {"safeguard_warmup": True},
        {
            "b1": 0.8,
            "b2": 0.93,
            "b3": 0.9,
            "eps": 1e-2,
            "d0": 1e-3,
            "d_coef": 1.7,
            "growth_rate": 1.3,
            "weight_decay": 0.2,
            "use_bias_correction": True,
        },
    ],
    "dadapt_adam": [
        {},
        {
            "b1": 0.8,
            "b2": 0.93,
            "eps": 1e-2,
            "d0": 1e-2,
            "growth_rate": 1.3,
            "weight_decay": 0.2,
            "use_bias_correction": True,
        },
    ],
    "dadapt_sgd": [{}, {"momentum": 0.7, "d0": 1e-2, "growth_rate": 1.3}],
    "dog": [{}, {"layerwise": True, "reps_rel": 1e-3}, {"reps_rel": 1e-2, "eps": 0.3}],
    "momo": [
        {},
        {"use_bias_correction": True, "lb": 0.3},
        {"use_fstar": True, "lb": -0.5, "use_bias_correction": True},
        {"b1": 0.7, "lb": 0.4, "weight_decay": 0.2},
    ],
    "momo_adam": [
        {},
        {"use_fstar": True, "lb": -0.5, "weight_decay": 0.1},
        {"b1": 0.7, "b2": 0.93, "eps": 1e-2, "lb": 30.0, "weight_decay": 0.2},
    ],
}
"""The defaults, flags, and numbers that nobody uses; the last of each also meets the mutants."""

_MISTAKES = {
    "prodigy": {
        "the decay without the estimate": ("weight_decay * p[n])", "weight_decay * p[n] / old['d'])"),
        "the new estimate scales the step": ("-step * (m[n]", "-d * step / old['d'] * (m[n]"),
        "moments without the estimate": ("_times(d, g)", "_times(d0, g)"),
        "no square root of b2": ("b3 = np.sqrt(b2) if b3 is None else b3", "b3 = b2"),
        "the root of squares, not their sum": ("_size(s)", "_norm(s)"),
        "the start moves along": ('"start": old["start"]', '"start": p'),
        "no limit on growth": ("d = min(largest, d * growth)", "d = largest"),
    },
    "dadapt_adam": {
        "the numerator sees the new sum": (
            'old["s"][n] / (np',
            "(s := _mean(old['s'], _times(step, g), root))[n] / (np",
        ),
        "no root of b2": ("root = np.sqrt(b2)", "root = b2"),
        "no preconditioner in the numerator": ('/ (np.sqrt(old["v"][n]) + eps) for n in g})', "for n in g})"),
        "the decay without the estimate": ("+ d * weight_decay", "+ weight_decay"),
        "no bias correction": ("d *= np.sqrt(1 - b2**t) / (1 - b1**t)", "pass"),
        # The official code: the same while the rate is constant.
        "the rate inside the mean": ("_times(d, g), b1", "_times(step, g), b1", "(m[n] /", "(m[n] / learning_rate /"),
    },
    "dadapt_sgd": {
        "a sum of steps for their average": ("_times(d / old", "_times(d / (1 - momentum) / old"),
        "each gradient's own norm": ('"first": old["first"]}', '"first": _norm(g)}'),
        "half the estimate": ("found = 2 * r", "found = r"),
        "the new sum in the numerator": ('step * _dot(g, old["s"])', 'step * _dot(g, old["s"]) + step**2 * _dot(g, g)'),
    },
    "dog": {
        "the last distance, not the largest": ('max(old["reach"], _norm(', "max(reps_rel, _norm("),
        "the sum without this gradient": ("np.sqrt(squares)", 'np.sqrt(old["squares"])'),
        "the first step without its size": ("reps_rel * (1 + _norm(p))", "reps_rel"),
        "eps outside the root": ("/ np.sqrt(squares)", "/ (eps + np.sqrt(squares - eps))"),
    },
    "momo": {
        "no average of the losses": ("f = b1", "f = value if t else b1"),
        "averages from zero": ('"m": g, "c"', '"m": _zeros(g), "c"'),
        "no products": ('c = b1 * old["c"] + (1 - b1) * _dot(g, p)', "c = _dot(m, p)"),
        "no lower bound": ('old["lb"], lb, learning_rate', "0.0, lb, learning_rate"),
        "decay beside the model": ("learning_rate, weight_decay, use", "learning_rate, 0.0, use"),
    },
    "momo_adam": {
        "no bias correction of the bound": ("1 - b1**t, p", "1.0, p"),
        "Euclid's norm": ("m, direction, f, c", "direction, direction, f, c"),
        "no average of the losses": ("f = b1", "f = value if t else b1"),
        "eps inside the root": ("(1 - b2**t)) + eps)", "(1 - b2**t) + eps))"),
        "no bias correction of squares": ("v[n] / (1 - b2**t)", "v[n]"),
    },
}
MUTANTS = {
    name: {what: mutated(REFERENCES[name], *change) for what, change in mistakes.items()}
    for name, mistakes in _MISTAKES.items()
}
