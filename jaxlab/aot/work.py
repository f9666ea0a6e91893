"""What each device does in one call of a compiled program: operations, and bytes from and to its memory."""

import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

from jaxlab.aot.contractions import flops_of
from jaxlab.sharding import hlo
from jaxlab.sharding.collectives import SHARE

FREE = {
    "add-dependency",
    "after-all",
    "bitcast",
    "constant",
    "get-tuple-element",
    "iota",
    "opt-barrier",
    "parameter",
    "partition-id",
    "replica-id",
    "tuple",
}
"""What reads and writes nothing: names for what is there, and numbers that are made where they are used."""
PARTS = {"dynamic-slice", "gather", "slice"}
"""What reads of its first operand only as much as it results in."""


class Work(NamedTuple):
    """One instruction, with all that it calls.

    Attributes:
      name, opcode: as the program has them.
      times: how often it runs in a call of the program.
      flops: of its matrix products and convolutions, each time.
      bytes: that it reads from and writes to the device's memory, each time. What lies in a core's own memory (a TPU's
        VMEM, to which a compiler copies ahead) costs nothing there; of a stack that a loop takes a layer from, the
        layer counts.
      beside: whether it runs beside others: a copy ahead, or a collective.
      exact: False where ``times`` is a guess: a loop of unknown length counts as one turn.
    """

    name: str
    opcode: str
    times: int
    flops: float
    bytes: float
    beside: bool
    exact: bool


def works(text: str) -> tuple[Work, ...]:
    """All instructions of a compiled program that do something, loops as often as they turn.

    Counted is what the program of one device really does: what is computed again for the backward pass, unless the
    compiler found that it need not be, and what several devices compute alike on each of them. Operations are those of
    matrix products and convolutions alone; a kernel of a library (``custom-call``) has none.

    Args:
      text: ``compiled.as_text()``.

    >>> import jax, jax.numpy as jnp
    >>> x = jnp.ones((8, 8))
    >>> powers = jax.jit(lambda x: jax.lax.scan(lambda y, _: (y @ x, None), x, length=5)[0])
    >>> sum(one.times * one.flops for one in works(powers.lower(x).compile().as_text())) == 5 * 2 * 8**3
    True
    """
    module, entry = hlo.parse(text)
    return tuple(_Reader(module).works(entry, 1, True))


