"""Adaptive methods after Adam in float64 NumPy, in the form that :mod:`references.optimizers` describes."""

import functools

import numpy as np
from references.mutated import mutated


def adabelief(g, p, state, t, *, learning_rate, b1=0.9, b2=0.999, eps=1e-16, weight_decay=0.0):
    """Zhuang et al. 2020, algorithm 2: eps in the average and beside the root."""
    m = b1 * state.get("m", 0.0) + (1 - b1) * g
    s = b2 * state.get("s", 0.0) + (1 - b2) * (g - m) ** 2 + eps
    m_hat = m / (1 - b1**t)
    s_hat = s / (1 - b2**t)
    step = m_hat / (np.sqrt(s_hat) + eps)
    return -learning_rate * (step + weight_decay * p), {"m": m, "s": s}


def yogi(g, p, state, t, *, learning_rate, b1=0.9, b2=0.999, eps=1e-3, initial_accumulator=1e-6):
    """Zaheer et al. 2018, algorithm 2, with the bias corrections of TensorFlow Addons."""
    m = b1 * state.get("m", 0.0) + (1 - b1) * g
    v = state.get("v", initial_accumulator)
    v = v - (1 - b2) * np.sign(v - g**2) * g**2
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    return -learning_rate * m_hat / (np.sqrt(v_hat) + eps), {"m": m, "v": v}


def laprop(g, p, state, t, *, learning_rate, b1=0.9, b2=0.999, eps=1e-15, weight_decay=0.0):
    """Ziyin et al. 2020, algorithm 1: the momentum of normalised gradients; AdamW's decay."""
    v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
    v_hat = v / (1 - b2**t)
    m = b1 * state.get("m", 0.0) + (1 - b1) * g / (np.sqrt(v_hat) + eps)
    m_hat = m / (1 - b1**t)
    return -learning_rate * (m_hat + weight_decay * p), {"m": m, "v": v}


def adopt(g, p, state, t, *, learning_rate, b1=0.9, b2=0.9999, eps=1e-6, clip_power=0.25, weight_decay=0.0):
    """Taniguchi et al. 2024, algorithm 2 with the official code's clipping; AdamW's decay."""
    if t == 1:
        return -learning_rate * weight_decay * p, {"m": 0.0, "v": g**2}
    normed = g / np.maximum(np.sqrt(state["v"]), eps)
    bound = np.inf if clip_power is None else float(t - 1) ** clip_power
    normed = np.maximum(-bound, np.minimum(normed, bound))
    m = b1 * state["m"] + (1 - b1) * normed
    v = b2 * state["v"] + (1 - b2) * g**2
    return -learning_rate * (m + weight_decay * p), {"m": m, "v": v}


def adan(g, p, state, t, *, learning_rate, b1=0.98, b2=0.92, b3=0.99, eps=1e-8, weight_decay=0.0):
    """Xie et al. 2022 as the official code has it, betas as decays and no proximal step."""
    diff = g - state.get("g", g)
    m = b1 * state.get("m", 0.0) + (1 - b1) * g
    d = b2 * state.get("d", 0.0) + (1 - b2) * diff
    n = b3 * state.get("n", 0.0) + (1 - b3) * (g + b2 * diff) ** 2
    root = np.sqrt(n / (1 - b3**t)) + eps
    step = (m / (1 - b1**t) + b2 * d / (1 - b2**t)) / root
    return -learning_rate * (step + weight_decay * p), {"m": m, "d": d, "n": n, "g": g}


def ademamix(
    g,
    p,
    state,
    t,
    *,
    learning_rate,
    b1=0.9,
    b2=0.999,
    b3=0.9999,
    alpha=2.0,
    eps=1e-8,
    alpha_warmup=0.0,
    b3_warmup=0.0,
    weight_decay=0.0,
):
    """Pagliardini et al. 2024, algorithm 1 and the schedules of its equations for alpha and beta3."""
    alpha_t = alpha * min(t / alpha_warmup, 1) if alpha_warmup else alpha
    b3_t = b3
    if t < b3_warmup:
        r = t / b3_warmup
        b3_t = np.exp(np.log(b1) * np.log(b3) / ((1 - r) * np.log(b3) + r * np.log(b1)))
    m = b1 * state.get("m", 0.0) + (1 - b1) * g
    slow = b3_t * state.get("slow", 0.0) + (1 - b3_t) * g
    v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
    step = (m / (1 - b1**t) + alpha_t * slow) / (np.sqrt(v / (1 - b2**t)) + eps)
    return -learning_rate * (step + weight_decay * p), {"m": m, "slow": slow, "v": v}


