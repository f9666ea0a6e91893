"""Text that is on every machine: the Python standard library's own source."""

import dataclasses
import functools
import hashlib
import platform
import re
import sysconfig
import zlib
from pathlib import Path

EXCLUDED = ("test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__")
"""Folders of tests, which are as large again, and of what is installed beside the library."""

MADE = ("_sysconfigdata", "sitecustomize", "usercustomize")
"""How files begin that differ from machine to machine."""

TEST_PERCENT = 10
"""How many of a hundred files are held out."""

_TOKEN = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*|[0-9][A-Za-z0-9_.]*|[^\sA-Za-z0-9_]")
_IDENTIFIER = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")


@dataclasses.dataclass(frozen=True)
class Source:
    """One file.

    Attributes:
      path: relative to the library's folder, with slashes.
      content: its bytes.
    """

    path: str
    content: bytes

    @property
    def module(self) -> str:
        """The top-level module or package that it belongs to.

        >>> Source("json/decoder.py", b"").module, Source("ast.py", b"").module
        ('json', 'ast')
        """
        return self.path.split("/")[0].removesuffix(".py")

    @property
    def is_test(self) -> bool:
        """Whether the file is held out: by a hash of the path, so for ever."""
        return zlib.crc32(self.path.encode()) % 100 < TEST_PERCENT


@dataclasses.dataclass(frozen=True)
class Library:
    """A library's files, sorted by path."""

    files: tuple[Source, ...]

    def digest(self) -> str:
        """SHA-256 over names, lengths and contents: two results with one digest read the same text."""
        total = hashlib.sha256()
        for file in self.files:
            total.update(f"{file.path}\0{len(file.content)}\0".encode())
            total.update(file.content)
        return total.hexdigest()

    def describe(self) -> str:
        """Which text this is, in a few words for a task's description."""
        size = sum(len(file.content) for file in self.files) / 1e6
        return (
            f"source of Python {platform.python_version()}'s standard library without its tests "
            f"({len(self.files)} files, {size:.1f} MB, SHA-256 {self.digest()[:12]})"
        )

    def text(self, *, test: bool) -> bytes:
        """The held-out files, or all others, one after the other."""
        return b"".join(file.content for file in self.files if file.is_test == test)


@functools.cache
def library(folder: Path | None = None) -> Library:
    """Reads the files; 12 MB in about a second.

    Args:
      folder: by default where this Python keeps its library.

    Raises:
      FileNotFoundError: no source there.
    """
    root = Path(sysconfig.get_path("stdlib")) if folder is None else folder
    paths = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.py"))
    wanted = [path for path in paths if not set(path.split("/")) & set(EXCLUDED) and not path.startswith(MADE)]
    if not wanted:
        raise FileNotFoundError(f"{root} holds no Python source: accepted is an installation with its library's source")
    return Library(tuple(Source(path, (root / path).read_bytes()) for path in wanted))


def tokens(text: bytes) -> list[bytes]:
    """Words, numbers and single signs, in their order; space separates and is dropped.

    >>> tokens(b"x_1 += f(2.5)  # so")
    [b'x_1', b'+', b'=', b'f', b'(', b'2.5', b')', b'#', b'so']
    """
    return _TOKEN.findall(text)


def identifiers(text: bytes) -> list[bytes]:
    """Words alone, keywords and those of comments too.

    >>> identifiers(b"x_1 += f(2.5)  # so")
    [b'x_1', b'f', b'so']
    """
    return _IDENTIFIER.findall(text)
