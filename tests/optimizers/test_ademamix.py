"""What AdEMAMix has beyond its transcription: warm-ups of traced lengths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import optimizers


def _second(tx):
    """The second of two updates."""
    params = jnp.ones(3)
    _, state = tx.update(jnp.arange(1.0, 4.0), tx.init(params), params)
    return tx.update(jnp.arange(3.0, 0.0, -1.0), state, params)[0]


@pytest.mark.parametrize("warmup", ["alpha_warmup", "b3_warmup"])
def test_warm_ups_of_ademamix_trace_in_their_lengths(warmup):
    """One program, several lengths; after its end a warm-up is as if there had been none."""

    @jax.jit
    def second(length):
        tx = optimizers.ademamix(0.1, b3=0.99, alpha=5.0, **{warmup: length})
        return _second(tx)

    without = _second(optimizers.ademamix(0.1, b3=0.99, alpha=5.0))
    np.testing.assert_allclose(second(1.0), without, rtol=1e-6)
    assert float(jnp.max(jnp.abs(second(8.0) - without))) > 1e-4
    assert second._cache_size() == 1
