"""What every experiment's command line has in common."""

import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

import tyro

Config = TypeVar("Config")
Plan = TypeVar("Plan")


def main(
    config: type[Config], prepare: Callable[[Config], Plan], run: Callable[[Plan], None], description: str | None
) -> None:
    """Reads the command line, checks everything, then runs.

    ``prepare`` turns a configuration into a plan without compiling or writing anything; what it refuses is
    one line and exit code 2. An interrupt from the keyboard is exit code 130.
    """
    chosen = tyro.cli(config, description=description)
    try:
        plan = prepare(chosen)
    except (ValueError, TypeError, OSError, ImportError) as error:
        fail(str(error))
    try:
        run(plan)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        sys.exit(130)


def fail(message: str) -> NoReturn:
    """One line on the error stream, exit code 2."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


def new_folder(out: Path | None, experiment: str) -> Path:
    """The folder that the results will go to; it is made when the run begins.

    Raises:
      ValueError: it is there and not empty (nothing is ever overwritten), or cannot be written.
    """
    folder = out or Path("runs") / experiment / time.strftime("%Y-%m-%d-%H%M%S")
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(f"out = {str(folder)!r} is not empty: accepted is a new or an empty folder")
        parent = next(above for above in (folder, *folder.absolute().parents) if above.exists())
        with tempfile.TemporaryDirectory(dir=parent):
            pass
    except OSError as error:
        raise ValueError(
            f"out = {str(folder)!r} cannot be written ({error.strerror}): accepted is a writable folder"
        ) from error
    return folder


def command(module: str) -> str:
    """The command that makes this run again."""
    return shlex.join(["python", "-m", module, *sys.argv[1:]])
