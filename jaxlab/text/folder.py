"""Which of a folder's files are text, and their bytes, a part at a time."""

import codecs
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

PART = 2**18
"""How many bytes of a file are read, and encoded, at a time."""

_NUL, _NOT_UTF8, _SPECIAL, _AGAIN = "with a NUL byte", "not UTF-8", "no regular file", "a link to another of them"


def regular(root: Path, paths: Sequence[str]) -> tuple[dict[str, int], dict[str, str]]:
    """The sizes of those that are files, and why the others are none: links that lead nowhere or here, pipes."""
    sizes: dict[str, int] = {}
    left_out: dict[str, str] = {}
    seen: set[tuple[int, int]] = set()
    # Names before links. Hard links are names: some systems make them of files that happen to be equal.
    for link in (False, True):
        for path in (path for path in paths if (root / path).is_symlink() == link):
            try:
                about = (root / path).stat()
            except OSError:
                if not link:
                    raise
                left_out[path] = _SPECIAL
                continue
            file = (about.st_dev, about.st_ino)
            if not stat.S_ISREG(about.st_mode):
                left_out[path] = _SPECIAL
            elif link and file in seen:
                left_out[path] = _AGAIN
            else:
                seen.add(file)
                sizes[path] = about.st_size
    return dict(sorted(sizes.items())), left_out


def problem(file: Path, tell: Callable[[bytes], None]) -> str | None:
    """Why a file is no text, read no further than that; each block of text is told."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for block in blocks(file):
            if b"\0" in block:
                return _NUL
            decoder.decode(block)
            tell(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return _NOT_UTF8
    return None


def blocks(file: Path) -> Iterator[bytes]:
    """The bytes of a file, at most :data:`PART` at a time.

    Raises:
      OSError: it cannot be read.
    """
    try:
        with file.open("rb") as opened:
            while block := opened.read(PART):
                yield block
    except OSError as error:
        raise OSError(
            error.errno,
            f"a file of text cannot be read ({error.strerror}); accepted is a folder whose files can, or suffixes that "
            "this file does not have",
            str(file),
        ) from error
