"""The variance of centred RMSprop in float32: kept by its own recursion, it is no difference of large numbers."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxlab import optimizers


def test_a_small_variance_around_a_large_mean():
    """Gradients of 1000 with a spread of 0.01: s - m^2 has no digit left in float32, and is negative at times."""
    b2, steps = 0.9, 400
    gradients = (1000 + 0.01 * np.random.default_rng(0).standard_normal((steps, 8))).astype(np.float32)
    tx = optimizers.scale_by_rms(b2=b2, centered=True)

    def step(state, g):
        state = tx.update(g, state)[1]
        return state, state.slots.v

    variances = jax.jit(lambda g: jax.lax.scan(step, tx.init(g[0]), g)[1])(jnp.asarray(gradients))

    def difference(dtype):
        b, s, m = np.dtype(dtype).type(b2), np.zeros(8, dtype), np.zeros(8, dtype)
        values = []
        for g in gradients.astype(dtype):
            s, m = b * s + (1 - b) * g**2, b * m + (1 - b) * g
            values.append(s - m**2)
        return np.stack(values)

    # The start at zero, a distance of 1000, is forgotten to 0.9^400.
    np.testing.assert_allclose(np.float64(variances[-1]), difference(np.float64)[-1], rtol=0.05)
    assert np.all(variances > 0)
    assert np.any(difference(np.float32) < 0)


def test_momentum_is_over_directions_with_the_rate_outside():
    """As PyTorch, unlike optax and TensorFlow: halving the rate halves the whole step at once."""
    tx = optimizers.rmsprop(lambda step: jnp.where(step < 1, 1.0, 0.5), b2=0.0, momentum=0.5)
    state = tx.init(jnp.ones(1))
    steps = []
    for _ in range(2):
        updates, state = tx.update(jnp.ones(1), state)
        steps.append(float(updates[0]))
    np.testing.assert_allclose(steps, [-1.0, -0.75], rtol=1e-6)