class _Reader:
    """A program, and the types in each of its computations."""

    def __init__(self, module: hlo.Module) -> None:
        self.module = module
        self.shapes = functools.cache(lambda name: {one.name: one.shape for one in module.get(name, ())})
        self.flops = functools.cache(self._flops)

    def works(self, computation: str, times: int, known: bool) -> Iterator[Work]:
        for one in self.module.get(computation, ()):
            if one.opcode in FREE or one.opcode.endswith(("-done", "-update")):
                continue
            if one.opcode in ("while", "conditional", "call"):
                turns = hlo.turns_of(self.module, computation, one) if one.opcode == "while" else 1
                sure = known and turns is not None and one.opcode != "conditional"
                for called in hlo.called(one):
                    yield from self.works(called, times * (1 if turns is None else turns), sure)
                continue
            fused = [name for name in hlo.called(one) if one.opcode in ("fusion", "async-start")]
            flops = flops_of(one, self.shapes(computation)) + sum(map(self.flops, fused))
            beside = one.opcode.endswith("-start") or one.opcode in SHARE
            moved = self._read(computation, one, fused) + self._written(computation, one, fused)
            yield Work(one.name, one.opcode, times, flops, moved, beside, known)

    def _flops(self, computation: str) -> float:
        """Of a computation that is fused into one instruction, and of those that are fused into it."""
        total = 0.0
        for one in self.module.get(computation, ()):
            total += flops_of(one, self.shapes(computation))
            total += sum(map(self.flops, hlo.called(one))) if one.opcode in ("fusion", "call") else 0.0
        return total

    def _read(self, computation: str, one: hlo.Instruction, fused: list[str]) -> float:
        if one.opcode in ("slice-start", *PARTS):
            # As much as results from it; where a copy ahead lies is the second part of its type.
            result = _arrays(one.shape)[-2 if one.opcode.endswith("-start") else -1]
            return hlo.bytes_of(result) if _far(self.shapes(computation)[one.operands[0]]) else 0.0
        if one.opcode == "dynamic-update-slice":
            return _bytes(self.shapes(computation)[one.operands[1]])
        total = 0.0
        for place, name in enumerate(one.operands):
            shape = self.shapes(computation).get(name, "")
            if fused and _far(shape):
                total += min(_bytes(shape), self._used(fused[0], self._parameter(fused[0], place)))
            else:
                total += _bytes(shape)
        return total

    def _written(self, computation: str, one: hlo.Instruction, fused: list[str]) -> float:
        if one.opcode == "dynamic-update-slice":
            return hlo.bytes_of(self.shapes(computation)[one.operands[1]]) if _far(one.shape) else 0.0
        parts = hlo.split(one.shape[1:-1]) if one.shape.startswith("(") else [one.shape]
        if one.opcode.endswith("-start") and len(parts) > 1:
            # Such a type holds operands and results; a copy's result stands first, any other's second.
            return _bytes(parts[0 if one.opcode == "copy-start" else 1])
        made = self._made(fused[0]) if fused else []
        if len(made) != len(parts):
            return sum(map(_bytes, parts))
        return sum(min(_bytes(part), size) for part, size in zip(parts, made, strict=True))

    def _parameter(self, computation: str, place: int) -> str:
        here = (one for one in self.module[computation] if one.opcode == "parameter")
        return next((one.name for one in here if one.operands == [str(place)]), "")

    def _used(self, computation: str, name: str) -> float:
        """How many bytes of a value the instructions of a fused computation read."""
        total = 0.0
        for one in self.module[computation]:
            for place in (place for place, operand in enumerate(one.operands) if operand == name):
                if one.opcode in PARTS and not place:
                    total += hlo.bytes_of(one.shape)
                elif one.opcode == "dynamic-update-slice" and not place:
                    continue
                elif one.opcode == "bitcast":
                    total += self._used(computation, one.name)
                elif one.opcode == "fusion":
                    inner = hlo.called(one)[0]
                    total += self._used(inner, self._parameter(inner, place))
                else:
                    return float("inf")
        return total

    def _made(self, computation: str) -> list[float]:
        """How many bytes each result of a fused computation is written with: of a stack the layer that is new."""
        lines = {one.name: one for one in self.module[computation]}
        root = self.module[computation][-1]
        results = [lines[name] for name in root.operands] if root.opcode == "tuple" else [root]
        return [self._size(computation, lines, one) for one in results]

    def _size(self, computation: str, lines: dict[str, hlo.Instruction], one: hlo.Instruction) -> float:
        if one.opcode == "bitcast":
            return self._size(computation, lines, lines[one.operands[0]])
        if one.opcode == "dynamic-update-slice":
            return hlo.bytes_of(lines[one.operands[1]].shape)
        if one.opcode == "fusion" and not one.shape.startswith("("):
            return self._made(hlo.called(one)[0])[0]
        return hlo.bytes_of(one.shape)


def _arrays(shape: str) -> list[str]:
    """Every array of a type, with its layout."""
    return re.findall(r"\w+\[[\d,]*\](?:\{[^}]*\})?", shape)


def _far(shape: str) -> bool:
    """Whether an array lies in the device's memory: a layout names any other as ``S(1)`` and so on."""
    return not re.search(r"S\([1-9]\d*\)", shape)


def _bytes(shape: str) -> float:
    """The bytes of those arrays of a type that lie in the device's memory."""
    return sum(hlo.bytes_of(array) for array in _arrays(shape) if _far(array))
