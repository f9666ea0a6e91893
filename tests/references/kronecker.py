"""Optimizers that precondition both sides of a matrix, in float64 NumPy: one step of one matrix each."""

import numpy as np
from references.mutated import mutated


def shampoo(
    g,
    p,
    state,
    t,
    *,
    learning_rate,
    momentum=0.9,
    b2=0.99,
    eps=1e-8,
    damping=1e-6,
    weight_decay=0.0,
    graft="adam",
    nesterov=False,
    root=4,
    refresh=10,
):
    """Gupta et al. 2018, algorithm 1, with the averages, the graft and the momentum of Anil et al. 2020."""
    m, n = g.shape
    left, right, v = (
        state.get("l", np.zeros((m, m))),
        state.get("r", np.zeros((n, n))),
        state.get("v", np.zeros_like(g)),
    )
    old, new, bias = (1, 1, 1) if b2 is None else (b2, 1 - b2, 1 - b2**t)
    left, right = old * left + new * g @ g.T, old * right + new * g.T @ g
    v = old * v + new * g**2
    root_l, root_r = state.get("roots", (np.eye(m), np.eye(n)))
    if (t - 1) % refresh == 0:
        root_l, root_r = (_inverse_root(x / bias, root, damping) for x in (left, right))
    d = root_l @ g @ root_r
    if graft == "adam":
        d = d * np.linalg.norm(g / (np.sqrt(v / bias) + eps)) / np.linalg.norm(d)
    if graft == "rmsprop":
        d = d * np.linalg.norm(g / (np.sqrt(v) + eps)) / np.linalg.norm(d)
    if graft == "sgd":
        d = d * np.linalg.norm(g) / np.linalg.norm(d)
    buffer = momentum * state.get("m", 0.0) + d
    step = d + momentum * buffer if nesterov else buffer
    state = {"l": left, "r": right, "v": v, "roots": (root_l, root_r), "m": buffer}
    return -learning_rate * (step + weight_decay * p), state


def _inverse_root(a, root, damping):
    values, vectors = np.linalg.eigh(a)
    values = np.maximum(values, 0) + damping * np.mean(values)
    return vectors @ np.diag(values ** (-1 / root)) @ vectors.T


def soap(g, p, state, t, *, learning_rate, b1=0.95, b2=0.95, eps=1e-8, weight_decay=0.0, refresh=10, max_size=10000):
    """Vyas et al. 2024 as github.com/nikhilvyas/SOAP has it; weight decay is AdamW's."""
    zeros = [np.zeros((n, n)) for n in g.shape]
    sides = [(1 - b2) * gg + b2 * x for gg, x in zip((g @ g.T, g.T @ g), state.get("sides", zeros), strict=True)]
    decay = -learning_rate * weight_decay * p
    if t == 1:
        bases = [np.linalg.eigh(x)[1][:, ::-1] if len(x) <= max_size else np.eye(len(x)) for x in sides]
        return decay, {"sides": sides, "bases": bases, "m": np.zeros_like(g), "v": np.zeros_like(g)}
    q_l, q_r = state["bases"]
    m = b1 * state["m"] + (1 - b1) * g
    v = b2 * state["v"] + (1 - b2) * (q_l.T @ g @ q_r) ** 2
    d = q_l @ ((q_l.T @ m @ q_r) / (np.sqrt(v) + eps)) @ q_r.T
    d = d * np.sqrt(1 - b2 ** (t - 1)) / (1 - b1 ** (t - 1))
    if (t - 1) % refresh == 0:
        if len(q_l) <= max_size:
            order = np.argsort(-np.diag(q_l.T @ sides[0] @ q_l))
            v, q_l = v[order, :], np.linalg.qr(sides[0] @ q_l[:, order])[0]
        if len(q_r) <= max_size:
            order = np.argsort(-np.diag(q_r.T @ sides[1] @ q_r))
            v, q_r = v[:, order], np.linalg.qr(sides[1] @ q_r[:, order])[0]
    return -learning_rate * d + decay, {"sides": sides, "bases": [q_l, q_r], "m": m, "v": v}


def psgd_kron(
    g,
    p,
    state,
    t,
    *,
    learning_rate,
    b1=0.9,
    preconditioner_learning_rate=0.1,
    steepness_decay=0.9,
    damping=1e-9,
    clip=1.1,
    weight_decay=0.0,
    whiten="momentum",
    refresh=1,
    one_sided=False,
    ulp=0.0,
):
    """psgd_torch's update_precond_kron_whiten_quad, its noise in expectation; kron_torch's momentum and clipping."""
    rows, columns = g.shape
    m = b1 * state.get("m", 0.0) + (1 - b1) * g
    m_hat = m / (1 - b1**t)
    q_l, q_r, old = state.get("q", (np.eye(rows), np.eye(columns), (0.0, 0.0)))
    if (t - 1) % refresh == 0:
        x = m_hat if whiten == "momentum" else g
        if t == 1:
            scale = (np.mean(x**4) + damping**4) ** (-1 / 8)
            q_l, q_r = np.sqrt(scale) * q_l, np.sqrt(scale) * q_r
        p_l, p_r = q_l.T @ q_l, q_r.T @ q_r
        noise = damping + ulp * np.sqrt(np.mean(x**2))
        a = p_l @ x @ p_r
        flat_l, flat_r = one_sided and rows > columns, one_sided and columns >= rows
        t_l = a @ a.T + noise**2 * p_l @ p_l * np.sum(p_r**2)
        t_r = a.T @ a + noise**2 * p_r @ p_r * np.sum(p_l**2)
        rates = preconditioner_learning_rate, steepness_decay
        q_l, l_l = _quad(q_l, t_l, columns, *rates, old[0], flat_l)
        q_r, l_r = _quad(q_r, t_r, rows, *rates, old[1], flat_r)
        old = (l_l, l_r)
    d = q_l.T @ q_l @ m_hat @ q_r.T @ q_r
    d = d * min(1.0, clip / np.sqrt(np.mean(d**2)))
    return -learning_rate * (d + weight_decay * p), {"m": m, "q": (q_l, q_r, old)}


