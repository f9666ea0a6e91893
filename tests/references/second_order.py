"""Directions of the second-order methods in float64 NumPy, each by another road than jaxlab's, and wrong ones.

All parameters are one vector here. L-BFGS multiplies out the dense inverse Hessian that the two-loop recursion
avoids, Newton and Gauss-Newton solve their linear systems.
"""

import numpy as np


def lbfgs(g, p, state, *, memory_size=10, skip=True, gamma="newest", drop="oldest", order=1):
    """The BFGS formula on gamma I with the last pairs (Nocedal and Wright, equations 6.17 and 7.20)."""
    pairs = state.get("pairs", [])
    if "p" in state:
        s, y = p - state["p"], g - state["g"]
        if s @ y > 0 or not skip:
            pairs = [*pairs, (s, y)]
            pairs = pairs[-memory_size:] if drop == "oldest" else pairs[:memory_size]
    h = _gamma(pairs, gamma) * np.eye(g.size)
    for s, y in pairs[::order]:
        v = np.eye(g.size) - np.outer(y, s) / (s @ y)
        h = v.T @ h @ v + np.outer(s, s) / (s @ y)
    return h @ g, {"p": p, "g": g, "pairs": pairs}


def _gamma(pairs, which):
    if not pairs or which == "one":
        return 1.0
    s, y = pairs[0] if which == "oldest" else pairs[-1]
    return s @ s / (s @ y) if which == "long" else s @ y / (y @ y)


def _lbfgs_variant(**changes):
    return lambda g, p, state, **settings: lbfgs(g, p, state, **settings | changes)


LBFGS_MUTANTS = {
    "initial matrix is the identity": _lbfgs_variant(gamma="one"),
    "initial matrix from the oldest pair": _lbfgs_variant(gamma="oldest"),
    "Barzilai and Borwein's other scale": _lbfgs_variant(gamma="long"),
    "keeps pairs of negative curvature": _lbfgs_variant(skip=False),
    "forgets the newest": _lbfgs_variant(drop="newest"),
    "loops in the wrong order": _lbfgs_variant(order=-1),
    "one pair too many": lambda g, p, state, memory_size: lbfgs(g, p, state, memory_size=memory_size + 1),
}


def newton(g, hessian, *, damping=0.0):
    """|H| by the square root of H squared, and not by the eigenvalues' signs; then a linear solve."""
    values, basis = np.linalg.eigh(hessian @ hessian)
    size = basis @ np.diag(np.sqrt(values)) @ basis.T
    return np.linalg.solve(size + damping * np.eye(g.size), g)


NEWTON_MUTANTS = {
    "climbs to the saddle": lambda g, hessian, *, damping: np.linalg.solve(hessian + damping * np.eye(g.size), g),
    "no damping": lambda g, hessian, *, damping: newton(g, hessian, damping=0.0),
    "damped before the absolute value": lambda g, hessian, *, damping: newton(g, hessian + damping * np.eye(g.size)),
    "divides by the diagonal": lambda g, hessian, *, damping: g / (np.abs(np.diag(hessian)) + damping),
}


def gauss_newton(g, jacobian, *, damping=0.0):
    """The solution of least norm: Levenberg's system as ordinary least squares."""
    normal = 2 / len(jacobian) * jacobian.T @ jacobian + damping * np.eye(g.size)
    return np.linalg.lstsq(normal, g, rcond=1e-10)[0]


def _sum_of_squares(g, jacobian, *, damping):
    return np.linalg.lstsq(2 * jacobian.T @ jacobian + damping * np.eye(g.size), g, rcond=1e-10)[0]


def _half(g, jacobian, *, damping):
    return np.linalg.lstsq(jacobian.T @ jacobian / len(jacobian) + damping * np.eye(g.size), g, rcond=1e-10)[0]


def _marquardt(g, jacobian, *, damping):
    normal = 2 / len(jacobian) * jacobian.T @ jacobian
    return np.linalg.lstsq(normal + damping * np.diag(np.diag(normal)), g, rcond=1e-10)[0]


GAUSS_NEWTON_MUTANTS = {
    "the sum of the squares, not their mean": _sum_of_squares,
    "half of the mean": _half,
    "no damping": lambda g, jacobian, *, damping: gauss_newton(g, jacobian, damping=0.0),
    "Marquardt's scaled damping": _marquardt,
}
