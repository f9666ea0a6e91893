"""Files that ``torch.save`` wrote, read without PyTorch and without running anything that they hold."""

import functools
import io
import math
import mmap
import os
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import numpy as np

from jaxlab.transfer import torch_pickle
from jaxlab.transfer.torch_pickle import Storage, Tensor

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_DEEPEST, _LONGEST = 100, 1000
_DAMAGED = (ValueError, EOFError, OSError, struct.error, zipfile.BadZipFile, NotImplementedError)
"""What is raised about a file of another kind, or one that is not whole, here and in ``zipfile``."""


class _Saved(NamedTuple):
    """A file taken apart: what was saved, its pickle's length, a storage's bytes by its key, and their order."""

    value: Any
    length: int
    load: Callable[[str], bytes]
    order: str


def read_torch(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The tensors of a checkpoint that ``torch.save`` wrote, by name.

    Such a file is a pickle, which could run anything when it is loaded; this reader runs nothing. It admits tensors in
    dicts, lists and tuples, beside numbers and texts, which it leaves out. Both formats are read: zip (PyTorch 1.6 and
    newer) and the one before.

    A tensor inside several containers is named by the way to it: ``{"model": {"fc.weight": ...}}`` gives
    ``"model.fc.weight"``, and the third of a list in ``"layers"`` is ``"layers.2"``.

    Args:
      path: the file, often ``.pth``, ``.pt`` or ``.bin``.

    Returns:
      Read-only arrays in the dtypes of the file (bfloat16 and float8 are those of ``ml_dtypes``). Tensors that share
      numbers in the file share them here, so all together hold no more than the file does.

    Raises:
      OSError: no such file.
      ValueError: the file is none of PyTorch's, is cut off, claims more than it holds, holds something else than
        tensors, dicts, lists, numbers and texts (which is named), or no tensor, or two of one name.

    Reference: https://docs.pytorch.org/docs/stable/notes/serialization.html.

    >>> import pickle, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "weights.pth"
    >>> _ = path.write_bytes(pickle.dumps({"weight": print}))
    >>> read_torch(path)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
      ...
    ValueError: ...weights.pth holds the global builtins.print, which is no tensor. Accepted are tensors, ...
    """
    file = Path(path)
    with file.open("rb") as opened:
        if not os.fstat(opened.fileno()).st_size:
            raise ValueError(f"{file} is empty: accepted is a file that torch.save wrote")
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                if content[:4] != b"PK\x03\x04":
                    return _arrays(_older(content))
                with zipfile.ZipFile(opened) as archive:
                    return _arrays(_newer(archive, len(content)))
            except torch_pickle.NotTensorsError as error:
                raise ValueError(
                    f"{file} holds {error}. Accepted are tensors, dicts, lists, numbers and texts, and nothing else "
                    "was imported or run: ask for the state dict alone, or for a safetensors file"
                ) from None
            except _DAMAGED as error:
                said = "cut off or changed" if isinstance(error, EOFError | OSError | struct.error) else error
                raise ValueError(f"{file}: {said}. Accepted is a whole file that torch.save wrote") from None


def _newer(archive: zipfile.ZipFile, size: int) -> _Saved:
    """The format of PyTorch 1.6 and newer: a zip with the pickle and one entry for each storage, not compressed."""
    infos = {info.filename: info for info in archive.infolist()}
    claimed = sum(info.file_size for info in archive.infolist())
    if claimed > size:
        raise ValueError(f"a zip whose entries claim {claimed} bytes, in a file of {size}")

    def entry(name: str) -> bytes:
        if name not in infos:
            raise ValueError(f"a zip without the entry {name!r}")
        if infos[name].compress_type != zipfile.ZIP_STORED or infos[name].flag_bits & 1:
            raise ValueError(f"a zip whose entry {name!r} is compressed or encrypted")
        return archive.read(infos[name])

    found = [name for name in infos if re.fullmatch(r"([^/]+/)?data\.pkl", name)]
    if len(found) != 1:
        raise ValueError(f"a zip with {len(found)} entries data.pkl instead of one")
    folder = found[0].removesuffix("data.pkl")
    order = entry(f"{folder}byteorder").decode("latin-1").strip() if f"{folder}byteorder" in infos else "little"
    if order not in ("little", "big"):
        raise ValueError(f"a zip with the byteorder {order!r}")
    pickle = entry(found[0])
    value = torch_pickle.read(io.BytesIO(pickle)).value
    return _Saved(value, len(pickle), lambda key: entry(f"{folder}data/{key}"), order)


def _older(content: mmap.mmap) -> _Saved:
    """The format before: three short pickles, the pickle, one of the storages' keys, and the storages in that order."""
    file = cast(IO[bytes], content)
    if content[:1] != b"\x80":
        raise ValueError("neither a zip nor a pickle")
    for begin in (_MAGIC, _PROTOCOL):
        if torch_pickle.read(file).value != begin:
            raise ValueError("a pickle that does not begin as PyTorch's do")
    system = torch_pickle.read(file).value
    order = "big" if isinstance(system, dict) and system.get("little_endian") is False else "little"
    start = content.tell()
    value, storages = torch_pickle.read(file)
    length = content.tell() - start
    places: dict[str, slice] = {}
    keys = torch_pickle.read(file).value
    for key in keys if isinstance(keys, list) else ():
        if not isinstance(key, str) or key not in storages:
            raise ValueError(f"a storage {key!r} that no tensor mentions")
        begin, claimed = content.tell() + 8, int.from_bytes(content.read(8), order, signed=True)
        end = begin + claimed * storages[key].dtype.itemsize
        if not begin <= end <= len(content):
            raise ValueError(f"a storage {key!r} that claims {claimed} elements, in a file of {len(content)} bytes")
        places[key] = slice(begin, end)
        content.seek(end)

    def load(key: str) -> bytes:
        if key not in places:
            raise ValueError(f"no storage {key!r}")
        return content[places[key]]

    return _Saved(value, length, load, order)


def _arrays(saved: _Saved) -> dict[str, np.ndarray]:
    load = functools.cache(saved.load)

    @functools.cache
    def turned(key: str, word: int) -> bytes:
        """A storage's bytes with the first of each word last. Custom dtypes know no byte order, so none is asked."""
        raw = load(key)
        return np.frombuffer(raw, f">u{word}", len(raw) // word).astype(f"<u{word}").tobytes()

    def numbers(storage: Storage, dtype: np.dtype) -> memoryview:
        word = dtype.itemsize // (2 if dtype.kind == "c" else 1)  # A complex number is two.
        raw = load(storage.key) if saved.order == "little" else turned(storage.key, word)
        claimed = storage.elements * storage.dtype.itemsize
        if claimed > len(raw):
            raise ValueError(f"storage {storage.key!r} has {len(raw)} bytes, of which the pickle claims {claimed}")
        return memoryview(raw)[:claimed]

    arrays: dict[str, np.ndarray] = {}
    for name, tensor in _tensors(saved):
        if name in arrays:
            raise ValueError(f"two tensors of the name {name!r}")
        arrays[name] = _array(name, tensor, numbers(tensor.storage, tensor.dtype))
    if not arrays:
        raise ValueError("no tensor in a dict or list")
    return arrays


def _tensors(saved: _Saved) -> Iterator[tuple[str, Tensor]]:
    """All tensors by the way to them, in the order of the file."""
    rest: list[tuple[tuple[str, ...], Any]] = [((), saved.value)]
    seen = 0
    while rest:
        way, value = rest.pop()
        seen += 1
        if seen > saved.length:
            # What holds itself, or the same thing many times, unfolds to more than anybody wrote down.
            raise ValueError(f"containers that unfold to more than {saved.length} entries, the bytes of their pickle")
        if len(way) > _DEEPEST:
            raise ValueError(f"containers more than {_DEEPEST} deep")
        if isinstance(value, Tensor):
            if sum(map(len, way)) > _LONGEST:
                raise ValueError(f"a tensor whose name has more than {_LONGEST} characters")
            if way:
                yield ".".join(way), value
        elif isinstance(value, dict | list | tuple):
            inner = value.items() if isinstance(value, dict) else enumerate(value)
            rest += [((*way, str(key)), item) for key, item in inner][::-1]


def _array(name: str, tensor: Tensor, raw: memoryview) -> np.ndarray:
    dtype = tensor.dtype
    if not math.prod(tensor.size):
        return np.empty(tensor.size, dtype)
    try:
        offset = (tensor.storage.start + tensor.offset) * dtype.itemsize
        strides = [stride * dtype.itemsize for stride in tensor.stride]
        return np.ndarray(tensor.size, dtype, raw, offset, strides)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            f"tensor {name!r} of size {tensor.size} and stride {tensor.stride} from element {tensor.offset} on reaches "
            f"beyond its storage of {tensor.storage.elements} elements"
        ) from None
