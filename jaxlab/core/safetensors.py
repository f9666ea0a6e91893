"""The format of safetensors: the length of a header, the header in JSON, and the bytes of the arrays, without holes.

It holds no code, and is read without running any. https://github.com/huggingface/safetensors describes it.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import jax.numpy as jnp
import numpy as np

DTYPES = {
    **{f"F{8 * size}": np.dtype(f"<f{size}") for size in (8, 4, 2)},
    **{f"I{8 * size}": np.dtype(f"<i{size}") for size in (8, 4, 2, 1)},
    **{f"U{8 * size}": np.dtype(f"<u{size}") for size in (8, 4, 2, 1)},
    "BOOL": np.dtype(bool),
    "C64": np.dtype("<c8"),
    "BF16": jnp.dtype("bfloat16"),
    "F8_E4M3": jnp.dtype("float8_e4m3fn"),
    "F8_E5M2": jnp.dtype("float8_e5m2"),
}
"""NumPy's types by the format's names for them."""

METADATA = "__metadata__"
_CODES = {dtype: code for code, dtype in DTYPES.items()}
_LENGTH = 8
_MOST_AXES, _MOST_ELEMENTS = 64, 1 << 60


class Contents(NamedTuple):
    """What a file holds.

    Attributes:
      arrays: by name, read-only.
      metadata: texts by name.
      data: the bytes of all arrays.
    """

    arrays: dict[str, np.ndarray]
    metadata: dict[str, str]
    data: memoryview


def header_of(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """What stands before the arrays in a file; :func:`data_of` is what follows it.

    Raises:
      TypeError: an array of a type that the format does not have.

    >>> len(header_of({"w": np.ones(2, np.float32)}, {"from": "a test"})) % 8
    0
    """
    named: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    end = 0
    for name in _order(arrays):
        begin, end = end, end + arrays[name].nbytes
        code = _CODES.get(arrays[name].dtype)
        if code is None or name == METADATA:
            raise TypeError(f"array {name!r} is {arrays[name].dtype}: accepted are {', '.join(map(str, _CODES))}")
        named[name] = {"dtype": code, "shape": [*arrays[name].shape], "data_offsets": [begin, end]}
    text = json.dumps(named, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _LENGTH)
    return len(text).to_bytes(_LENGTH, "little") + text


def data_of(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of arrays: wide numbers first, so that all lie at multiples of their size."""
    return b"".join(np.ascontiguousarray(arrays[name]).tobytes() for name in _order(arrays))


def _order(arrays: Mapping[str, np.ndarray]) -> list[str]:
    return sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))


def is_safetensors(beginning: bytes) -> bool:
    """Whether a file that begins so, with nine bytes or more, is of this format, whole or not.

    >>> is_safetensors(header_of({}, {})), is_safetensors(b"PK is another")
    (True, False)
    """
    # The header is text that begins with a brace, and no header has a length of more than four bytes.
    return beginning[4:_LENGTH] == b"\0\0\0\0" and beginning[_LENGTH : _LENGTH + 1] == b"{"


def read(path: str | Path) -> Contents:
    """Reads a file of this format, whoever wrote it.

    Raises:
      OSError: there is no such file, or it cannot be read.
      ValueError: a file of another kind, one that is cut off, or whose header does not describe what follows it: types
        that are unknown, shapes of other sizes, places that overlap, leave holes or lie beyond the end.
    """
    whole = memoryview(Path(path).read_bytes())
    begin = _LENGTH + int.from_bytes(whole[:_LENGTH], "little")
    try:
        header = json.loads(bytes(whole[_LENGTH:begin]).decode(), object_pairs_hook=_distinct)
    except (ValueError, RecursionError):
        header = None
    if len(whole) < begin or not isinstance(header, dict):
        size = f"{len(whole)} bytes, {begin} of them header" if len(whole) > _LENGTH else f"{len(whole)} bytes"
        raise ValueError(f"{path} ({size}) has no header of safetensors: accepted is a whole file of that format")
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError(f"{path} has the metadata {metadata!r:.200}: accepted are texts by name")
    entries = {name: _entry(path, name, entry) for name, entry in header.items()}
    data, end = whole[begin:], 0
    for name, (_, _, start, stop) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if start != end:
            raise ValueError(f"{path}: array {name!r} begins at byte {start}: accepted is {end}, where another ends")
        end = stop
    if end != len(data):
        raise ValueError(
            f"{path} holds {len(data)} bytes of arrays, its header counts {end}: accepted is a whole file, as it was "
            "written"
        )
    arrays = {
        name: np.frombuffer(data[start:stop], dtype).reshape(shape)
        for name, (dtype, shape, start, stop) in entries.items()
    }
    return Contents(arrays, metadata, data)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name twice")
    return dict(pairs)


def _entry(path: str | Path, name: str, entry: Any) -> tuple[np.dtype, tuple[int, ...], int, int]:
    """An array's type, shape and place, as the header says them, if they agree."""
    known = entry if isinstance(entry, dict) else {}
    code, shape, place = (known.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(code, str) or not _are_sizes(shape) or not _are_sizes(place) or len(place) != 2:
        raise ValueError(f"{path}: array {name!r} is {entry!r:.200}: accepted are dtype, shape and two data_offsets")
    if code not in DTYPES:
        raise ValueError(f"{path}: array {name!r} has the dtype {code!r}: accepted are {', '.join(DTYPES)}")
    # Of no elements it may be that NumPy has no room for the sizes that are not 0.
    if len(shape) > _MOST_AXES or math.prod(filter(None, shape)) >= _MOST_ELEMENTS:
        raise ValueError(f"{path}: array {name!r} has the shape {shape!r:.200}: accepted are those that NumPy has")
    size = math.prod(shape) * DTYPES[code].itemsize
    if place[1] - place[0] != size:
        raise ValueError(
            f"{path}: array {name!r}, {code} of shape {shape}, lies in bytes {place}: accepted is room for {size}"
        )
    return DTYPES[code], tuple(shape), place[0], place[1]


def _are_sizes(values: Any) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)
