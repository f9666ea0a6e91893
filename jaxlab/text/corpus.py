"""Text in a folder: which files it is, which of them are held out, and which text exactly it was."""

import dataclasses
import hashlib
import platform
import sysconfig
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from jaxlab.core.folders import walk
from jaxlab.text.folder import blocks, problem, regular

HELD_OUT_PERCENT = 10
"""How many of a hundred files are held out."""

EXCLUDED = ("test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__")
"""Folders of the standard library with tests, which are as large again, and with what is installed beside it."""

MADE = ("_sysconfigdata", "sitecustomize", "usercustomize")
"""How files of the standard library begin that differ from machine to machine."""


def place(path: str) -> int:
    """A file's number from 0 to 99: a hash of its path, so for ever the same. Below 10 it is held out.

    Args:
      path: relative to the corpus' folder, with slashes; bytes that are no UTF-8 as Python reads them from a disk.

    >>> place("abc.py"), place("json/decoder.py")
    (4, 75)
    """
    return zlib.crc32(path.encode(errors="surrogateescape")) % 100


@dataclasses.dataclass(frozen=True)
class Document:
    """One file of text, which stays on the disk.

    Attributes:
      path: relative to the corpus' folder, with slashes.
      root: that folder.
      size: in bytes.
    """

    path: str
    root: Path
    size: int

    @property
    def held_out(self) -> bool:
        """Whether the file is for evaluation alone.

        >>> Document("abc.py", Path(), 0).held_out, Document("json/decoder.py", Path(), 0).held_out
        (True, False)
        """
        return place(self.path) < HELD_OUT_PERCENT

    @property
    def content(self) -> bytes:
        """All of it."""
        return b"".join(self.parts())

    def parts(self) -> Iterator[bytes]:
        """Its bytes, at most 256 KiB at a time; each part ends with a line, or else with a character.

        Raises:
          OSError: the file cannot be read.
          ValueError: it is longer or shorter than it was when the corpus was read.
        """
        rest, length = b"", 0
        for block in blocks(self.root / self.path):
            length += len(block)
            found = rest + block
            end = found.rfind(b"\n") + 1 or _whole_characters(found)
            if end:
                yield found[:end]
            rest = found[end:]
        if rest:
            yield rest
        if length != self.size:
            raise ValueError(
                f"{self.path!r} in {self.root} has {length} bytes and had {self.size} when its folder was read: "
                "accepted is text that nobody changes meanwhile"
            )


@dataclasses.dataclass(frozen=True)
class Corpus:
    """The files of text below a folder.

    Attributes:
      name: which text it is, in words.
      root: the folder.
      files: sorted by path.
      digest: SHA-256 over names, lengths and contents: two results with one digest read the same text.
      left_out: files that are no text, each with the reason.
    """

    name: str
    root: Path
    files: tuple[Document, ...]
    digest: str
    left_out: Mapping[str, str]

    @property
    def size(self) -> int:
        """Bytes of text."""
        return sum(file.size for file in self.files)

    def describe(self) -> str:
        """Which text this is, in a few words."""
        left_out = f", {len(self.left_out)} more left out" if self.left_out else ""
        return f"{self.name} ({len(self.files)} files, {self.size / 1e6:.1f} MB, SHA-256 {self.digest[:12]}{left_out})"

    def side(self, *, held_out: bool) -> tuple[Document, ...]:
        """The files that are held out, or all others, in their order.

        Raises:
          ValueError: there is no text on this side; the file that comes nearest is named.
        """
        chosen = tuple(file for file in self.files if file.held_out == held_out)
        if any(file.size for file in chosen):
            return chosen
        numbers = {file.path: place(file.path) for file in self.files if file.size}
        nearest = min(numbers, key=lambda path: numbers[path] if held_out else -numbers[path])
        rule = f"below {HELD_OUT_PERCENT}" if held_out else f"of {HELD_OUT_PERCENT} or above"
        raise ValueError(
            f"{self.root} has no text {'to hold out' if held_out else 'to train on'}: of its {len(numbers)} files with "
            f"text none has a number {rule}, which is the CRC-32 of its path modulo 100; {nearest!r} comes nearest "
            f"with {numbers[nearest]}. Accepted is text in more files, or a file of another name"
        )

    def text(self, *, held_out: bool) -> bytes:
        """The held-out files, or all others, one after the other, in memory."""
        return b"".join(file.content for file in self.files if file.held_out == held_out)


