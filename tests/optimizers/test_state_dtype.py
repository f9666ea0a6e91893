"""State in few bits goes on forgetting, and training with it goes where float32 goes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import optimizers
from jaxlab.core import storage, tree

STEPS, ELEMENTS = 2000, 256


def _after_zero_gradients(tx, slot: str) -> np.ndarray:
    """A slot that stood at one, after 2,000 gradients of zero."""
    grads = jnp.zeros(ELEMENTS)
    state = tx.init(grads)
    # Of a chain the direction's state comes first.
    before, ones = getattr(state[0].slots, slot), storage.Slot(jnp.ones(ELEMENTS), signed=slot == "m")
    kept = f"int{before.bits}" if isinstance(before, storage.Blocks) else str(before.dtype)
    slots = state[0].slots._replace(**{slot: storage.encode(ones, kept, "ones")})
    state = (state[0]._replace(slots=slots), *state[1:])

    @jax.jit
    def run(state):
        return jax.lax.scan(lambda state, _: (tx.update(grads, state)[1], None), state, length=STEPS)[0]

    return np.asarray(storage.decode(getattr(run(state)[0].slots, slot)), np.float64)


@pytest.mark.parametrize(
    ("tx", "slot"),
    [
        (optimizers.adam(0.1, b2=0.999, state_dtype="bfloat16"), "v"),
        (optimizers.rmsprop(0.1, b2=0.999, state_dtype="bfloat16"), "v"),
        (optimizers.rmsprop(0.1, b2=0.999, centered=True, state_dtype="bfloat16"), "m"),
        (optimizers.adamax(0.1, b2=0.999, state_dtype="bfloat16"), "u"),
        (optimizers.lion(0.1, b2=0.999, weight_decay=0.0, state_dtype="bfloat16"), "m"),
        (optimizers.adam(0.1, b2=0.999, state_dtype="int8"), "v"),
        (optimizers.adam(0.1, b2=0.999, state_dtype="int4"), "v"),
        (optimizers.lion(0.1, b2=0.999, weight_decay=0.0, state_dtype="int8"), "m"),
        (optimizers.lion(0.1, b2=0.999, weight_decay=0.0, state_dtype="int4"), "m"),
    ],
    ids=["adam", "rmsprop", "centred", "adamax", "lion", "adam-int8", "adam-int4", "lion-int8", "lion-int4"],
)
def test_averages_decay(tx, slot):
    if slot == "m":
        inner = tx
        tx = type(tx)(inner.init, lambda g, s: inner.update(g, s, g))
    kept = _after_zero_gradients(tx, slot)
    # 0.999^2000 = 0.1352; the mean of 256 elements, each rounded without bias 2,000 times.
    assert kept.mean() == pytest.approx(0.999**STEPS, rel=0.05)


def test_nearest_rounding_never_decays():
    """The negative control: what would happen without stochastic rounding, float32 arithmetic or not."""

    def step(v, _):
        return (0.999 * v.astype(jnp.float32)).astype(jnp.bfloat16), None

    v, _ = jax.lax.scan(step, jnp.ones(ELEMENTS, jnp.bfloat16), length=STEPS)
    assert np.all(np.asarray(v, np.float32) == 1.0)


RATES = {
    **dict.fromkeys(("momentum", "nesterov", "rmsprop", "adam", "adamw"), 0.02),
    **dict.fromkeys(("adamax", "nadam", "amsgrad", "radam", "adafactor"), 0.02),
    "adagrad": 0.3,
    "adadelta": 10.0,
}


TOLERANCES = {"bfloat16": 0.05, "int8": 0.12, "int4": 0.8}
"""Of the distance that is left, from 16 at the start to about 1: by then it is the noise of a constant rate."""
BLOCKS = [(name, bits) for name in RATES for bits in ("int8", "int4")]
# Blocks are the engine's: of the pairs of optimizer and format a seventh stands for all by day.
PAIRS = [(name, "bfloat16") for name in RATES] + [
    pytest.param(*pair, marks=() if number % 7 == 0 else pytest.mark.nightly) for number, pair in enumerate(BLOCKS)
]


@pytest.mark.parametrize(("name", "state_dtype"), PAIRS)
def test_a_quadratic_is_descended_as_in_float32(name, state_dtype):
    curvature = jnp.logspace(-1, 0, ELEMENTS)

    def distance_after(state_dtype):
        tx = optimizers.get(name).factory(RATES[name], state_dtype=state_dtype)

        def step(carry, _):
            x, state = carry
            updates, state = tx.update(curvature * x, state, x)
            return (x + updates, state), None

        x = jnp.ones(ELEMENTS)
        (x, state), _ = jax.jit(lambda c: jax.lax.scan(step, c, length=60))((x, tx.init(x)))
        kept = {leaf.dtype for leaf in jax.tree.leaves(state[0].slots) if leaf.ndim}
        return float(tree.global_norm(x)), kept

    low, kept = distance_after(state_dtype)
    assert kept == {jnp.dtype("bfloat16" if state_dtype == "bfloat16" else "uint8")}
    assert low == pytest.approx(distance_after("float32")[0], rel=TOLERANCES[state_dtype], abs=0.01)
