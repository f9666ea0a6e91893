"""The rectification in float32: where its formula cancels, an equal one is taken."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import optimizers
from jaxlab.optimizers.radam import average_length

STEPS = [*range(1, 60), *range(60, 3000, 37), 10**4, 10**5, 10**6]


def _exact(b2: np.float32, t: int) -> float:
    """The paper's formula of the very b2 that float32 holds, in rational numbers; late powers in float64."""
    b = Fraction(float(b2))
    most = 2 / (1 - b) - 1
    if t > 400:
        return float(most) - 2 * t * float(b2) ** t / -np.expm1(t * np.log(float(b2)))
    return float(most - 2 * t * b**t / (1 - b**t))


@pytest.mark.parametrize("b2", [0.9, 0.99, 0.999, 0.9999])
def test_length_of_the_average(b2):
    b2 = np.float32(b2)
    lengths = jax.jit(jax.vmap(average_length, (None, 0)))(b2, jnp.asarray(STEPS, jnp.float32))
    wanted = [_exact(b2, t) for t in STEPS]
    np.testing.assert_allclose(np.float64(lengths), wanted, rtol=4e-6)


def test_the_plain_formula_loses_three_digits():
    """The negative control."""
    b2, t = jnp.float32(0.999), jnp.float32(6)
    plain = 2 / (1 - b2) - 1 - 2 * t * b2**t / (1 - b2**t)
    assert abs(float(plain) / _exact(np.float32(0.999), 6) - 1) > 1e-4


@pytest.mark.parametrize(("b2", "first"), [(0.999, 6), (0.9, 6), (0.7, 10), (0.5, None), (0.0, None)])
def test_when_it_begins_to_normalise(b2, first):
    """Where a gradient of ten no longer gives a direction of ten; up to 2/3 the average never holds enough."""
    tx = optimizers.scale_by_radam(b1=0.0, b2=b2)
    state, began = tx.init(jnp.zeros(1)), None
    for t in range(1, 30):
        direction, state = tx.update(jnp.full(1, 10.0), state)
        assert bool(jnp.isfinite(direction[0]))
        if began is None and float(direction[0]) < 9.9:
            began = t
    assert began == first
