"""The papers' updates in float64 NumPy: one step of one array each, nothing shared with jaxlab.

Every function has the form ``step(g, p, state, t, *, learning_rate, ...) -> (update, state)``: the gradient,
the parameter, a dict of what the paper keeps between steps (empty before the first), the number of the step
from 1, and what is added to the parameter.
"""

import numpy as np


def gradient_descent(g, p, state, t, *, learning_rate):
    """Cauchy 1847: x <- x - alpha g."""
    return -learning_rate * g, state


def momentum(g, p, state, t, *, learning_rate, momentum=0.9):
    """Polyak 1964 in PyTorch's form, the rate outside the velocity: v <- mu v + g; x <- x - alpha v."""
    v = momentum * state.get("v", 0.0) + g
    return -learning_rate * v, {"v": v}


def nesterov(g, p, state, t, *, learning_rate, momentum=0.9):
    """Nesterov 1983 as Sutskever et al. 2013 and PyTorch state it: v <- mu v + g; x <- x - alpha (g + mu v)."""
    v = momentum * state.get("v", 0.0) + g
    return -learning_rate * (g + momentum * v), {"v": v}


def sgd(g, p, state, t, *, learning_rate, momentum=None, nesterov=False):
    """torch.optim.SGD without dampening."""
    if momentum is None:
        return -learning_rate * g, state
    v = momentum * state.get("v", 0.0) + g
    d = g + momentum * v if nesterov else v
    return -learning_rate * d, {"v": v}


def adagrad(g, p, state, t, *, learning_rate, eps=1e-10, initial_accumulator=0.0):
    """Duchi et al. 2011, diagonal form, eps outside the root: s <- s + g^2; x <- x - alpha g / (sqrt(s) + eps)."""
    s = state.get("s", initial_accumulator) + g**2
    return -learning_rate * g / (np.sqrt(s) + eps), {"s": s}


def adadelta(g, p, state, t, *, learning_rate=1.0, b2=0.9, eps=1e-6):
    """Zeiler 2012, algorithm 1, with a rate outside: E[g^2]; dx = -RMS[dx] / RMS[g] g; E[dx^2]."""
    v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
    x = state.get("x", 0.0)
    dx = -np.sqrt(x + eps) / np.sqrt(v + eps) * g
    return learning_rate * dx, {"v": v, "x": b2 * x + (1 - b2) * dx**2}


def rmsprop(g, p, state, t, *, learning_rate, b2=0.9, eps=1e-8, momentum=None, centered=False):
    """Hinton 2012, lecture 6e: v <- b2 v + (1 - b2) g^2; x <- x - alpha g / (sqrt(v) + eps); v begins at 0.

    Centred as Graves 2013, the mean's square taken off, with momentum as torch.optim.RMSprop.
    """
    v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
    m = b2 * state.get("m", 0.0) + (1 - b2) * g
    d = g / (np.sqrt(v - m**2 if centered else v) + eps)
    w = (momentum or 0.0) * state.get("w", 0.0) + d
    return -learning_rate * w, {"v": v, "m": m, "w": w}


def adam(g, p, state, t, *, learning_rate, b1=0.9, b2=0.999, eps=1e-8):
    """Kingma and Ba 2015, algorithm 1."""
    m = b1 * state.get("m", 0.0) + (1 - b1) * g
    v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    return -learning_rate * m_hat / (np.sqrt(v_hat) + eps), {"m": m, "v": v}


def adamax(g, p, state, t, *, learning_rate, b1=0.9, b2=0.999, eps=0.0):
    """Kingma and Ba 2015, algorithm 2, eps where torch.optim.Adamax has it; 0 / 0 is 0."""
    m = b1 * state.get("m", 0.0) + (1 - b1) * g
    u = np.maximum(b2 * state.get("u", 0.0), np.abs(g) + eps)
    d = np.divide(m, u, out=np.zeros_like(g), where=u > 0)
    return -learning_rate / (1 - b1**t) * d, {"m": m, "u": u}


def nadam(g, p, state, t, *, learning_rate, b1=0.9, b2=0.999, eps=1e-8, momentum_decay=4e-3):
    """Dozat 2016, algorithm 2, as torch.optim.NAdam has it: b1, not mu_t, in the average."""
    mus = [b1 * (1 - 0.5 * 0.96 ** (i * momentum_decay)) for i in range(1, t + 2)]
    m = b1 * state.get("m", 0.0) + (1 - b1) * g
    v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
    m_bar = mus[t] * m / (1 - np.prod(mus)) + (1 - mus[t - 1]) * g / (1 - np.prod(mus[:t]))
    return -learning_rate * m_bar / (np.sqrt(v / (1 - b2**t)) + eps), {"m": m, "v": v}


def amsgrad(g, p, state, t, *, learning_rate, b1=0.9, b2=0.999, eps=1e-8):
    """Reddi et al. 2018, algorithm 2, with the bias corrections of torch.optim.Adam(amsgrad=True)."""
    m = b1 * state.get("m", 0.0) + (1 - b1) * g
    v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
    v_max = np.maximum(state.get("v_max", 0.0), v)
    root = np.sqrt(v_max / (1 - b2**t)) + eps
    return -learning_rate * m / (1 - b1**t) / root, {"m": m, "v": v, "v_max": v_max}


