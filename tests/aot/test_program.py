"""What compilers say when memory is short, and what a program takes."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from jaxlab import aot
from jaxlab.core.chips import chip_of

USED = (
    "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory space hbm. Used 30.05G of 15.75G "
    "hbm. Exceeded hbm capacity by 14.30G.\n\nTotal hbm usage >= 30.55G:"
)
EARLY = (
    "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO temporaries (895.62G) exceeds "
    "available HBM (15.75G)."
)


@pytest.mark.parametrize(("message", "needed"), [(USED, 30.05), (EARLY, 895.62)])
def test_a_step_that_does_not_fit_is_an_answer(message, needed):
    def refuse():
        raise jax.errors.JaxRuntimeError(message)

    found = aot.compile_for(SimpleNamespace(compile=refuse))
    assert isinstance(found, aot.Misfit)
    assert found.needed == pytest.approx(needed * 2**30, abs=1)
    assert found.available == 15.75 * 2**30
    assert found.message.startswith("RESOURCE_EXHAUSTED")
    assert "\n" not in found.message


def test_other_errors_are_raised():
    def fail():
        raise jax.errors.JaxRuntimeError("INVALID_ARGUMENT: no such thing (1G)")

    with pytest.raises(jax.errors.JaxRuntimeError, match="no such thing"):
        aot.compile_for(SimpleNamespace(compile=fail))


def test_what_a_program_takes():
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:1])
    x = jnp.ones((64, 64))
    compiled = jax.jit(lambda a, b: (a + 1, a @ b), donate_argnums=0).lower(x, x).compile()
    chip = chip_of("TPU v5e")
    found = aot.read(compiled, mesh, chip)
    size = 64 * 64 * 4
    # One of the results takes the place of the argument that is given away.
    assert (found.memory.arguments, found.memory.results) == (2 * size, pytest.approx(size, abs=64))
    assert found.memory.peak == sum(found.memory) >= 3 * size
    assert found.flops == 2 * 64**3
    assert found.time.compute == pytest.approx(found.flops / chip.peak_flops)
    assert found.time.memory == pytest.approx(found.bytes / chip.bandwidth)
    assert found.bytes >= 4 * size
    assert found.collectives == ()
    assert found.exact
