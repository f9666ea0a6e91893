"""What every experiment's command line has in common."""

import dataclasses
import json
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

import tyro
from rich.console import Console
from rich.markup import escape

from jaxlab import report
from jaxlab.core.hyper import RunError
from jaxlab.report.results import plain, write_atomically

Config = TypeVar("Config")
Plan = TypeVar("Plan", bound="HasOut")


class HasOut(Protocol):
    """A plan says where its results go."""

    @property
    def out(self) -> Path:
        """A folder."""
        ...


def main(
    config: type[Config], prepare: Callable[[Config], Plan], run: Callable[[Plan], None], description: str | None
) -> None:
    """Reads the command line, checks everything, then runs.

    ``prepare`` turns a configuration into a plan without compiling or writing anything; what it refuses is
    one line and exit code 2, and so is what a run cannot go on with. An interrupt from the keyboard is exit code 130.
    """
    chosen, plan = tyro.cli(config, description=description), None
    try:
        try:
            plan = prepare(chosen)
        except (ValueError, TypeError, OSError, ImportError) as error:
            fail(str(error))
        run(plan)
    except RunError as error:
        fail(str(error))
    except KeyboardInterrupt:
        stays = plan is not None and hasattr(chosen, "resume") and (plan.out / "config.json").exists()
        print(f"\ninterrupted{f', --resume {plan.out} goes on' if plan and stays else ''}", file=sys.stderr)
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


def remember(out: Path, config: Any, module: str, *, plan: str | None = None) -> None:
    """Makes the folder and writes into it what is running, unless it stands there: ``--resume`` reads it."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "config.json"
    if not path.exists():
        about = {"command": command(module), "config": dataclasses.asdict(config) | {"out": None, "resume": None}}
        about |= {} if plan is None else {"plan": plan}
        write_atomically(path, json.dumps(plain(about), indent=1) + "\n")


def remembered(out: Path) -> dict[str, Any]:
    """What :func:`remember` wrote: ``command``, ``config``, and ``plan`` where there is one."""
    path = out / "config.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}): accepted is what the run that was stopped wrote") from None
    if not (isinstance(found, dict) and isinstance(found.get("config"), dict) and "command" in found):
        raise ValueError(f"{path} names no command and configuration: accepted is what the run that was stopped wrote")
    return found


def saved_config(config: Any, *, beside: Sequence[str] = ()) -> Any:
    """The configuration of the run in ``config.resume``, with what is given of those options that may stand beside it.

    Raises:
      ValueError: other options beside it; a folder that holds no run that was stopped.
    """
    kind, folder = type(config), config.resume
    default, names = kind(), [field.name for field in dataclasses.fields(kind)]
    given = {name: value for name in names if (value := getattr(config, name)) != getattr(default, name)}
    others = [name for name in given if name not in ("resume", *beside)]
    if others:
        but = f" but {' and '.join(beside)}" if beside else ""
        raise ValueError(
            f"resume: accepted without other options{but}, which are those of the run that goes on; there is also "
            f"{', '.join(others)}"
        )
    if not (folder / "config.json").exists():
        raise ValueError(
            f"resume = {str(folder)!r} holds no config.json: accepted is the folder of a run that was stopped"
        )
    if (folder / "results.json").exists():
        raise ValueError(f"resume = {str(folder)!r}: that run is complete, its page is {folder / 'report.html'}")
    saved = remembered(folder)["config"]
    if unknown := sorted(saved.keys() - set(names)):
        raise ValueError(f"resume = {str(folder)!r} has {unknown}: it is another experiment's")
    # JSON has lists alone; a configuration's are tuples.
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in saved.items()}
    for name, value in values.items():
        if isinstance(getattr(default, name), tuple | str) and type(value) is not type(getattr(default, name)):
            raise ValueError(f"{folder / 'config.json'} has {name} = {value!r}: accepted is what the run wrote")
    return kind(**values | given)


def finish(results: dict[str, Any], out: Path, console: Console) -> None:
    """Writes results and page, and says the verdict, where the page is, and how long it took."""
    console.print(f"[bold]{escape(results['verdict'])}[/]", highlight=False)
    page, seconds = report.write(results, out), results["seconds"]
    console.print(f"{page} ({seconds['total']:.0f} s, of which {seconds['compile']:.0f} s compiling)")


def findings(
    experiment: str,
    question: str,
    config: Any,
    verdict: str,
    *,
    seconds: float,
    compile_seconds: float = 0.0,
    numbers: Sequence[Mapping[str, Any]] = (),
    sections: Sequence[Mapping[str, Any]] = (),
    studies: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """results.json of an experiment that is not one study: numbers, sections, and any studies it made.

    Args:
      config: the dataclass of the command line.
      verdict: the answer to the question; its first sentence is shown large.
      seconds, compile_seconds: wall-clock time of all, and of compilation.
      numbers, sections: see :mod:`jaxlab.report.sections`.
      studies: from :func:`experiments.study.run`.
    """
    return {
        "schema": report.SCHEMA,
        "experiment": experiment,
        "question": question,
        "command": command(f"experiments.{experiment}"),
        "environment": report.environment(),
        "config": dataclasses.asdict(config),
        "task": None,
        "arms": [],
        "comparisons": [],
        "verdict": verdict,
        "seconds": {"total": seconds, "compile": compile_seconds},
        "numbers": list(numbers),
        "sections": list(sections),
        "studies": list(studies),
    }