def mars(g, p, state, t, *, learning_rate, b1=0.95, b2=0.99, eps=1e-8, gamma=0.025, weight_decay=0.0):
    """Yuan et al. 2024, MARS-AdamW in the official code's approximate form."""
    c = g + gamma * b1 / (1 - b1) * (g - state.get("g", 0.0))
    length = np.sqrt(np.sum(c**2))
    if length > 1:
        c = c / length
    m = b1 * state.get("m", 0.0) + (1 - b1) * c
    v = b2 * state.get("v", 0.0) + (1 - b2) * c**2
    step = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
    return -learning_rate * (step + weight_decay * p), {"m": m, "v": v, "g": g}


def lamb(g, p, state, t, *, learning_rate, b1=0.9, b2=0.999, eps=1e-6, weight_decay=0.0):
    """You et al. 2020, algorithm 2, phi the identity."""
    m = b1 * state.get("m", 0.0) + (1 - b1) * g
    v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    r = m_hat / (np.sqrt(v_hat) + eps) + weight_decay * p
    above, below = np.sqrt(np.sum(p**2)), np.sqrt(np.sum(r**2))
    ratio = above / below if above > 0 and below > 0 else 1.0
    return -learning_rate * ratio * r, {"m": m, "v": v}


def lars(g, p, state, t, *, learning_rate, momentum=0.9, weight_decay=1e-4, trust_coefficient=1e-3, eps=0.0):
    """You et al. 2017, algorithm 1 with the rate outside the velocity, as PyTorch's versions have it."""
    ours, theirs = np.sqrt(np.sum(p**2)), np.sqrt(np.sum(g**2))
    ratio = 1.0
    if ours > 0 and theirs > 0:
        ratio = trust_coefficient * ours / (theirs + weight_decay * ours + eps)
    v = momentum * state.get("v", 0.0) + ratio * (g + weight_decay * p)
    return -learning_rate * v, {"v": v}


def sign_descent(g, p, state, t, *, learning_rate, momentum=None, weight_decay=0.0):
    """Bernstein et al. 2018, algorithms 1 and 2 (Signum); AdamW's decay."""
    m = g if momentum is None else momentum * state.get("m", 0.0) + (1 - momentum) * g
    return -learning_rate * (np.sign(m) + weight_decay * p), {"m": m}


def sm3(g, p, state, t, *, learning_rate, momentum=0.9):
    """Anil et al. 2019, SM3-II with the co-dimension one slices as the cover; 0 / 0 is 0."""
    # np.ix_ turns the bounds of every axis so that they meet at the elements.
    mu = state.get("mu", [np.zeros(n) for n in g.shape])
    nu = (functools.reduce(np.minimum, np.ix_(*mu)) if g.ndim else state.get("nu", 0.0)) + g**2
    mu = [np.max(nu, tuple(other for other in range(g.ndim) if other != axis)) for axis in range(g.ndim)]
    d = np.divide(g, np.sqrt(nu), out=np.zeros_like(g), where=nu > 0)
    m = d if momentum is None else momentum * state.get("m", 0.0) + (1 - momentum) * d
    return -learning_rate * m, {"mu": mu, "nu": nu, "m": m}


REFERENCES = {
    "adabelief": adabelief,
    "yogi": yogi,
    "laprop": laprop,
    "adopt": adopt,
    "adan": adan,
    "ademamix": ademamix,
    "mars": mars,
    "lamb": lamb,
    "lars": lars,
    "sign_descent": sign_descent,
    "sm3": sm3,
}
"""Optimizer name to transcription."""

