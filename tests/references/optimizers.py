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


def rmsprop(g, p, state, t, *, learning_rate, b2=0.9, eps=1e-8):
    """Hinton 2012, lecture 6e: v <- b2 v + (1 - b2) g^2; x <- x - alpha g / (sqrt(v) + eps); v begins at 0."""
    v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
    return -learning_rate * g / (np.sqrt(v) + eps), {"v": v}


def adam(g, p, state, t, *, learning_rate, b1=0.9, b2=0.999, eps=1e-8):
    """Kingma and Ba 2015, algorithm 1."""
    m = b1 * state.get("m", 0.0) + (1 - b1) * g
    v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    return -learning_rate * m_hat / (np.sqrt(v_hat) + eps), {"m": m, "v": v}


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
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adamw,
    "lion": lion,
}
"""Optimizer name to transcription: a new optimizer is checked once it stands here."""
