"""Transcriptions with one mistake each, of the kind that optimizers are really shipped with.

The agreement check must refuse every one of them against the real optimizer; a check that lets one pass
has no teeth.
"""

import numpy as np
from references import optimizers as paper
from references.optimizers import REFERENCES, SETTINGS

__all__ = ["MUTANTS", "REFERENCES", "SETTINGS"]


def _ascends(g, p, state, t, *, learning_rate):
    return learning_rate * g, state


def _normalises(g, p, state, t, *, learning_rate):
    return -learning_rate * g / (np.linalg.norm(g) + 1e-30), state


def _rate_inside_velocity(g, p, state, t, *, learning_rate, momentum=0.9, nesterov=False):
    # Equal while the rate is constant: only a schedule tells.
    v = momentum * state.get("v", 0.0) + learning_rate * g
    return -(learning_rate * g + momentum * v if nesterov else v), {"v": v}


def _dampened(g, p, state, t, *, learning_rate, momentum=0.9, nesterov=False):
    v = momentum * state.get("v", 0.0) + (1 - momentum) * g
    return -learning_rate * (g + momentum * v if nesterov else v), {"v": v}


def _looks_ahead_with_old_velocity(g, p, state, t, *, learning_rate, momentum=0.9, nesterov=True):
    old = state.get("v", 0.0)
    return -learning_rate * (g + momentum * old), {"v": momentum * old + g}


def _forgets_lookahead(g, p, state, t, *, learning_rate, momentum=0.9, nesterov=True):
    return paper.momentum(g, p, state, t, learning_rate=learning_rate, momentum=momentum)


def _adagrad_eps_inside(g, p, state, t, *, learning_rate, eps=1e-10, initial_accumulator=0.0):
    s = state.get("s", initial_accumulator) + g**2
    return -learning_rate * g / np.sqrt(s + eps), {"s": s}


def _adagrad_one_step_late(g, p, state, t, *, learning_rate, eps=1e-10, initial_accumulator=0.0):
    s = state.get("s", initial_accumulator)
    return -learning_rate * g / (np.sqrt(s) + eps), {"s": s + g**2}


def _adagrad_ignores_start(g, p, state, t, *, learning_rate, eps=1e-10, initial_accumulator=0.0):
    return paper.adagrad(g, p, state, t, learning_rate=learning_rate, eps=eps)


def _adadelta_variant(*, eps_inside=True, rate_inside=False, new_numerator=False, numerator=True):
    def step(g, p, state, t, *, learning_rate, b2=0.9, eps=1e-6):
        v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
        x = state.get("x", 0.0)
        root = np.sqrt(v + eps) if eps_inside else np.sqrt(v) + eps
        above = (np.sqrt(x + eps) if eps_inside else np.sqrt(x) + eps) if numerator else 1.0
        d = above / root * g
        x = b2 * x + (1 - b2) * (learning_rate * d if rate_inside else d) ** 2
        if new_numerator:
            d = np.sqrt(x + eps) / root * g
        return -learning_rate * d, {"v": v, "x": x}

    return step


def _rmsprop_variant(*, eps_inside=False, debias=False, start=0.0, velocity="after", centered=True, numerator="g"):
    def step(g, p, state, t, *, learning_rate, b2=0.9, eps=1e-8, momentum=0.0, **static):
        v = b2 * state.get("v", start) + (1 - b2) * g**2
        m = b2 * state.get("m", 0.0) + (1 - b2) * g
        w = state.get("w", 0.0)
        if velocity == "before":
            w = momentum * w + g
        spread = v - m**2 if centered else v
        spread = spread / (1 - b2**t) if debias else spread
        root = np.sqrt(spread + eps) if eps_inside else np.sqrt(spread) + eps
        d = {"g": w if velocity == "before" else g, "centred": g - m}[numerator] / root
        if velocity == "after":
            w = momentum * w + d
        if velocity == "rate inside":
            w = momentum * w + learning_rate * d
        update = {
            "before": -learning_rate * d,
            "after": -learning_rate * w,
            "rate inside": -w,
            "none": -learning_rate * d,
        }
        return update[velocity], {"v": v, "m": m, "w": w}

    return step