SETTINGS = {
    "adabelief": [{}, {"b1": 0.8, "b2": 0.93, "eps": 1e-4, "weight_decay": 0.2}],
    "yogi": [{}, {"b1": 0.8, "b2": 0.93, "eps": 1e-2, "initial_accumulator": 0.3}],
    "laprop": [{}, {"b1": 0.8, "b2": 0.93, "eps": 1e-4, "weight_decay": 0.2}],
    "adopt": [
        {},
        {"clip_power": None},
        {"b1": 0.8, "b2": 0.93, "eps": 1e-2, "clip_power": 0.1, "weight_decay": 0.2},
    ],
    "adan": [{}, {"b1": 0.8, "b2": 0.7, "b3": 0.93, "eps": 1e-4, "weight_decay": 0.2}],
    "ademamix": [
        {},
        {"b1": 0.8, "b2": 0.93, "b3": 0.99, "alpha": 5.0, "eps": 1e-4}
        | {"alpha_warmup": 30.0, "b3_warmup": 60.0, "weight_decay": 0.2},
    ],
    "mars": [{}, {"b1": 0.8, "b2": 0.93, "eps": 1e-4, "gamma": 0.3, "weight_decay": 0.2}],
    "lamb": [{}, {"b1": 0.8, "b2": 0.93, "eps": 1e-4, "weight_decay": 0.2}],
    "lars": [{}, {"momentum": 0.6, "weight_decay": 0.2, "trust_coefficient": 0.3, "eps": 1e-2}],
    "sign_descent": [{}, {"momentum": 0.6, "weight_decay": 0.2}],
    "sm3": [{}, {"momentum": None}, {"momentum": 0.6}],
}
"""As in :mod:`references.optimizers`."""

_DECAY_UNSCALED = ("+ weight_decay * p)", ") - weight_decay * p")

