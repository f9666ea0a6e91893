"""Decoded images in one file, mapped into memory: which ones exactly is in its name, so none is ever out of date.

The header has 256 bytes, numbers little-endian: the magic word, the format's version, height and width, how many images
there are, the bytes of the notes, their CRC-32, the key, and the CRC-32 of all this. Then the images follow, three
bytes a pixel, then the notes: JSON of which images could not be decoded, and why.
"""

import dataclasses
import hashlib
import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from jaxlab.core.files import replacing
from jaxlab.images.decode import Resize, decode_all, import_pillow
from jaxlab.images.folder import ImageFolder

MAGIC, VERSION, HEADER = b"jaxlabIM", 1, 256

_FIELDS = struct.Struct("<8sIIIQQI32s")
_CHECKSUM = struct.Struct("<I")


@dataclasses.dataclass(frozen=True, eq=False)
class Decoded:
    """The images of a folder that could be decoded, in its order.

    Attributes:
      pixels: all of them; of a file, read-only and on the disk until they are used.
      unreadable: the numbers of the others, and why.
    """

    pixels: UInt8[np.ndarray, "n height width 3"]
    unreadable: Mapping[int, str]


def key_of(folder: ImageFolder, resize: Resize) -> bytes:
    """SHA-256 over what decides the pixels: every file's content, in order, the size and how, Pillow's version."""
    version = import_pillow()[0].__version__
    total = hashlib.sha256(json.dumps([VERSION, version, dataclasses.asdict(resize)], sort_keys=True).encode())
    for digest in folder.digests:
        total.update(bytes.fromhex(digest))
    return total.digest()


def cache_file(cache: Path, folder: ImageFolder, resize: Resize) -> Path:
    """Where the images of this folder are kept; an image more, less or changed, and it is another file."""
    return cache / f"{key_of(folder, resize).hex()[:32]}.images"


def decoded(folder: ImageFolder, resize: Resize, cache: Path | None, *, skip_unreadable: bool) -> Decoded:
    """The pixels of a folder's images: out of the cache, or decoded, into the cache if there is one.

    Args:
      folder: which images.
      resize: to which size, and how.
      cache: a folder, made where it is missing; None keeps the pixels in memory.
      skip_unreadable: whether an image that cannot be decoded is noted, not an error.

    Raises:
      OSError: an image cannot be read, or the cache cannot be written.
      ValueError: an image cannot be decoded; the first such one is named.
    """
    if cache is None:
        return _in_memory(folder, resize, skip_unreadable=skip_unreadable)
    _check_place(cache, folder.root)
    path, key = cache_file(cache, folder, resize), key_of(folder, resize)
    found = _open(path, key, resize) if path.is_file() else None
    if found is None:  # There is none, or not all of it.
        cache.mkdir(parents=True, exist_ok=True)
        _write(path, key, folder, resize, skip_unreadable=skip_unreadable)
        found = _open(path, key, resize)
        assert found is not None
    for number, reason in found.unreadable.items():
        if not skip_unreadable:
            raise _refusal(folder, number, reason)
    return found


def _in_memory(folder: ImageFolder, resize: Resize, *, skip_unreadable: bool) -> Decoded:
    pixels = np.empty((len(folder.paths), *resize.shape), np.uint8)
    unreadable: dict[int, str] = {}
    for number, image in enumerate(decode_all(folder, resize)):
        if not isinstance(image, str):
            pixels[number - len(unreadable)] = image
        elif skip_unreadable:
            unreadable[number] = image
        else:
            raise _refusal(folder, number, image)
    pixels = pixels[: len(pixels) - len(unreadable)]
    pixels.flags.writeable = False
    return Decoded(pixels, unreadable)


def _write(path: Path, key: bytes, folder: ImageFolder, resize: Resize, *, skip_unreadable: bool) -> None:
    unreadable: dict[int, str] = {}
    with replacing(path) as file:
        file.write(bytes(HEADER))  # As long as there are zeros it is no cache.
        for number, image in enumerate(decode_all(folder, resize)):
            if not isinstance(image, str):
                file.write(image.tobytes())
            elif skip_unreadable:
                unreadable[number] = image
            else:
                raise _refusal(folder, number, image)
        notes = json.dumps(unreadable).encode()
        file.write(notes)
        file.seek(0)
        height, width, _ = resize.shape
        count = len(folder.paths) - len(unreadable)
        file.write(_header(MAGIC, VERSION, height, width, count, len(notes), zlib.crc32(notes), key))


def _open(path: Path, key: bytes, resize: Resize) -> Decoded | None:
    """What the file holds, or None if it is damaged, cut off, or of something else."""
    with path.open("rb") as file:
        header = file.read(HEADER)
        if len(header) < HEADER:
            return None
        _, _, height, width, count, length, checksum, _ = fields = _FIELDS.unpack_from(header)
        end = HEADER + count * height * width * 3
        if header != _header(MAGIC, VERSION, *fields[2:7], key) or path.stat().st_size != end + length:
            return None
        file.seek(end)
        notes = file.read()
    if zlib.crc32(notes) != checksum:
        return None
    shape = (count, *resize.shape)
    # A plain array on the mapped file, for each slice of a memmap is a Python object with a dict.
    pixels = np.memmap(path, np.uint8, "r", HEADER, shape).view(np.ndarray) if count else np.empty(shape, np.uint8)
    return Decoded(pixels, {int(number): reason for number, reason in json.loads(notes).items()})


def _header(*fields: bytes | int) -> bytes:
    packed = _FIELDS.pack(*fields)
    return (packed + _CHECKSUM.pack(zlib.crc32(packed))).ljust(HEADER, b"\0")


def _refusal(folder: ImageFolder, number: int, reason: str) -> ValueError:
    return ValueError(
        f"{str(folder.root / folder.paths[number])!r} is no image that can be used: {reason}; accepted is a folder of "
        "whole images, or skip_unreadable=True, which leaves out and lists the others"
    )


def _check_place(cache: Path, root: Path) -> None:
    """A folder among the classes would be taken for one of them."""
    inside = cache.absolute()
    if inside.is_relative_to(root) and not any(part[0] == "." for part in inside.relative_to(root).parts):
        raise ValueError(
            f"cache = {str(cache)!r} lies in the folder of images {str(root)!r}, whose folders are classes: accepted "
            "is another folder, or a hidden one such as '.cache'"
        )
