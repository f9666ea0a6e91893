"""Rotary positions and causal attention in float64 NumPy, one position at a time."""

import numpy as np


def rotated(x, base):
    """Pairs of features as complex numbers, turned by multiplication: x is [length, size]."""
    length, size = x.shape
    pairs = x[:, : size // 2] + 1j * x[:, size // 2 :]
    for t in range(length):
        for i in range(size // 2):
            pairs[t, i] *= np.exp(1j * t * base ** (-2 * i / size))
    return np.concatenate([pairs.real, pairs.imag], axis=1)


def attended(x, query, key, value, out, heads, base=10_000.0, qk_norm=False):
    """Causal attention of one sequence [length, width], position by position."""

    def turned(features):
        if qk_norm:
            features = features / np.sqrt(np.mean(features**2, -1, keepdims=True) + 1e-6)
        return rotated(features, base)

    length, width = x.shape
    size = width // heads
    gathered = np.zeros((length, width))
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        q, k, v = turned((x @ query)[:, part]), turned((x @ key)[:, part]), (x @ value)[:, part]
        for t in range(length):
            scores = np.exp(np.array([q[t] @ k[s] for s in range(t + 1)]) / np.sqrt(size))
            gathered[t, part] = scores / scores.sum() @ v[: t + 1]
    return gathered @ out
