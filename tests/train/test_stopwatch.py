"""What exists is used again, under the settings that it was compiled for."""

import jax
import jax.numpy as jnp

from jaxlab.train.stopwatch import Stopwatch


def test_other_settings_are_another_executable():
    clock, x = Stopwatch(), jnp.ones((2, 2))
    product = jax.jit(lambda x: x @ x)
    for precision in ("default", "highest", "highest", "default"):
        with jax.default_matmul_precision(precision):
            clock.run(product, x)
    assert clock.compilations == 2
    device = jax.devices()[-1]
    with jax.default_device(device):
        assert clock.run(product, jnp.ones((2, 2))).devices() == {device}
    assert clock.compilations == 3