MUTANTS = {
    "adabelief": {
        "surprise by the mean before": mutated(adabelief, "(g - m) ** 2", '(g - state.get("m", 0.0)) ** 2'),
        "Adam's mean square": mutated(adabelief, "(g - m) ** 2", "g**2"),
        "no eps in the average": mutated(adabelief, "** 2 + eps", "** 2"),
        "no eps beside the root": mutated(adabelief, "(np.sqrt(s_hat) + eps)", "np.sqrt(s_hat)"),
        "second moment not debiased": mutated(adabelief, "s / (1 - b2**t)", "s"),
        "decay not multiplied by the rate": mutated(adabelief, *_DECAY_UNSCALED),
    },
    "yogi": {
        "Adam's mean square": mutated(yogi, "v - (1 - b2) * np.sign(v - g**2) * g**2", "b2 * v + (1 - b2) * g**2"),
        "moves by its own size": mutated(yogi, "np.sign(v - g**2) * g**2", "np.sign(v - g**2) * v"),
        "mean begins at the accumulator": mutated(yogi, '"m", 0.0', '"m", initial_accumulator'),
        "eps inside the root": mutated(yogi, "(np.sqrt(v_hat) + eps)", "np.sqrt(v_hat + eps)"),
        "not debiased": mutated(yogi, "v / (1 - b2**t)", "v"),
    },
    "laprop": {
        "momentum before the division": mutated(
            laprop, "* g / (np.sqrt(v_hat) + eps)\n    m_hat = m", "* g\n    m_hat = m / (np.sqrt(v_hat) + eps)"
        ),
        "mean not debiased": mutated(laprop, "m_hat = m / (1 - b1**t)", "m_hat = m"),
        "eps inside the root": mutated(laprop, "(np.sqrt(v_hat) + eps)", "np.sqrt(v_hat + eps)"),
        "decay not multiplied by the rate": mutated(laprop, *_DECAY_UNSCALED),
    },
    "adopt": {
        "divides by what has seen the gradient": mutated(
            adopt, 'np.sqrt(state["v"])', 'np.sqrt(b2 * state["v"] + (1 - b2) * g**2)'
        ),
        "eps added": mutated(adopt, 'np.maximum(np.sqrt(state["v"]), eps)', '(np.sqrt(state["v"]) + eps)'),
        "clips by the number of this step": mutated(adopt, "float(t - 1)", "float(t)"),
        "does not clip": mutated(adopt, "np.maximum(-bound, np.minimum(normed, bound))", "normed"),
        "mean debiased": mutated(adopt, "(m + weight", "(m / (1 - b1 ** (t - 1)) + weight"),
        "mean square begins at zero": mutated(adopt, '"v": g**2}', '"v": (1 - b2) * g**2}'),
        "decay not multiplied by the rate": mutated(adopt, "(m + weight_decay * p),", "m - weight_decay * p,"),
    },
    "adan": {
        "change weighted by one minus the decay": mutated(adan, "+ b2 * d /", "+ (1 - b2) * d /"),
        "square weighted by one minus the decay": mutated(adan, "(g + b2 * diff)", "(g + (1 - b2) * diff)"),
        "first change is the gradient": mutated(adan, 'state.get("g", g)', 'state.get("g", 0.0)'),
        "change not debiased": mutated(adan, "d / (1 - b2**t)", "d"),
        "the paper's betas": mutated(adan, "diff = g", "b1, b2, b3 = 1 - b1, 1 - b2, 1 - b3\n    diff = g"),
        "eps inside the root": mutated(adan, "np.sqrt(n / (1 - b3**t)) + eps", "np.sqrt(n / (1 - b3**t) + eps)"),
        "decay not multiplied by the rate": mutated(adan, *_DECAY_UNSCALED),
    },
    "ademamix": {
        "slow mean debiased": mutated(ademamix, "alpha_t * slow)", "alpha_t * slow / (1 - b3**t))"),
        "alpha does not warm up": mutated(
            ademamix, "alpha * min(t / alpha_warmup, 1) if alpha_warmup else alpha", "alpha"
        ),
        "alpha warms up from the step before": mutated(ademamix, "min(t / alpha", "min((t - 1) / alpha"),
        "b3 rises in a line": mutated(
            ademamix,
            "np.exp(np.log(b1) * np.log(b3) / ((1 - r) * np.log(b3) + r * np.log(b1)))",
            "(1 - r) * b1 + r * b3",
        ),
        "b3 does not warm up": mutated(ademamix, "if t < b3_warmup", "if t < 0"),
        "one clock for both": mutated(ademamix, "alpha_warmup, 1)", "b3_warmup, 1)"),
        "second moment not debiased": mutated(ademamix, "np.sqrt(v / (1 - b2**t))", "np.sqrt(v)"),
        "decay not multiplied by the rate": mutated(ademamix, *_DECAY_UNSCALED),
    },
    "mars": {
        "does not clip": mutated(mars, "length > 1", "length < 0"),
        "always normalises": mutated(mars, "length > 1", "length > 0"),
        "keeps the clipped gradient": mutated(mars, '"g": g}', '"g": c}'),
        "first change is zero": mutated(mars, '"g", 0.0', '"g", g'),
        "no momentum in the weight": mutated(mars, "b1 / (1 - b1)", "1.0"),
        "square of the raw gradient": mutated(mars, "c**2\n    step", "g**2\n    step"),
        "decay not multiplied by the rate": mutated(mars, *_DECAY_UNSCALED),
    },
    "lamb": {
        "decay after the ratio": mutated(lamb, "+ weight_decay * p\n", "\n"),
        "no ratio": mutated(lamb, "above / below if", "1.0 if"),
        "ratio of the gradient": mutated(lamb, "np.sum(r**2)", "np.sum(g**2)"),
        "not debiased": mutated(lamb, "v / (1 - b2**t)", "v"),
        "eps inside the root": mutated(lamb, "(np.sqrt(v_hat) + eps)", "np.sqrt(v_hat + eps)"),
    },
    "lars": {
        "rate inside the velocity": mutated(lars, "+ ratio *", "+ learning_rate * ratio *", "-learning_rate * v", "-v"),
        "norm of the sum": mutated(lars, "theirs + weight_decay * ours +", "np.linalg.norm(g + weight_decay * p) +"),
        "no decay": mutated(lars, "(g + weight_decay * p)", "g"),
        "decay outside the ratio": mutated(lars, "ratio * (g + weight_decay * p)", "(ratio * g + weight_decay * p)"),
        "no ratio": mutated(lars, "ours > 0 and", "False and"),
        "no eps": mutated(lars, "+ eps)", ")"),
    },
    "sign_descent": {
        "sign of the gradient": mutated(sign_descent, "g if momentum is None else", "g if True else"),
        "average of signs": mutated(
            sign_descent, "(1 - momentum) * g", "(1 - momentum) * np.sign(g)", "(np.sign(m) +", "(m +"
        ),
        "decay not multiplied by the rate": mutated(sign_descent, *_DECAY_UNSCALED),
    },
    "sm3": {
        "SM3-I": mutated(sm3, "mu = [np.max(nu,", "mu = [mu[axis] + np.max(g**2,"),
        "Adagrad": mutated(sm3, "functools.reduce(np.minimum, np.ix_(*mu)) if g.ndim else ", ""),
        "the first axis alone": mutated(sm3, "np.ix_(*mu))", "np.ix_(*mu)[:1])"),
        "the largest bound": mutated(sm3, "np.minimum", "np.maximum"),
        "a sum for the average": mutated(sm3, "(1 - momentum) * d", "d"),
    },
}
"""Optimizer name to what is wrong to the wrong transcription."""
