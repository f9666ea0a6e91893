"""Momentum made orthogonal, in float64 NumPy, with mutants: what the iteration does to singular values is done to them.

A matrix's leaf has [inputs, outputs] as Flax; a kernel with more axes has its outputs last. What is no matrix goes to
AdamW with a rate of its own.
"""

import numpy as np
from references.mutated import mutated
from references.optimizers import adamw

QUINTIC = [(3.4445, -4.7750, 2.0315)] * 5

# Amsel et al. 2025, algorithm 1, before and after the safety factor is taken in.
BEST = [
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
    (1.8750014808534479, -1.2500016453999487, 0.3750001645474248),
]
SAFE = [(a / 1.01, b / 1.01**3, c / 1.01**5) for a, b, c in BEST] + [(1.875, -1.25, 0.375)]


def orthogonal(x, eps, coefficients="quintic", steps=5):
    """Each singular value, over their root sum of squares, through the polynomials."""
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    s = s / ((1.01 if coefficients == "polar_express" else 1.0) * np.sqrt(np.sum(s**2)) + eps)
    schedule = {"quintic": QUINTIC[:1] * steps, "polar_express": (SAFE + SAFE[-1:] * steps)[:steps]}
    for a, b, c in schedule.get(coefficients, coefficients):
        s = a * s + b * s**3 + c * s**5
    return (u * s) @ vt


def muon(
    g,
    p,
    state,
    t,
    *,
    learning_rate,
    momentum=0.95,
    eps=1e-7,
    weight_decay=0.0,
    fallback_learning_rate=3e-3,
    nesterov=True,
    coefficients="quintic",
    steps=5,
    scaling="keller",
    layouts=(),
):
    """github.com/KellerJordan/Muon, its matrices turned over; Moonshot's scale as arXiv:2502.16982, equation 4."""
    if g.ndim < 2:
        return adamw(g, p, state, t, learning_rate=fallback_learning_rate, b2=0.95, weight_decay=weight_decay)
    m = momentum * state.get("m", 0.0) + (1 - momentum) * g
    x = momentum * m + (1 - momentum) * g if nesterov else m
    x = x.reshape(-1, x.shape[-1])
    o = orthogonal(x, eps, coefficients, steps)
    inputs, outputs = x.shape
    s = 0.2 * np.sqrt(max(inputs, outputs)) if scaling == "moonshot" else np.sqrt(max(1, outputs / inputs))
    return -learning_rate * (s * o.reshape(g.shape) + weight_decay * p), {"m": m}


def normuon(
    g,
    p,
    state,
    t,
    *,
    learning_rate,
    momentum=0.95,
    b2=0.95,
    eps=1e-7,
    weight_decay=0.0,
    fallback_learning_rate=3e-3,
    nesterov=True,
    coefficients="quintic",
    steps=5,
    scaling="keller",
    layouts=(),
):
    """github.com/zichongli5/NorMuon, its matrices turned over: a column is a neuron."""
    if g.ndim < 2:
        return adamw(g, p, state, t, learning_rate=fallback_learning_rate, b2=0.95, weight_decay=weight_decay)
    m = momentum * state.get("m", 0.0) + (1 - momentum) * g
    x = momentum * m + (1 - momentum) * g if nesterov else m
    x = x.reshape(-1, x.shape[-1])
    o = orthogonal(x, eps, coefficients, steps)
    inputs, outputs = x.shape
    v = b2 * state.get("v", 0.0) + (1 - b2) * np.mean(o**2, axis=0)
    n = o / (np.sqrt(v) + 1e-10)
    d = n * np.linalg.norm(o) / (np.linalg.norm(n) + 1e-10)
    s = 0.2 * np.sqrt(max(inputs, outputs)) if scaling == "moonshot" else np.sqrt(max(1, outputs / inputs))
    return -learning_rate * (s * d.reshape(g.shape) + weight_decay * p), {"m": m, "v": v}


REFERENCES = {"muon": muon, "normuon": normuon}

_KERNELS = (("kernel", "rrrc"),)
_POLAR = {"layouts": _KERNELS, "coefficients": "polar_express", "steps": 9, "nesterov": False, "scaling": "moonshot"}
_NUMBERS = {"momentum": 0.8, "eps": 1e-2, "weight_decay": 0.1, "fallback_learning_rate": 0.02}

SETTINGS = {
    "muon": [{"layouts": _KERNELS, "weight_decay": 0.1}, _POLAR, {"layouts": _KERNELS, **_NUMBERS}],
    "normuon": [_POLAR, {"layouts": _KERNELS, **_NUMBERS, "b2": 0.9}],
}

MUTANTS = {
    "muon": {
        "four steps": mutated(muon, "coefficients, steps)", "coefficients, steps - 1)"),
        "does not look ahead": mutated(muon, "if nesterov else m", "if not nesterov else m"),
        "looks ahead with the old average": mutated(muon, "momentum * m + (1", 'momentum * state.get("m", 0.0) + (1'),
        "gradients unweighted": mutated(muon, "0.0) + (1 - momentum) * g", "0.0) + g"),
        "PyTorch's scale of Flax's matrix": mutated(muon, "outputs / inputs", "inputs / outputs"),
        "scale of the kernel's window": mutated(muon, "inputs, outputs = x.shape", "inputs, outputs = g.shape[-2:]"),
        "decay not multiplied by the rate": mutated(
            muon,
            "-learning_rate * (s * o.reshape(g.shape) + weight_decay * p)",
            "-learning_rate * s * o.reshape(g.shape) - weight_decay * p",
        ),
        "one rate for all": mutated(muon, "learning_rate=fallback_learning_rate", "learning_rate=learning_rate"),
    },
    "normuon": {
        "rows for neurons": mutated(normuon, "np.mean(o**2, axis=0)", "np.mean(o**2, axis=1, keepdims=True)"),
        "mean square before the iteration": mutated(normuon, "np.mean(o**2", "np.mean(x**2"),
        "norm not kept": mutated(normuon, "n * np.linalg.norm(o) / (np.linalg.norm(n) + 1e-10)", "n"),
        "no memory of neurons": mutated(normuon, 'b2 * state.get("v", 0.0) + (1 - b2) * ', ""),
        "scale of the other side": mutated(normuon, "outputs / inputs", "inputs / outputs"),
    },
}
