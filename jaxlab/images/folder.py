"""A folder of images, one folder a class: which images exactly, of which class, and what else lies there."""

import dataclasses
import hashlib
import stat
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import Int32

from jaxlab.core import host
from jaxlab.core.folders import walk

SUFFIXES = (".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif")
SUFFIXES += (".tiff", ".webp")
"""How names of images end, in small letters or capitals."""

PARTS = frozenset(("dev", "eval", "test", "testing", "train", "training", "val", "valid", "validation"))
"""Names of folders that hold parts of a data set: if all folders have them, classes lie one level below."""

_OTHER, _LOOSE, _SPECIAL = "no image by its name", "in no class folder", "no regular file"


@dataclasses.dataclass(frozen=True, eq=False)
class ImageFolder:
    """The images below a folder; :func:`image_folder` makes it.

    Attributes:
      root: the folder.
      classes: names of its folders, sorted.
      paths: of the images, relative to the root with slashes, sorted; the first part is the class.
      labels: the number of each image's class.
      digests: SHA-256 of each image's file.
      left_out: what else is there, each with the reason.
    """

    root: Path
    classes: tuple[str, ...]
    paths: tuple[str, ...]
    labels: Int32[np.ndarray, " n"]
    digests: tuple[str, ...]
    left_out: Mapping[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 over names and contents: two results with one digest saw the same images."""
        return digest_of(self.paths, self.digests)

    def describe(self) -> str:
        """Which images these are, in a few words."""
        left_out = f", {len(self.left_out)} files left out" if self.left_out else ""
        return (
            f"{self.root.name!r} ({len(self.paths):,} images, {len(self.classes)} classes, "
            f"SHA-256 {self.digest[:12]}{left_out})"
        )


def image_folder(folder: str | Path, *, skip_unreadable: bool = False) -> ImageFolder:
    """The images below a folder whose folders are classes, in an order that is the same on every machine.

    An image is what its name's end says (:data:`SUFFIXES`), at any depth below its class. Names that begin with a dot
    are passed over; whatever else is there is left out and listed. Links are followed, each folder once. All files are
    read, on all cores: of images that are equal byte by byte the first one counts, for another one could stand on the
    other side of a split. That an image can be decoded is not known yet.

    Args:
      folder: such as ``photos``, with ``photos/cat/1.jpg`` and ``photos/dog/a/b.png``.
      skip_unreadable: whether a file that the system does not let be read is left out and listed, not an error.

    Raises:
      OSError: the folder is missing or is none, or a folder or file in it cannot be read.
      ValueError: fewer than two class folders, or folders that are parts of a data set; a class folder without
        images; one image in two classes. Names are given.

    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> for name, content in {"dog/1.jpg": b"a", "cat/1.JPG": b"b", "cat/2.png": b"b", "cat/by.txt": b"me"}.items():
    ...     (root / name).parent.mkdir(exist_ok=True)
    ...     _ = (root / name).write_bytes(content)
    >>> found = image_folder(root)
    >>> found.classes, found.paths, found.labels.tolist()
    (('cat', 'dog'), ('cat/1.JPG', 'dog/1.jpg'), [0, 1])
    >>> dict(found.left_out)
    {'cat/2.png': "the same as 'cat/1.JPG'", 'cat/by.txt': 'no image by its name'}
    """
    root = Path(folder).absolute()
    if not root.is_dir():
        kind, error = ("a file", NotADirectoryError) if root.exists() else ("not there", FileNotFoundError)
        raise error(
            f"folder = {str(folder)!r} is {kind}: accepted is a folder with one folder of images for each class"
        )
    paths = sorted(walk(root, links=True))
    classes = tuple(sorted(path.name for path in root.iterdir() if path.name[0] != "." and path.is_dir()))
    _check_classes(root, classes, paths)
    left_out = {path: reason for path in paths if (reason := _why_none(root, path)) is not None}
    images = [path for path in paths if path not in left_out]
    digests = {}
    with ThreadPoolExecutor(host.cores()) as threads:
        for path, found in zip(images, threads.map(lambda path: _digest(root / path), images), strict=True):
            if isinstance(found, str):
                digests[path] = found
            elif skip_unreadable:
                left_out[path] = f"cannot be read ({found.strerror})"
            else:
                text = f"an image cannot be read ({found.strerror}); accepted with skip_unreadable=True, which lists it"
                raise OSError(found.errno, text, str(root / path)) from found
    _leave_out_doubles(root, digests, left_out)
    labels = np.array([classes.index(class_of(path)) for path in digests], np.int32)
    check_every_class(root, classes, labels, left_out)
    chosen = MappingProxyType(dict(sorted(left_out.items())))
    return ImageFolder(root, classes, tuple(digests), labels, tuple(digests.values()), chosen)


def class_of(path: str) -> str:
    """The folder that an image is in, right below the root."""
    return path.partition("/")[0]


def digest_of(paths: Iterable[str], digests: Iterable[str]) -> str:
    """SHA-256 over the names of images and their contents."""
    total = hashlib.sha256()
    for path, digest in zip(paths, digests, strict=True):
        total.update(path.encode(errors="surrogateescape") + f"\0{digest}\0".encode())
    return total.hexdigest()


def check_every_class(
    root: Path, classes: Sequence[str], labels: Int32[np.ndarray, " n"], left_out: Mapping[str, str]
) -> None:
    """Refuses a class folder without an image; says what is there instead.

    Raises:
      ValueError: a class has none; it is named.
    """
    for name in (name for label, name in enumerate(classes) if label not in labels):
        others = {path: reason for path, reason in left_out.items() if class_of(path) == name}
        example = next((f"{path!r} ({reason})" for path, reason in others.items()), None)
        what = f"is {len(others)} files that are left out, such as {example}" if example else "is empty"
        raise ValueError(
            f"the class folder {str(root / name)!r} has no images, it {what}: accepted are files that end with "
            f"{', '.join(SUFFIXES)}; or take the folder away"
        )


def _check_classes(root: Path, classes: Sequence[str], paths: Sequence[str]) -> None:
    accepted = (
        f"accepted is one folder of images for each class, such as {str(root / 'cat')!r} and {str(root / 'dog')!r}"
    )
    if not classes:
        loose = sum(path.lower().endswith(SUFFIXES) for path in paths)
        there = f"{loose} images lie in it directly" if loose else f"of its {len(paths)} files none is an image"
        raise ValueError(f"{str(root)!r} has no class folders, {there}: {accepted}")
    if PARTS.issuperset(name.lower() for name in classes):
        raise ValueError(
            f"{str(root)!r} has the folders {', '.join(classes)}, parts of a data set and no classes: accepted is one "
            f"of these parts; jaxlab splits it itself"
        )
    if len(classes) == 1:
        raise ValueError(f"{str(root)!r} has one class folder, {classes[0]!r}, and nothing to tell it from: {accepted}")


def _why_none(root: Path, path: str) -> str | None:
    if "/" not in path:
        return _LOOSE
    if not path.lower().endswith(SUFFIXES):
        return _OTHER
    try:
        return None if stat.S_ISREG((root / path).stat().st_mode) else _SPECIAL
    except OSError:  # A link that leads nowhere, or to itself.
        return _SPECIAL


def _digest(file: Path) -> str | OSError:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        return error


def _leave_out_doubles(root: Path, digests: dict[str, str], left_out: dict[str, str]) -> None:
    """Of equal images the first one stays."""
    first: dict[str, str] = {}
    for path, digest in list(digests.items()):
        same = first.setdefault(digest, path)
        if same == path:
            continue
        if class_of(same) != class_of(path):
            raise ValueError(
                f"{same!r} and {path!r} in {str(root)!r} are one image in two classes, byte by byte: accepted is one "
                "class for each image"
            )
        left_out[path] = f"the same as {same!r}"
        del digests[path]
