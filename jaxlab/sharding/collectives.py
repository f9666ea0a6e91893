"""What devices send each other in a compiled program: kinds, mesh axes, how often, bytes."""

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh

from jaxlab.sharding import hlo

SHARE = {
    "all-reduce": lambda n: 2 * (n - 1) / n,
    "all-gather": lambda n: (n - 1) / n,
    "reduce-scatter": lambda n: (n - 1) / n,
    "all-to-all": lambda n: (n - 1) / n,
    "ragged-all-to-all": lambda n: (n - 1) / n,
    "collective-permute": lambda n: 1.0,
    "collective-broadcast": lambda n: 1.0,
}
"""The part of the whole array that each of n devices sends, by kind. The whole array is what a gather results in and
what every other kind begins with."""


class Collective(NamedTuple):
    """All collectives of one kind over the same mesh axes in one call of a program.

    Attributes:
      kind: ``"all-reduce"``, ``"all-gather"``, ``"reduce-scatter"``, ``"all-to-all"``, ``"collective-permute"``, or
        the rarer ``"ragged-all-to-all"``, ``"collective-broadcast"``.
      axes: the mesh axes along which devices talk; None where no mesh was given, or where the groups are not the
        devices of whole axes.
      devices: how many there are in a group; in a permutation, two.
      count: how often, each turn of a loop counted.
      sent: the bytes that each device sends in all of them together.
      exact: False where ``count`` and ``sent`` are guesses: a loop of unknown length counts as one turn, a branch of
        a conditional as taken.
    """

    kind: str
    axes: tuple[str, ...] | None
    devices: int
    count: int
    sent: float
    exact: bool


def collectives(compiled: Any, mesh: Mesh | None = None) -> tuple[Collective, ...]:
    r"""What devices send each other in one call of a compiled program, most bytes first.

    For an array of B bytes among n devices each sends, along a ring,

    .. math::
        \text{all-reduce: } 2 \tfrac{n-1}{n} B, \quad \text{all-gather, reduce-scatter, all-to-all: }
        \tfrac{n-1}{n} B, \quad \text{permute: } B,

    which is the least that is possible. What is begun, continued beside other work and ended counts once; an
    all-reduce of which a TPU keeps a slice, fused into one, is the reduce-scatter that it runs as. Loops count as often
    as they turn.

    Args:
      compiled: ``jax.jit(f).lower(...).compile()``, or its ``as_text()``; for CPU, GPU or TPU, be there one or not.
      mesh: that the program was compiled for, to name the axes.

    Raises:
      TypeError: neither a compiled program nor the text of one.
      ValueError: a mesh with another number of devices than the program has.

    >>> import jax
    >>> collectives(jax.jit(lambda x: x + 1).lower(1.0).compile())
    ()
    """
    text = compiled if isinstance(compiled, str) else compiled.as_text() if hasattr(compiled, "as_text") else ""
    head = re.search(r"^HloModule .*", text or "", re.MULTILINE)
    if head is None:
        raise TypeError(f"compiled = {compiled!r:.80}: accepted is jax.jit(f).lower(...).compile(), or its as_text()")
    devices = math.prod(int(size) for size in re.findall(r"(?:num_partitions|replica_count)=(\d+)", head[0]))
    if mesh is not None and devices not in (1, mesh.size):
        raise ValueError(f"mesh = {dict(mesh.shape)}: accepted is that of the program, which runs on {devices} devices")
    module, entry = hlo.parse(text)
    found: defaultdict[tuple[str, tuple[str, ...] | None, int, bool], list[tuple[int, float]]] = defaultdict(list)
    for place, instruction, times, known in hlo.executed(module, entry):
        kind = instruction.opcode.removesuffix("-start")
        if kind not in SHARE or hlo.continues(instruction, module[place]):
            continue
        pairs = hlo.pairs(instruction.attributes)
        groups = pairs or hlo.groups(instruction.attributes, devices)
        size = max(map(len, groups))
        if kind == "all-reduce" and place.startswith("all-reduce-scatter"):
            kind = "reduce-scatter"
        sent = SHARE[kind](size) * _whole(instruction, size)
        axes = None if mesh is None else axes_of(groups, mesh, whole=not pairs)
        found[kind, axes, size, known].append((times, times * sent))
    every = [
        Collective(*key[:3], sum(times for times, _ in parts), sum(sent for _, sent in parts), key[3])
        for key, parts in found.items()
    ]
    return tuple(sorted(every, key=lambda one: -one.sent))


def bytes_sent(found: Sequence[Collective], *kinds: str, axes: tuple[str, ...] | None = None) -> float:
    """The bytes that each device sends in some collectives.

    Args:
      found: by :func:`collectives`.
      kinds: only these; by default all.
      axes: only what goes along exactly these mesh axes.

    >>> found = Collective("all-gather", ("data",), 4, 1, 96.0, True), Collective("all-reduce", (), 2, 1, 8.0, True)
    >>> bytes_sent(found), bytes_sent(found, "all-gather"), bytes_sent(found, axes=("tensor",))
    (104.0, 96.0, 0.0)
    """
    chosen = (one.sent for one in found if (not kinds or one.kind in kinds) and axes in (None, one.axes))
    return math.fsum(chosen)


def axes_of(groups: list[list[int]], mesh: Mesh, *, whole: bool = True) -> tuple[str, ...] | None:
    """The mesh axes along which the members of some group differ.

    Args:
      groups: of places in the mesh's order of devices.
      mesh: whose axes are sought.
      whole: then None where a group is not all devices along its axes, as the pairs of a permutation need not be.
    """
    sizes = tuple(mesh.shape.values())
    places = [np.unravel_index(group, sizes) for group in groups]
    taken = [axis for axis in range(len(sizes)) if any(len(set(place[axis].tolist())) > 1 for place in places)]
    along = math.prod(sizes[axis] for axis in taken)
    if whole and any(len(group) != along for group in groups):
        return None
    return tuple(mesh.axis_names[axis] for axis in taken)


def _whole(instruction: hlo.Instruction, devices: int) -> float:
    """Bytes of the whole array, from the type of the result."""
    shape = instruction.shape
    kind = instruction.opcode.removesuffix("-start")
    if kind != instruction.opcode and kind != "all-reduce":
        # Such a type holds the operands, the results, and what the device needs meanwhile.
        shape = hlo.split(shape[1:-1])[1]
    return hlo.bytes_of(shape) * (devices if kind == "reduce-scatter" else 1)