def corpus(folder: str | Path | None = None, *, suffixes: Sequence[str] = ()) -> Corpus:
    r"""The text below a folder, by default the Python standard library's own source without its tests.

    A file is text if all of it is UTF-8 without NUL bytes, whatever its name; nothing in it is changed, neither line
    ends nor byte order marks. Files and folders whose names begin with a dot are left out. Links are followed, but no
    folder or file is taken twice, since the second one might be held out. All files are read, a part at a
    time; none stays in memory.

    Args:
      folder: None for the standard library, 11 to 14 MB on every machine.
      suffixes: how names of files must end, such as ``(".txt", ".md")``; by default they may be anything.

    Raises:
      OSError: the folder is missing or is none, or a folder or file in it cannot be read.
      ValueError: there is no text in it; what there is is counted.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name, content in {"a.txt": b"one\n", "b/c.txt": b"two\n", "d.png": b"\0"}.items():
    ...     (folder / name).parent.mkdir(exist_ok=True)
    ...     _ = (folder / name).write_bytes(content)
    >>> found = corpus(folder)
    >>> [(file.path, file.size) for file in found.files], dict(found.left_out)
    ([('a.txt', 4), ('b/c.txt', 4)], {'d.png': 'with a NUL byte'})
    """
    if folder is None:
        return standard_library()
    if isinstance(suffixes, str) or not all(isinstance(end, str) and end[:1] == "." for end in suffixes):
        raise ValueError(f"suffixes = {suffixes!r}: accepted are ends of names, such as ('.txt', '.md')")
    root = Path(folder).absolute()
    if not root.is_dir():
        kind, error = ("a file", NotADirectoryError) if root.exists() else ("not there", FileNotFoundError)
        raise error(f"folder = {str(folder)!r} is {kind}: accepted is a folder with files of text")
    paths = list(walk(root, links=True))
    named = sorted(path for path in paths if path.endswith(tuple(suffixes) or ""))
    found = _read(f"text in {root.name!r}", root, named)
    if not found.size:
        reasons = Counter(found.left_out.values())
        reasons["empty"] = len(found.files)
        reasons[f"without one of the suffixes {', '.join(suffixes)}"] = len(paths) - len(named)
        counted = ", ".join(f"{count} {reason}" for reason, count in reasons.items() if count)
        example = f", such as {next(iter(found.left_out))!r}" if found.left_out else ""
        raise ValueError(
            f"folder = {str(folder)!r} has no text: of its {len(paths)} files {counted or 'there is none'}{example}; "
            "accepted are files that are UTF-8 without NUL bytes from begin to end, and not hidden by a dot"
        )
    return found


def standard_library(folder: Path | None = None) -> Corpus:
    """The source of Python's standard library without its tests; 12 MB in about a tenth of a second.

    Args:
      folder: by default where this Python keeps its library.

    Raises:
      FileNotFoundError: no source there.
    """
    root = Path(sysconfig.get_path("stdlib")) if folder is None else folder
    paths = walk(root, links=False, without=EXCLUDED)
    wanted = sorted(path for path in paths if path.endswith(".py") and not path.startswith(MADE))
    if not wanted:
        raise FileNotFoundError(f"{root} holds no Python source: accepted is an installation with its library's source")
    return _read(f"source of Python {platform.python_version()}'s standard library without its tests", root, wanted)


def _read(name: str, root: Path, paths: Sequence[str]) -> Corpus:
    """The corpus of those of these files that are text."""
    sizes, left_out = regular(root, paths)
    files, total = [], hashlib.sha256()
    for path, size in sizes.items():
        # What turns out to be no text must not count: a copy goes ahead.
        ahead = total.copy()
        ahead.update(path.encode(errors="surrogateescape") + f"\0{size}\0".encode())
        reason = problem(root / path, ahead.update)
        if reason is not None:
            left_out[path] = reason
        else:
            total = ahead
            files.append(Document(path, root, size))
    return Corpus(name, root, tuple(files), total.hexdigest(), MappingProxyType(left_out))


def _whole_characters(text: bytes) -> int:
    """How many of these bytes end with a character of UTF-8.

    >>> _whole_characters("aé".encode()[:2]), _whole_characters("aé".encode())
    (1, 3)
    """
    for back, byte in enumerate(reversed(text[-4:]), start=1):
        if byte >= 0xC0:  # A first byte, which says how many there are.
            whole = back >= 2 + (byte >= 0xE0) + (byte >= 0xF0)
            return len(text) if whole else len(text) - back
    return len(text)
