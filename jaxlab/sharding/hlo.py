"""The text of a compiled program: its computations, how often each runs, and the types and groups it names."""

import functools
import math
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

Module = dict[str, list["Instruction"]]
"""The instructions of each computation, by its name."""


class Instruction(NamedTuple):
    """One line: ``%name = shape opcode(operands), attributes``."""

    name: str
    shape: str
    opcode: str
    operands: list[str]
    attributes: str


def parse(text: str) -> tuple[Module, str]:
    """The computations of a program, and the name of the one that is run."""
    module: Module = {}
    current: list[Instruction] = []
    entry = ""
    for line in text.splitlines():
        if head := re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\{\s*$", line):
            current = module.setdefault(head[2], [])
            entry = head[2] if head[1] else entry
        elif assigned := re.match(r"\s+(?:ROOT )?%?([\w.\-]+) = (.*)", line):
            current.append(_instruction(assigned[1], re.sub(r"/\*.*?\*/", "", assigned[2])))
    return module, entry


def _instruction(name: str, text: str) -> Instruction:
    end = _closing(text) if text.startswith("(") else text.index(" ")
    shape, (opcode, opening, rest) = text[:end], text[end:].strip().partition("(")
    end = _closing(opening + rest) - 2
    # A constant's value stands where others name their operands.
    operands = [part.split(" ")[-1].removeprefix("%") for part in split(rest[:end])]
    return Instruction(name, shape, opcode, operands, rest[end + 1 :])


def _closing(text: str) -> int:
    """The length of the parentheses that a text begins with."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if not depth:
            return place + 1
    return len(text)


def split(text: str) -> list[str]:
    """What commas separate, those inside brackets aside.

    >>> split("f32[2,3]{1,0}, (s32[], u8[4])")
    ['f32[2,3]{1,0}', '(s32[], u8[4])']
    """
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def executed(
    module: Module, name: str, times: int = 1, known: bool = True
) -> Iterator[tuple[str, Instruction, int, bool]]:
    """Every instruction that a computation runs, in it or in what it calls.

    Yields:
      The instruction's computation, the instruction, how often it runs, and whether that is known: a loop of unknown
      length counts as one turn, every branch of a conditional as taken.
    """
    for instruction in module.get(name, ()):
        yield name, instruction, times, known
        if instruction.opcode.endswith(("-done", "-update")):
            continue
        turns = turns_of(module, name, instruction) if instruction.opcode == "while" else 1
        sure = known and turns is not None and instruction.opcode != "conditional"
        for inner in called(instruction):
            yield from executed(module, inner, times * (1 if turns is None else turns), sure)


def called(instruction: Instruction) -> list[str]:
    """The computations that an instruction runs: a loop's, a fusion's, both branches of a conditional."""
    single = r"(?:calls|body|condition|true_computation|false_computation|to_apply)=%?([\w.\-]+)"
    several = re.findall(r"(?:branch_computations|called_computations)=\{([^}]*)\}", instruction.attributes)
    names = [name.removeprefix("%") for names in several for name in split(names)]
    return [*re.findall(single, instruction.attributes), *names]


def continues(instruction: Instruction, computation: list[Instruction]) -> bool:
    """Whether a collective was begun elsewhere: a TPU writes one again in every fusion that it runs beside."""
    begun = (one.operands for one in computation if '"AsyncCollectiveStart"' in one.attributes)
    return "chain_id=" in instruction.attributes and not any(instruction.name in names for names in begun)


def turns_of(module: Module, computation: str, loop: Instruction) -> int | None:
    """How often a loop turns, or None where nobody knows.

    The compiler says so, or the loop counts: a number that begins at a constant, grows by a constant and is compared
    with a constant.
    """
    if told := re.search(r'"known_trip_count":\{"n":"(\d+)"', loop.attributes):
        return int(told[1])
    condition, body = (re.search(rf"{part}=%?([\w.\-]+)", loop.attributes) for part in ("condition", "body"))
    if condition is None or body is None:
        return None
    inside = {one.name: one for one in module[condition[1]]}
    compared = [one for one in inside.values() if one.opcode == "compare" and "direction=LT" in one.attributes]
    if len(compared) != 1 or not all(operand in inside for operand in compared[0].operands):
        return None
    number, bound = (inside[operand] for operand in compared[0].operands)
    place = re.search(r"index=(\d+)", number.attributes)
    if number.opcode != "get-tuple-element" or place is None:
        return None
    before = _element(module[computation], loop.operands[0], int(place[1]))
    step = _element(module[body[1]], module[body[1]][-1].name, int(place[1]))
    added = [_constant(module[body[1]], name) for name in step.operands] if step and step.opcode == "add" else []
    steps = [number for number in added if number is not None]
    first = None if before is None else _constant(module[computation], before.name)
    last = _constant(module[condition[1]], bound.name)
    if first is None or last is None or len(steps) != 1 or steps[0] < 1:
        return None
    return max(0, math.ceil((last - first) / steps[0]))


def _element(instructions: list[Instruction], name: str, place: int) -> Instruction | None:
    """What stands at one place of a tuple."""
    here = {one.name: one for one in instructions}
    values = here.get(name)
    return here.get(values.operands[place]) if values is not None and values.opcode == "tuple" else None


def _constant(instructions: list[Instruction], name: str) -> int | None:
    """The integer that a name stands for, be it copied."""
    here = {one.name: one for one in instructions}
    while name in here and here[name].opcode in ("copy", "bitcast"):
        name = here[name].operands[0]
    found = here.get(name)
    if found is None or found.opcode != "constant" or not re.fullmatch(r"-?\d+", found.operands[0]):
        return None
    return int(found.operands[0])


def groups(attributes: str, devices: int) -> list[list[int]]:
    """Which devices talk with each other, by their places in the program's order; all with all if nothing is said.

    >>> groups("replica_groups={{0,1},{2,3}}", 4), groups("replica_groups=[2,2]<=[2,2]T(1,0)", 4)
    ([[0, 1], [2, 3]], [[0, 2], [1, 3]])
    >>> groups("replica_groups=mesh['a'=2,'b'=2] {'a'}", 4)
    [[0, 2], [1, 3]]
    """
    everyone = np.arange(devices)
    if iota := re.search(r"replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", attributes):
        shape, sizes, order = (numbers(part or "") for part in iota.groups())
        return everyone.reshape(sizes).transpose(order or None).reshape(shape).tolist()
    if named := re.search(r"replica_groups=mesh\[(.*?)\](?:, device_ids=\((.*?\)?)\))? \{(.*?)\}", attributes):
        return _groups_of_axes(named[1], named[2] or "", named[3], everyone)
    if explicit := re.search(r"replica_groups=\{(\{.*?\})\}", attributes):
        return [numbers(group) for group in re.findall(r"\{([\d,]+)\}", explicit[1])]
    return [everyone.tolist()]


def _groups_of_axes(mesh: str, order: str, axes: str, everyone: np.ndarray) -> list[list[int]]:
    """Groups along axes of a mesh, or parts of axes: ``'a':(1)2`` is the outer half of an axis of size 4."""
    if permuted := re.fullmatch(r"\[([\d,]+)\]T\(([\d,]+)\)", order):
        everyone = everyone.reshape(numbers(permuted[1])).transpose(numbers(permuted[2]))
    elif order:
        everyone = np.array(numbers(order))
    taken = {name: (pre, size) for name, pre, size in re.findall(r"'([^']+)'(?::\((\d+)\)(\d+))?", axes)}
    sizes: list[int] = []
    along: list[int] = []
    for name, text in re.findall(r"'([^']+)'=(\d+)", mesh):
        pre, size = taken.get(name, ("", ""))
        parts = [int(pre), int(size), int(text) // (int(pre) * int(size))] if size else [1, int(text), 1]
        if name in taken:
            along.append(len(sizes) + 1)
        sizes += parts
    across = [axis for axis in range(len(sizes)) if axis not in along]
    members = math.prod(sizes[axis] for axis in along)
    return everyone.reshape(sizes).transpose([*across, *along]).reshape(-1, members).tolist()


def pairs(attributes: str) -> list[list[int]]:
    """Who sends to whom in a permutation.

    >>> pairs("channel_id=1, source_target_pairs={{0,1},{1,0}}")
    [[0, 1], [1, 0]]
    """
    found = re.search(r"source_target_pairs=\{(\{.*?\})\}", attributes)
    return [numbers(pair) for pair in re.findall(r"\{([\d,]+)\}", found[1])] if found else []


def numbers(text: str) -> list[int]:
    """The integers between commas."""
    return [int(number) for number in text.split(",") if number]


def bytes_of(shape: str) -> float:
    """The bytes of all arrays in a type.

    >>> bytes_of("(f32[2,3]{1,0:T(8,128)}, bf16[5], s4[3], pred[])")
    36.5
    """
    arrays = re.findall(r"\b(\w+)\[([\d,]*)\]", shape)
    return sum(math.prod(numbers(sizes)) * _bits(dtype) / 8 for dtype, sizes in arrays)


@functools.cache
def _bits(dtype: str) -> int:
    """The bits of a number, which its name tells: f32, bf16, s4, f8e4m3fn, c64; a truth value takes a byte."""
    found = re.match(r"(?:bf|f|s|u|c)(\d+)", dtype)
    return int(found[1]) if found else 8 if dtype == "pred" else 0
