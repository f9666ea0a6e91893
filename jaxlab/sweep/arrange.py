"""How a population is laid out, decided before it runs: how many take turns, how many are vectorised."""

import dataclasses
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from jaxlab.sweep import layout as layouts
from jaxlab.sweep import memory
from jaxlab.sweep.layout import Layout
from jaxlab.sweep.program import MEMBER, SHARED, Beginning, Pieces, Program, compile_pieces, put
from jaxlab.train.stopwatch import Stopwatch


class Plan(NamedTuple):
    """The layout, the trial that chose it, the places a device, and the groups that take turns there."""

    layout: Layout
    trial: dict[str, float] | None
    size: int
    groups: int


def arrange(
    program: Program,
    beginning: Beginning,
    data: PyTree,
    *,
    layout: Layout,
    limit: int | None,
    places: int,
    clock: Stopwatch,
) -> Plan:
    """Finds the fewest equal groups that fit the memory and, where it is asked to, the fastest layout.

    Args:
      program: whose ``width`` is still to be decided.
      beginning: of all members.
      data: the task's.
      layout: what was asked for.
      limit: bytes of a device; None: enough.
      places: for members, on all devices together.
      clock: counts what is compiled and what a trial takes.

    Raises:
      ValueError: one member a device does not fit.
    """
    devices, shared = program.mesh.size, memory.of_arrays(data)
    some = jax.eval_shape(program.start(), *beginning.of(np.arange(devices) % len(beginning.keys)))
    member = memory.of_arrays(some._replace(step=())) // devices
    groups = memory.fewest_groups(places, devices, shared=shared, member=member, memory=limit)
    if limit is not None and not groups:
        raise _too_small(shared + member, limit)
    while True:
        size = -(-places // (groups * devices))
        subject = (
            *(program.mesh.devices.flat[0].platform, program.mesh.devices.flat[0].device_kind, devices),
            *(program.loss, program.batch_size, size, program.options),
        )
        tried = layouts.tried.get(subject)
        asked = (layout,) if layout != "auto" else (layouts.fastest(tried),) if tried else layouts.candidates(size)
        pieces = {
            name: compile_pieces(in_layout(program, name), size * devices, beginning, data, clock) for name in asked
        }
        fitting = {name: found for name, found in pieces.items() if limit is None or found.bytes <= limit}
        if fitting:
            break
        least = min(found.bytes for found in pieces.values())
        if size == 1 or limit is None:
            raise _too_small(least, limit or 0)
        groups = min(places, max(2 * groups, -(-groups * (least - shared) // (limit - shared))))
    if layout == "auto" and not tried and len(fitting) > 1:
        first = beginning.of(np.resize(np.arange(-(-len(beginning.keys) // groups)), size * devices))
        tried = {str(name): _trial(program, found, first, data, clock) for name, found in fitting.items()}
        layouts.tried[subject] = tried
    chosen = layouts.fastest(tried) if layout == "auto" and tried else next(iter(fitting))
    return Plan(chosen, tried if layout == "auto" else None, size, groups)


def in_layout(program: Program, layout: Layout) -> Program:
    """The program in a layout."""
    return dataclasses.replace(program, width=layouts.width(layout))


def _trial(program: Program, pieces: Pieces, beginning: Beginning, data: PyTree, clock: Stopwatch) -> float:
    """Seconds a step, timed on real initial states that are then thrown away."""
    data = put(program.mesh, data, SHARED)
    apart = Stopwatch()
    states = [apart.call(pieces.start, *put(program.mesh, tuple(beginning), MEMBER))]

    def stretch(steps: int) -> None:
        states[0], _ = apart.call(pieces.advance, states[0], data, np.int32(steps))

    seconds = layouts.seconds_per_step(stretch)
    clock.compiling += apart.running
    return seconds


def _too_small(needed: int, limit: int) -> ValueError:
    return ValueError(
        f"memory = {limit} ({memory.text(limit)}): one member a device needs {needed} bytes ({memory.text(needed)})"
    )