def radam(g, p, state, t, *, learning_rate, b1=0.9, b2=0.999, eps=1e-8):
    """Liu et al. 2020, algorithm 2, with the threshold 5 of their code and torch.optim.RAdam's eps."""
    m = b1 * state.get("m", 0.0) + (1 - b1) * g
    v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
    m_hat = m / (1 - b1**t)
    rho_inf = 2 / (1 - b2) - 1
    rho = rho_inf - 2 * t * b2**t / (1 - b2**t)
    state = {"m": m, "v": v}
    if rho <= 5:
        return -learning_rate * m_hat, state
    r = np.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
    return -learning_rate * r * m_hat * np.sqrt(1 - b2**t) / (np.sqrt(v) + eps), state


def adafactor(
    g,
    p,
    state,
    t,
    *,
    learning_rate,
    b2_power=0.8,
    eps=1e-30,
    clip=1.0,
    min_scale=1e-3,
    weight_decay=0.0,
    min_factored=128,
):
    """Shazeer and Stern 2018, algorithms 4 (matrices) and 5 (vectors), a rate for rho_t, AdamW's decay."""
    b2 = 1 - t**-b2_power
    if g.ndim >= 2 and min(g.shape[-2:]) >= min_factored:
        # R and C are sums, as the paper writes them; V = R C / 1'R, matrix by matrix.
        r = b2 * state.get("r", 0.0) + (1 - b2) * np.sum(g**2 + eps, axis=-1)
        c = b2 * state.get("c", 0.0) + (1 - b2) * np.sum(g**2 + eps, axis=-2)
        v = np.einsum("...i,...j->...ij", r, c) / np.sum(r, axis=-1)[..., None, None]
        state = {"r": r, "c": c}
    else:
        v = b2 * state.get("v", 0.0) + (1 - b2) * (g**2 + eps)
        state = {"v": v}
    u = g / np.sqrt(v)
    u = u / max(1.0, np.sqrt(np.mean(u**2)) / clip)
    scale = max(min_scale, np.sqrt(np.mean(p**2)))
    return -learning_rate * (scale * u + weight_decay * p), state


def adamw(g, p, state, t, *, learning_rate, b1=0.9, b2=0.999, eps=1e-8, weight_decay=1e-2):
    """Loshchilov and Hutter 2019, algorithm 2, with PyTorch's decay: alpha lambda x, not eta_t lambda x."""
    step, state = adam(g, p, state, t, learning_rate=learning_rate, b1=b1, b2=b2, eps=eps)
    return step - learning_rate * weight_decay * p, state


def lion(g, p, state, t, *, learning_rate, b1=0.9, b2=0.99, weight_decay=0.0):
    """Chen et al. 2023, algorithm 2: the sign of one average decides, another is kept."""
    m = state.get("m", np.zeros_like(g))
    c = b1 * m + (1 - b1) * g
    return -learning_rate * (np.sign(c) + weight_decay * p), {"m": b2 * m + (1 - b2) * g}


REFERENCES = {
    "gradient_descent": gradient_descent,
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adagrad": adagrad,
    "adadelta": adadelta,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamax": adamax,
    "nadam": nadam,
    "amsgrad": amsgrad,
    "radam": radam,
    "adafactor": adafactor,
    "adamw": adamw,
    "lion": lion,
}
"""Optimizer name to transcription: a new optimizer is checked once it stands here."""

SETTINGS = {
    "gradient_descent": [{}],
    "sgd": [{}, {"momentum": 0.9}, {"momentum": 0.75, "nesterov": True}, {"momentum": 0.6}],
    "momentum": [{}, {"momentum": 0.6}],
    "nesterov": [{}, {"momentum": 0.6}],
    "adagrad": [{}, {"eps": 1e-2, "initial_accumulator": 0.3}],
    "adadelta": [{}, {"b2": 0.97, "eps": 1e-2}],
    "rmsprop": [
        {},
        {"b2": 0.97, "eps": 1e-4},
        {"momentum": 0.9},
        {"centered": True},
        {"b2": 0.97, "eps": 1e-4, "momentum": 0.6, "centered": True},
    ],
    "adam": [{}, {"b1": 0.8, "b2": 0.93, "eps": 1e-4}],
    "adamax": [{}, {"b1": 0.8, "b2": 0.93, "eps": 1e-2}],
    "nadam": [{}, {"b1": 0.8, "b2": 0.93, "eps": 1e-4, "momentum_decay": 0.1}],
    "amsgrad": [{}, {"b1": 0.8, "b2": 0.93, "eps": 1e-4}],
    "radam": [{}, {"b2": 0.99}, {"b1": 0.8, "b2": 0.93, "eps": 1e-4}],
    "adafactor": [
        {},
        {"min_factored": 1},
        {"b2_power": 0.6, "eps": 1e-3, "clip": 0.7, "min_scale": 0.9, "weight_decay": 0.2, "min_factored": 2},
    ],
    "adamw": [{}, {"b1": 0.8, "b2": 0.93, "eps": 1e-4, "weight_decay": 0.2}],
    "lion": [{}, {"b1": 0.8, "b2": 0.93, "weight_decay": 0.2}],
}
"""The defaults, and numbers that nobody uses, so that no two of them can stand for each other.

The last of each list names every number, and also meets the mutants.
"""