def _adamax_variant(*, debias_m=True, debias_u=False, eps_after=False, summed=False):
    def step(g, p, state, t, *, learning_rate, b1=0.9, b2=0.999, eps=0.0):
        m = b1 * state.get("m", 0.0) + (1 - b1) * g
        past, new = b2 * state.get("u", 0.0), np.abs(g) + (0.0 if eps_after else eps)
        u = past + (1 - b2) * new if summed else np.maximum(past, new)
        u_hat = (u + eps if eps_after else u) / (1 - b2**t if debias_u else 1)
        return -learning_rate * m / (1 - b1**t if debias_m else 1) / u_hat, {"m": m, "u": u}

    return step


def _nadam_variant(*, warms=True, ahead=1, product=True, mean="b1", eps_inside=False, late_v=False):
    def step(g, p, state, t, *, learning_rate, b1=0.9, b2=0.999, eps=1e-8, momentum_decay=4e-3):
        mus = [b1 * (1 - 0.5 * 0.96 ** (i * momentum_decay) if warms else 1) for i in range(1, t + 3)]
        mu, mu_next = mus[t - 1], mus[t - 1 + ahead]
        b = mu if mean == "mu" else b1
        m = b * state.get("m", 0.0) + (1 - b) * g
        v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
        held = [np.prod(mus[:n]) if product else mus[n - 1] ** n for n in (t, t + ahead)]
        m_bar = mu_next * m / (1 - held[1]) + (1 - mu) * g / (1 - held[0])
        v_hat = (b2 if late_v else 1) * v / (1 - b2**t)
        root = np.sqrt(v_hat + eps) if eps_inside else np.sqrt(v_hat) + eps
        return -learning_rate * m_bar / root, {"m": m, "v": v}

    return step


def _amsgrad_variant(*, largest="raw", debias=True, eps_inside=False):
    def step(g, p, state, t, *, learning_rate, b1=0.9, b2=0.999, eps=1e-8):
        m = b1 * state.get("m", 0.0) + (1 - b1) * g
        v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
        m_hat, held = (m / (1 - b1**t), 1 - b2**t) if debias else (m, 1.0)
        now = v / held if largest == "debiased" else v
        top = np.maximum(state.get("top", 0.0), now)
        v_hat = top if largest == "debiased" else top / held
        root = np.sqrt(v_hat + eps) if eps_inside else np.sqrt(v_hat) + eps
        return -learning_rate * m_hat / root, {"m": m, "v": v, "top": top}

    return step


def _radam_variant(*, threshold=5.0, rectifies=True, eps_debiased=False, debias_m=True, count_from=1):
    def step(g, p, state, t, *, learning_rate, b1=0.9, b2=0.999, eps=1e-8):
        m = b1 * state.get("m", 0.0) + (1 - b1) * g
        v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
        m_hat = m / (1 - b1**t) if debias_m else m
        n, rho_inf = t + count_from - 1, 2 / (1 - b2) - 1
        rho = rho_inf - 2 * n * b2**n / (1 - b2**n)
        if rho <= threshold:
            return -learning_rate * m_hat, {"m": m, "v": v}
        r = np.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)) if rectifies else 1.0
        weight = np.sqrt(1 - b2**t)
        root = np.sqrt(v) / weight + eps if eps_debiased else (np.sqrt(v) + eps) / weight
        return -learning_rate * r * m_hat / root, {"m": m, "v": v}

    return step


