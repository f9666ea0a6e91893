"""The multiplications and additions of a matrix product or a convolution, from a line of a compiled program."""

import functools
import math
import re

import numpy as np

from jaxlab.sharding.hlo import Instruction, numbers


def sizes_of(shape: str) -> list[int]:
    """The sizes of the array in a type.

    >>> sizes_of("bf16[2,512]{1,0:T(8,128)}")
    [2, 512]
    """
    found = re.search(r"\[([\d,]*)\]", shape)
    return numbers(found[1]) if found else []


def flops_of(instruction: Instruction, shapes: dict[str, str]) -> float:
    """Operations of one instruction, two for each product that is summed; ``dot`` and ``convolution`` alone have any.

    A compiler for TPUs writes all matrix products as convolutions, several at once as one with gaps, of which only
    those places count that hold numbers.

    Args:
      instruction: of a compiled program.
      shapes: the types of what stands in the same computation, by name.
    """
    if instruction.opcode == "dot":
        contracted = _numbers_of("lhs_contracting_dims", instruction.attributes)
        left = sizes_of(shapes[instruction.operands[0]])
        return 2.0 * math.prod(sizes_of(instruction.shape)) * math.prod(left[axis] for axis in contracted)
    if instruction.opcode == "convolution":
        left, right = (sizes_of(shapes[name]) for name in instruction.operands[:2])
        return _convolution(instruction.attributes, left, right, sizes_of(instruction.shape))
    return 0.0


def _numbers_of(name: str, attributes: str) -> list[int]:
    found = re.search(rf"{name}=\{{([\d,]*)\}}", attributes)
    return numbers(found[1]) if found else []


def _convolution(attributes: str, left: list[int], right: list[int], out: list[int]) -> float:
    labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", attributes)
    assert labels is not None, attributes
    of_left, of_right, of_out = labels.groups()
    spatial = sorted(letter for letter in of_out if letter.isdigit())
    window = re.search(r"window=\{(.*?)\}", attributes)
    settings = dict(re.findall(r"(\w+)=([\dx_\-]+)", window[1] if window else ""))

    def setting(name: str, axis: int, default: str) -> str:
        return settings[name].split("x")[axis] if name in settings else default

    places = 1
    for axis, letter in enumerate(spatial):
        low = int(setting("pad", axis, "0_0").partition("_")[0])
        stride, gap, spread = (int(setting(name, axis, "1")) for name in ("stride", "lhs_dilate", "rhs_dilate"))
        size, taken, made = left[of_left.index(letter)], right[of_right.index(letter)], out[of_out.index(letter)]
        places *= _places(size, taken, made, stride, low, gap, spread)
    groups = {name: int(n) for name, n in re.findall(r"(feature|batch)_group_count=(\d+)", attributes)}
    summed = left[of_left.index("f")] // groups.get("feature", 1)
    examples = left[of_left.index("b")] // groups.get("batch", 1)
    return 2.0 * summed * out[of_out.index("f")] * examples * places


@functools.lru_cache(maxsize=1024)
def _places(size: int, taken: int, made: int, stride: int, low: int, gap: int, spread: int) -> int:
    """How many pairs of a result's place and a window's place fall on a number, along one axis."""
    if (taken, stride, low, gap) == (1, 1, 0, 1):
        return made
    at = np.arange(made)[:, None] * stride - low + np.arange(taken) * spread
    return int(np.count_nonzero((at >= 0) & (at <= (size - 1) * gap) & (at % gap == 0)))