def _quad(q, term1, term2, rate, decay, old, diagonal):
    if diagonal:
        term1 = np.diag(np.diag(term1))
        steep = np.max(term1) + term2
    else:
        unit = term1.diagonal().max()
        a = term1 / unit
        v = a[np.argmax(np.linalg.norm(a, axis=1))]
        for _ in range(2):
            v = v @ a
            v = v / np.linalg.norm(v) @ a
        steep = unit * np.linalg.norm(v) + term2
    steepness = max(decay * old + (1 - decay) * steep, steep)
    p = q - rate / 2 / steepness * (term1 @ q - term2 * q)
    p = p - rate / 2 / steepness * (p @ term1 - p * term2)
    return (p + p.T) / 2, steepness


REFERENCES = {"shampoo": shampoo, "soap": soap, "psgd_kron": psgd_kron}

SETTINGS = {
    "shampoo": [
        {},
        {"b2": None, "graft": "none", "momentum": 0.0, "refresh": 1},
        {"graft": "sgd", "root": 2, "refresh": 3},
        {
            "momentum": 0.8,
            "b2": 0.9,
            "eps": 1e-2,
            "damping": 1e-3,
            "weight_decay": 0.2,
            "refresh": 3,
            "graft": "rmsprop",
        }
        | {"nesterov": True},
    ],
    "soap": [
        {},
        {"max_size": 4, "refresh": 2},
        {"b1": 0.8, "b2": 0.9, "eps": 1e-3, "weight_decay": 0.2, "refresh": 3},
    ],
    "psgd_kron": [
        {"refresh": 1},
        {"refresh": 3, "one_sided": True},
        {
            "b1": 0.8,
            "preconditioner_learning_rate": 0.5,
            "steepness_decay": 0.7,
            "damping": 0.1,
            "clip": 0.3,
            "weight_decay": 0.2,
            "whiten": "gradient",
            "refresh": 2,
        },
    ],
}
"""The defaults, other static arguments, and numbers that nobody uses, which also meet the mutants."""

_MISTAKES = {
    "shampoo": {
        "no graft": ('if graft == "rmsprop"', 'if graft == "never"'),
        "refreshes late": ("(t - 1) % refresh == 0", "t % refresh == 0"),
        "statistics begin at 1": ("(x / bias, root,", "(x / bias + 1, root,"),
        "only rows": ("d = root_l @ g @ root_r", "d = root_l @ g"),
        "momentum of the gradient": ("momentum * buffer if nesterov", "momentum * g if nesterov"),
        "eps inside": ("(np.sqrt(v) + eps)", "np.sqrt(v + eps)"),
    },
    "soap": {
        "bias of all steps": ("np.sqrt(1 - b2 ** (t - 1)) / (1 - b1 ** (t - 1))", "np.sqrt(1 - b2**t) / (1 - b1**t)"),
        "squares not permuted": ("v, q_l = v[order, :],", "v, q_l = v,"),
        "not turned back": ("@ q_r.T\n", "\n"),
        "momentum stays turned": ("(q_l.T @ m @ q_r)", "(state['bases'][0].T @ g @ q_r)"),
        "eps inside": ("(np.sqrt(v) + eps)", "np.sqrt(v + eps)"),
        "late bases": ("(t - 1) % refresh == 0", "t % refresh == 0"),
    },
    "psgd_kron": {
        "whitens the other": ('if whiten == "momentum"', 'if whiten != "momentum"'),
        "no clip": ("d = d * min(1.0, clip / np.sqrt(np.mean(d**2)))", "pass"),
        "applied once": ("d = q_l.T @ q_l @ m_hat @ q_r.T @ q_r", "d = q_l @ m_hat @ q_r"),
        "no damping": ("noise = damping", "noise = 0 * damping"),
        "biased mean": ("m_hat = m / (1 - b1**t)", "m_hat = m"),
        "size of a gradient of 1": ("** (-1 / 8)", "** 0"),
    },
}


def _first_step_moves(g, p, state, t, **numbers):
    state = state or soap(g, p, {}, 1, **numbers)[1]
    return soap(g, p, state, t + 1, **numbers)


MUTANTS = {
    name: {mistake: mutated(REFERENCES[name], *change) for mistake, change in mistakes.items()}
    for name, mistakes in _MISTAKES.items()
}
MUTANTS["soap"]["first step moves"] = _first_step_moves