def _adafactor_variant(
    *, constant_b2=False, eps_late=False, clips="leaf", scales=True, normalises=True, factors=True, decay="rate"
):
    def step(g, p, state, t, *, learning_rate, b2_power, eps, clip, min_scale, weight_decay, min_factored):
        b2 = 1 - (2.0 if constant_b2 and t > 1 else t) ** -b2_power
        square = g**2 if eps_late else g**2 + eps
        if g.ndim >= 2 and factors:
            r = b2 * state.get("r", 0.0) + (1 - b2) * np.mean(square, axis=-1)
            c = b2 * state.get("c", 0.0) + (1 - b2) * np.mean(square, axis=-2)
            total = np.mean(r, axis=-1)[..., None, None] if normalises else np.mean(r)
            v, state = r[..., :, None] * c[..., None, :] / total, {"r": r, "c": c}
        else:
            v = b2 * state.get("v", 0.0) + (1 - b2) * square
            state = {"v": v}
        u = g / np.sqrt(v + eps if eps_late else v)
        scale = max(min_scale, np.sqrt(np.mean(p**2))) if scales else 1.0
        if clips == "scaled":
            u = scale * u / max(1.0, np.sqrt(np.mean((scale * u) ** 2)) / clip)
        else:
            u = scale * (np.clip(u, -clip, clip) if clips == "element" else u / max(1.0, np.sqrt(np.mean(u**2)) / clip))
        amount = {"rate": learning_rate, "unscaled": 1.0, "scaled": learning_rate * scale}[decay]
        return -learning_rate * u - amount * weight_decay * p, state

    return step


def _adam_variant(*, debias_m=True, debias_v=True, eps_inside=False, count_from=1, decay="none"):
    def step(g, p, state, t, *, learning_rate, b1=0.9, b2=0.999, eps=1e-8, weight_decay=0.0):
        g = g + weight_decay * p if decay == "coupled" else g
        m = b1 * state.get("m", 0.0) + (1 - b1) * g
        v = b2 * state.get("v", 0.0) + (1 - b2) * g**2
        n = t + count_from - 1
        m_hat = m / (1 - b1**n) if debias_m else m
        v_hat = v / (1 - b2**n) if debias_v else v
        root = np.sqrt(v_hat + eps) if eps_inside else np.sqrt(v_hat) + eps
        update = -learning_rate * m_hat / root
        if decay == "decoupled":
            update = update - learning_rate * weight_decay * p
        if decay == "independent":
            update = update - weight_decay * p
        if decay == "grows":
            update = update + learning_rate * weight_decay * p
        return update, {"m": m, "v": v}

    return step


def _betas_swapped(step):
    return lambda g, p, state, t, *, b1, b2, **rest: step(g, p, state, t, b1=b2, b2=b1, **rest)


def _lion_one_average(g, p, state, t, *, learning_rate, b1=0.9, b2=0.99, weight_decay=0.0):
    m = b1 * state.get("m", 0.0) + (1 - b1) * g
    return -learning_rate * (np.sign(m) + weight_decay * p), {"m": m}


def _lion_sign_of_new_average(g, p, state, t, *, learning_rate, b1=0.9, b2=0.99, weight_decay=0.0):
    m = b2 * state.get("m", 0.0) + (1 - b2) * g
    return -learning_rate * (np.sign(m) + weight_decay * p), {"m": m}


def _lion_decay_unscaled(g, p, state, t, *, learning_rate, b1=0.9, b2=0.99, weight_decay=0.0):
    step, state = paper.lion(g, p, state, t, learning_rate=learning_rate, b1=b1, b2=b2)
    return step - weight_decay * p, state


