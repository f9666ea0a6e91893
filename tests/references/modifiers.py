"""What modifiers do, in float64 NumPy: of one array and one step each, nothing shared with jaxlab.

The finished step of the inner optimizer is ``u`` (it is added to the parameter), the gradient ``g``, the parameter
``p``. Every one may be told to make a mistake, of a kind that is really made; the tests must see it.
"""

import numpy as np


def cautious(u, g, *, min_mean=1e-3, mistake=None):
    """C-Optim and timm: mask = (u * g > 0), mask /= mask.mean().clamp(min=1e-3), for u that are to be subtracted."""
    mask = (u * g > 0 if mistake == "sign of a step" else u * g < 0).astype(float)
    return u * mask / (1 if mistake == "no rescaling" else max(mask.mean(), min_mean))


def cautious_decay(u, p, rate, *, weight_decay, mistake=None):
    """Equation 1 of the paper with u = -rate * d: decay where d * p >= 0."""
    d = -u / rate
    where = d * p < 0 if mistake == "where they differ" else d * p >= 0
    factor = 1 if mistake == "not times the rate" else rate
    return u - factor * weight_decay * where * p


def centralise(g, *, mistake=None):
    """Section 3.2, of kernels with the outputs last; PyTorch has them first."""
    if g.ndim < 2:
        return g
    axes = tuple(range(1, g.ndim)) if mistake == "outputs first" else tuple(range(g.ndim - 1))
    return g - g.mean(axes, keepdims=True)


def clip_adaptive(g, p, *, clipping=1e-2, eps=1e-3, mistake=None):
    """Equation 3, unit by unit, of kernels with the outputs last."""

    def length(x):
        axes = None if x.ndim < 2 or mistake == "whole leaves" else tuple(range(x.ndim - 1))
        return np.sqrt((x**2).sum(axes, keepdims=True))

    limit = clipping * (length(p) + eps if mistake == "eps added" else np.maximum(length(p), eps))
    return np.where(length(g) > limit, g * limit / length(g), g)


def clip_update_rms(u, rate, *, max_rms=1.0, mistake=None):
    """Adafactor, algorithm 4: u / max(1, RMS(u) / d), before the rate."""
    d = -u / rate
    size = np.sqrt((d**2).sum()) if mistake == "norm" else np.sqrt((d**2).mean())
    return -rate * d / max(1.0, size / max_rms)


def graft(u, other, *, mistake=None):
    """Algorithm 1, per layer: the direction of u, the length of the other."""
    if mistake == "the other way round":
        u, other = other, u
    return u * np.linalg.norm(other) / np.linalg.norm(u)


def decay_to_init(u, p, start, rate, *, weight_decay, mistake=None):
    """The paper's penalty, decoupled as in AdamW."""
    towards = 0.0 if mistake == "towards zero" else start
    return u - rate * weight_decay * (p - towards)
