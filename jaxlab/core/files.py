"""Files that are whole or not there."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """Opens a new file under another name beside ``path``, which it replaces when the block ends without an error.

    No reader ever sees a part of it. A process that is killed leaves the other name behind, hidden by a dot.

    Raises:
      OSError: the folder is missing, or the file cannot be written.

    >>> target = Path(tempfile.mkdtemp()) / "numbers"
    >>> with replacing(target) as file:
    ...     _ = file.write(b"1 2 3"), target.exists()
    >>> target.read_bytes()
    b'1 2 3'
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner reads; a result is as readable as any new file.
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_atomically(path: str | Path, content: str | bytes) -> None:
    """Writes a file under another name beside it, then renames it: no reader ever sees a part of it."""
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)