MUTANTS = {
    "gradient_descent": {"ascends": _ascends, "normalises the gradient": _normalises},
    "sgd": {
        "rate inside the velocity": _rate_inside_velocity,
        "dampened velocity": _dampened,
    },
    "momentum": {
        "rate inside the velocity": _rate_inside_velocity,
        "dampened velocity": _dampened,
        "looks ahead": paper.nesterov,
    },
    "nesterov": {
        "looks ahead with the old velocity": _looks_ahead_with_old_velocity,
        "does not look ahead": _forgets_lookahead,
        "rate inside the velocity": lambda *a, **k: _rate_inside_velocity(*a, nesterov=True, **k),
    },
    "adagrad": {
        "eps inside the root": _adagrad_eps_inside,
        "accumulates after the step": _adagrad_one_step_late,
        "ignores the initial accumulator": _adagrad_ignores_start,
    },
    "adadelta": {
        "eps outside the roots": _adadelta_variant(eps_inside=False),
        "the average of steps sees the rate": _adadelta_variant(rate_inside=True),
        "numerator of this step": _adadelta_variant(new_numerator=True),
        "no numerator": _adadelta_variant(numerator=False),
    },
    "rmsprop": {
        "eps inside the root": _rmsprop_variant(eps_inside=True),
        "debiased": _rmsprop_variant(debias=True),
        "average begins at one": _rmsprop_variant(start=1.0),
        "not centred": _rmsprop_variant(centered=False),
        "centres the gradient too": _rmsprop_variant(numerator="centred"),
        "velocity before the division": _rmsprop_variant(velocity="before"),
        "rate inside the velocity": _rmsprop_variant(velocity="rate inside"),
        "no velocity": _rmsprop_variant(velocity="none"),
    },
    "adamax": {
        "mean not debiased": _adamax_variant(debias_m=False),
        "maximum debiased": _adamax_variant(debias_u=True),
        "eps after the maximum": _adamax_variant(eps_after=True),
        "a sum for the maximum": _adamax_variant(summed=True),
        "betas swapped": _betas_swapped(paper.adamax),
    },
    "nadam": {
        "the paper's average": _nadam_variant(mean="mu"),
        "the paper's second moment": _nadam_variant(late_v=True),
        "momentum does not warm up": _nadam_variant(warms=False),
        "does not look ahead": _nadam_variant(ahead=0),
        "a power for the product": _nadam_variant(product=False),
        "eps inside the root": _nadam_variant(eps_inside=True),
    },
    "amsgrad": {
        "maximum of debiased averages": _amsgrad_variant(largest="debiased"),
        "not debiased": _amsgrad_variant(debias=False),
        "no maximum": paper.adam,
        "eps inside the root": _amsgrad_variant(eps_inside=True),
    },
    "radam": {
        "rectifies from 4": _radam_variant(threshold=4.0),
        "never rectifies": _radam_variant(rectifies=False),
        "eps added to the debiased root": _radam_variant(eps_debiased=True),
        "mean not debiased": _radam_variant(debias_m=False),
        "length counts from two": _radam_variant(count_from=2),
    },
    "adafactor": {
        "decay of the average is constant": _adafactor_variant(constant_b2=True),
        "eps added last": _adafactor_variant(eps_late=True),
        "clips by element": _adafactor_variant(clips="element"),
        "clips after scaling": _adafactor_variant(clips="scaled"),
        "no scale of the parameter": _adafactor_variant(scales=False),
        "one total for all matrices of a leaf": _adafactor_variant(normalises=False),
        "factors nothing": _adafactor_variant(factors=False),
        "decay not multiplied by the rate": _adafactor_variant(decay="unscaled"),
        "decay in units of the parameter": _adafactor_variant(decay="scaled"),
    },
    "adam": {
        "eps inside the root": _adam_variant(eps_inside=True),
        "first moment not debiased": _adam_variant(debias_m=False),
        "second moment not debiased": _adam_variant(debias_v=False),
        "debias counts from two": _adam_variant(count_from=2),
        "betas swapped": _betas_swapped(paper.adam),
    },
    "adamw": {
        "decay coupled to the gradient": _adam_variant(decay="coupled"),
        "decay not multiplied by the rate": _adam_variant(decay="independent"),
        "decay grows the parameters": _adam_variant(decay="grows"),
        "no decay": _adam_variant(),
        "eps inside the root": _adam_variant(eps_inside=True, decay="decoupled"),
        "second moment not debiased": _adam_variant(debias_v=False, decay="decoupled"),
    },
    "lion": {
        "one average for both": _lion_one_average,
        "sign of the new average": _lion_sign_of_new_average,
        "betas swapped": _betas_swapped(paper.lion),
        "decay not multiplied by the rate": _lion_decay_unscaled,
    },
}
"""Optimizer name to what is wrong to the wrong transcription."""
