"""How a population is laid out, decided before it runs: how many take turns, how many are vectorised."""

import dataclasses
from collections.abc import Hashable
from typing import NamedTuple

import numpy as np
from jaxtyping import PyTree

from jaxlab.core import hyper
from jaxlab.sweep import layout as layouts
from jaxlab.sweep import memory
from jaxlab.sweep.beginning import Beginning
from jaxlab.sweep.layout import Layout
from jaxlab.sweep.program import MEMBER, Pieces, Program, Shared, compile_pieces, compile_start, put, shapes
from jaxlab.train.stopwatch import Stopwatch


class Plan(NamedTuple):
    """The layout, the trial that chose it, places and bytes of a device, and the groups that take turns there."""

    layout: Layout
    trial: dict[str, float] | None
    size: int
    groups: int
    bytes: int


def groups_by_shape(
    program: Program, beginning: Beginning, shared: Shared, *, test: PyTree, limit: int | None, places: int
) -> int:
    """How many equal groups there must be at least: their states and what they share have to fit. Nothing is compiled.

    Args:
      program, beginning, shared, test, limit, places: as for :func:`arrange`; shapes will do.

    Raises:
      ValueError: one member a device does not fit.
    """
    devices, common = program.mesh.size, memory.of_arrays((shared, test))
    member = memory.of_arrays(shapes(program, devices, beginning)[1]._replace(step=())) // devices
    groups = memory.fewest_groups(places, devices, shared=common, member=member, memory=limit)
    if limit is not None and not groups:
        raise _too_small(common + member, limit)
    return groups


def arrange(
    program: Program,
    beginning: Beginning,
    shared: Shared,
    *,
    test: PyTree,
    layout: Layout,
    limit: int | None,
    places: int,
    groups: int,
    clock: Stopwatch,
) -> Plan:
    """Finds the fewest equal groups that fit the memory and, where it is asked to, the fastest layout.

    Args:
      program: whose ``width`` is still to be decided.
      beginning: of all members.
      shared: the task's, on every device whole.
      test: what comes to lie there as well, for the last evaluation; None: nothing.
      layout: what was asked for.
      limit: bytes of a device; None: enough.
      places: for members, on all devices together.
      groups: at least so many.
      clock: counts what is compiled and what a trial takes.

    Raises:
      ValueError: one member a device does not fit.
    """
    devices, members, extra = program.mesh.size, len(beginning.keys), memory.of_arrays(test)
    common = memory.of_arrays(shared) + extra
    while True:
        size = -(-places // (groups * devices))
        subject = _subject(program, size)
        tried = layouts.tried.get(subject)
        asked = (layout,) if layout != "auto" else (layouts.fastest(tried),) if tried else layouts.candidates(size)
        start = compile_start(program, size * devices, beginning, clock)
        pieces = {
            name: compile_pieces(in_layout(program, name), size * devices, beginning, shared, clock) for name in asked
        }
        needed = {name: max(start + common, found.bytes + extra) for name, found in pieces.items()}
        fitting = [name for name in asked if limit is None or needed[name] <= limit]
        if fitting or limit is None:
            break
        least = min(needed.values())
        if size == 1:
            raise _too_small(least, limit)
        groups = max(2 * groups, -(-groups * (least - common) // (limit - common)))
    groups = -(-members // (size * devices))
    if layout == "auto" and not tried and len(fitting) > 1:
        first = beginning.of(np.resize(np.array_split(np.arange(members), groups)[0], size * devices))
        tried = {str(name): _trial(in_layout(program, name), pieces[name], first, shared, clock) for name in fitting}
        layouts.tried[subject] = tried
    chosen = layouts.fastest(tried) if layout == "auto" and tried else fitting[0]
    return Plan(chosen, tried if layout == "auto" else None, size, groups, needed[chosen])


def _subject(program: Program, size: int) -> Hashable:
    # The optimizer is left out: how well members fill a device is decided by model and batch.
    device, devices = program.mesh.devices.flat[0], program.mesh.size
    return device.platform, device.device_kind, devices, program.loss, program.batch_size, size, program.options


def in_layout(program: Program, layout: Layout) -> Program:
    """The program in a layout."""
    return dataclasses.replace(program, width=layouts.width(layout))


def _trial(program: Program, pieces: Pieces, beginning: Beginning, shared: Shared, clock: Stopwatch) -> float:
    """Seconds a step, timed on real initial states that are then thrown away."""
    apart = Stopwatch()
    states = [apart.run(program.start(), *put(program.mesh, tuple(beginning), MEMBER))]

    def stretch(steps: int) -> None:
        states[0], _ = apart.call(pieces.advance, states[0], shared, np.int32(steps))

    seconds = layouts.seconds_per_step(stretch)
    clock.compiling += apart.running
    return seconds


def _too_small(needed: int, limit: int) -> hyper.RunError:
    return hyper.RunError(
        f"memory = {limit} ({memory.text(limit)}): one member a device needs {needed} bytes ({memory.text(needed)})"
    )
