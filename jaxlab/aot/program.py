"""A step compiled for devices that need not be here: what it takes of each, or by how much it does not fit."""

import re
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh

from jaxlab.aot.roofline import Roofline, roofline
from jaxlab.aot.work import works
from jaxlab.core.chips import Chip
from jaxlab.sharding.collectives import Collective, collectives

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class Memory(NamedTuple):
    """Bytes of a device's memory that a program takes.

    Attributes:
      arguments: parameters, optimizer state and batch.
      temporaries: what is alive between its instructions, at most.
      results: what does not take the place of an argument.
      program: its instructions.
    """

    arguments: int
    temporaries: int
    results: int
    program: int

    @property
    def peak(self) -> int:
        """All of it: what must be there for the program to run."""
        return sum(self)


class Program(NamedTuple):
    """What one call of a compiled program takes of each device.

    Attributes:
      memory: bytes that must be there.
      flops: of matrix products and convolutions, what is computed again and what several devices compute alike
        included (:func:`~jaxlab.aot.work.works`).
      bytes: read from and written to memory.
      collectives: what it sends to other devices.
      time: how long it takes, by an estimate (:mod:`~jaxlab.aot.roofline`).
      exact: whether the compiler said how often each loop turns.
    """

    memory: Memory
    flops: float
    bytes: float
    collectives: tuple[Collective, ...]
    time: Roofline
    exact: bool


class Misfit(NamedTuple):
    """A program that a compiler refused, for a device has not the memory.

    Attributes:
      needed: bytes that it would take at least: a compiler may stop at temporaries that are too large by themselves.
      available: bytes that the compiler may use, somewhat less than the chip has.
      message: what the compiler said, in its first line.
    """

    needed: int
    available: int
    message: str


def compile_for(lowered: Any) -> jax.stages.Compiled | Misfit:
    """Compiles a lowered program; that it does not fit is an answer.

    For chips that are not here libtpu refuses a program whose temporaries alone are too large: what it accepts fits
    only if :attr:`Memory.peak`, with the arguments, is below the chip's memory.

    Args:
      lowered: ``jax.jit(f).lower(...)``, of a step: ``make_train_step(...).lower(state, batch)``.
    """
    try:
        return lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        misfit = misfit_of(str(error))
        if misfit is None:
            raise
        return misfit


def misfit_of(message: str) -> Misfit | None:
    """What a compiler's error says of memory, None if it is another one.

    >>> found = misfit_of("RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 30.50G of 15.75G hbm.")
    >>> found.needed / 2**30, found.available / 2**30
    (30.5, 15.75)
    """
    size = r"([\d.]+)([KMGT]?)"
    early = re.search(rf"\({size}\) exceeds available \w+ \({size}\)", message)
    found = re.search(rf"Used {size} of {size} hbm", message) or early
    if "RESOURCE_EXHAUSTED" not in message or found is None:
        return None
    needed, available = (int(float(found[i]) * _UNITS[found[i + 1]]) for i in (1, 3))
    return Misfit(needed, available, message.strip().splitlines()[0])


def read(compiled: jax.stages.Compiled, mesh: Mesh, chip: Chip) -> Program:
    """What a compiled program takes.

    Args:
      compiled: by :func:`compile_for`.
      mesh: of its devices.
      chip: what each of them can do.
    """
    text = compiled.as_text() or ""
    sent, done = collectives(text, mesh), works(text)
    stats = compiled.memory_analysis()
    assert stats is not None
    memory = Memory(
        arguments=stats.argument_size_in_bytes,
        temporaries=stats.temp_size_in_bytes,
        results=stats.output_size_in_bytes - stats.alias_size_in_bytes,
        program=stats.generated_code_size_in_bytes,
    )
    return Program(
        memory=memory,
        flops=sum(one.times * one.flops for one in done),
        bytes=sum(one.times * one.bytes for one in done),
        collectives=sent,
        time=roofline(done, sent, mesh, chip),
        exact=all(one.exact for one in done) and all(one.exact for one in sent),
    )
