"""The IDX format in which MNIST and its kin are published."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

_UNSIGNED_BYTE = 0x08


def read_idx(path: Path) -> UInt8[np.ndarray, "..."]:
    """The array of unsigned bytes that a gzipped IDX file holds.

    A file is two zero bytes, the type of its elements, the number of axes, each axis' length as four bytes
    with the highest first, and the elements in C order.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: the file is truncated, damaged, or in another format. The message names the file.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"{path}: truncated or damaged, or no gzip file ({error}); delete it and get it again"
        ) from None
    axes = content[3] if len(content) > 3 else 0
    header = 4 + 4 * axes
    if content[:3] != bytes([0, 0, _UNSIGNED_BYTE]) or len(content) < header:
        raise ValueError(f"{path}: begins with bytes {list(content[:4])}: accepted is an IDX file of unsigned bytes")
    shape = tuple(int(length) for length in np.frombuffer(content, ">u4", count=axes, offset=4))
    if len(content) - header != math.prod(shape):
        raise ValueError(
            f"{path}: promises {shape}, that is {math.prod(shape)} bytes, and holds {len(content) - header}"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
