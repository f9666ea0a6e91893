"""What lies below a folder."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NoReturn


def walk(root: Path, *, links: bool, without: Collection[str] = ()) -> Iterator[str]:
    """The paths of all files that no dot hides, in folders of other names; each folder once, whatever links there.

    Args:
      root: the folder, to which the paths are relative, with slashes.
      links: whether links to folders are followed: what has its own name goes before links to it.
      without: names of folders that are left out.

    Raises:
      OSError: a folder cannot be read.
    """
    seen = set()
    tops = [root]
    for top in tops:  # It grows by links, so that what has its own name goes before links to it.
        for folder, folders, files in os.walk(top, onerror=_refuse_folder):
            about = Path(folder).stat()
            if (about.st_dev, about.st_ino) in seen:
                folders.clear()
                continue
            seen.add((about.st_dev, about.st_ino))
            # In one order on every machine, since of two links to a folder the first counts.
            folders[:] = sorted(name for name in folders if name[0] != "." and name not in without)
            if links:
                tops += [path for name in folders if (path := Path(folder, name)).is_symlink()]
            parents = Path(folder).relative_to(root).parts
            yield from ("/".join((*parents, name)) for name in files if name[0] != ".")


def _refuse_folder(error: OSError) -> NoReturn:
    raise OSError(
        error.errno, f"a folder cannot be read ({error.strerror}); accepted is one that can", error.filename
    ) from error
