"""Compile a training step for hardware that is not here, and read what it takes: memory, operations, links, time.

>>> from jaxlab import aot
>>> aot.slice_of("v5e:4x4").chip.memory // 2**30
16

With libtpu in the environment, ``aot.devices_of("v5e:4x4")`` are the devices of a mesh, a
:class:`~jaxlab.sharding.Layout` of it lays out ``abstract_state`` and ``make_train_step``, and
``aot.compile_for(step.lower(state, batch))`` is the executable that such a slice would run, or by how much it does not
fit. ``aot.read(compiled, mesh, chip)`` says what it takes of each chip. ``python -m experiments.plan`` does all of it.
"""

from jaxlab.aot.program import Memory, Misfit, Program, compile_for, misfit_of, read
from jaxlab.aot.roofline import Roofline, rate, roofline
from jaxlab.aot.slices import GENERATIONS, HOW_TO_GET_IT, Slice, devices_of, slice_of
from jaxlab.aot.work import Work, works

__all__ = [
    "GENERATIONS",
    "HOW_TO_GET_IT",
    "Memory",
    "Misfit",
    "Program",
    "Roofline",
    "Slice",
    "Work",
    "compile_for",
    "devices_of",
    "misfit_of",
    "rate",
    "read",
    "roofline",
    "slice_of",
    "works",
]
