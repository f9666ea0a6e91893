"""A modifier and its transcription side by side: the same gradients, steps that add up, agreement at each."""

import jax
import jax.numpy as jnp
import numpy as np

SHAPES = {"bias": (4,), "conv": (3, 2, 5), "kernel": (3, 4)}
STEPS = 6
RATE = 0.1


def gradients(t: int) -> dict:
    rng = np.random.default_rng(t)
    return {name: rng.standard_normal(shape) * 0.5 * t for name, shape in SHAPES.items()}


def start() -> dict:
    rng = np.random.default_rng(100)
    return {name: rng.standard_normal(shape) for name, shape in SHAPES.items()}


def distance(tx, transcription, **extra) -> float:
    """The largest relative distance of a step from the transcription's.

    Args:
      tx: the modifier.
      transcription: ``(grads, params, t) -> updates``, dicts of float64 arrays; it keeps what it has to keep.
      extra: further arguments of ``update``.
    """
    params = {name: jnp.asarray(p, jnp.float32) for name, p in start().items()}
    state, exact = tx.init(params), {name: np.float64(p) for name, p in params.items()}
    update, worst = jax.jit(tx.update), 0.0
    for t in range(1, STEPS + 1):
        grads = {name: jnp.asarray(g, jnp.float32) for name, g in gradients(t).items()}
        steps, state = update(grads, state, {name: jnp.asarray(p, jnp.float32) for name, p in exact.items()}, **extra)
        wanted = transcription({name: np.float64(g) for name, g in grads.items()}, exact, t)
        for name, step in steps.items():
            assert step.dtype == jnp.float32
            off = np.linalg.norm(np.float64(step) - wanted[name])
            worst = max(worst, float(off / max(np.linalg.norm(wanted[name]), 1e-30)))
        # Both go on from the same point: agreement is that of single steps.
        exact = {name: np.float64(np.float32(exact[name] + wanted[name])) for name in exact}
    return worst


class Inner:
    """An optimizer of ``references.optimizers`` for a dict of arrays."""

    def __init__(self, step, **numbers):
        self.step, self.numbers, self.states = step, numbers, {}

    def __call__(self, name, g, p, t):
        u, self.states[name] = self.step(g, p, self.states.get(name, {}), t, **self.numbers)
        return u
