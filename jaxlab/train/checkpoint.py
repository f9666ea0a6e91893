"""Checkpoints of a training state: saved whole, restored to the bit on any devices. The only place that knows orbax."""

import json
import shutil
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import jax
from jax.experimental import multihost_utils
from jaxtyping import Array, PyTree
from orbax.checkpoint import v1 as ocp

from jaxlab.core import hyper
from jaxlab.core.files import write_atomically
from jaxlab.train.conversion import as_saved, completed, to_read
from jaxlab.train.form import Difference, check_conversions, differences, form_of, named, refusal

State = TypeVar("State")

ABOUT, UNDERWAY = "about.json", "underway"


class Checkpoints:
    """A folder of checkpoints, one for each saved step; the newest few are kept.

    A checkpoint holds every array of a state under its path name, the state's form and a note. It is written to
    another folder and renamed when complete, and it is renamed before it is deleted: whenever a process ends, by
    whatever signal, every checkpoint in the folder is whole, and the next process goes on from the newest.

    Args:
      directory: created with the first save.
      keep: how many of the newest to keep, at least 1.

    Raises:
      ValueError: ``keep`` below 1; a directory that is a file.

    >>> import tempfile
    >>> import jax.numpy as jnp
    >>> with Checkpoints(tempfile.mkdtemp()) as checkpoints:
    ...     checkpoints.save(7, {"w": jnp.arange(3)}, note={"task": "line"})
    ...     checkpoints.restore({"w": jnp.zeros(3, int)})["w"].tolist(), checkpoints.note()
    ([0, 1, 2], {'task': 'line'})
    """

    def __init__(self, directory: str | Path, keep: int = 3) -> None:
        self.keep = hyper.integer("keep", keep, at_least=1)
        self.directory = Path(directory).absolute()
        above = next(path for path in (self.directory, *self.directory.parents) if path.exists())
        if not above.is_dir():
            raise ValueError(f"directory = {str(directory)!r}: {above} is a file; accepted is a folder, there or not")
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._saving: tuple[int, Future[None]] | None = None
        self._closed = False

    def save(self, step: int, state: PyTree, note: Mapping[str, Any] | None = None, *, wait: bool = True) -> None:
        """Writes one checkpoint.

        Args:
          step: names it; at least 0 and above every step saved before.
          state: any pytree of arrays, typed keys included; every device writes its own part.
          note: JSON data kept beside the arrays: what the run was.
          wait: return when it is complete. False returns as soon as the arrays are copied to the host: the state may
            then be given away to the next step, which runs while the checkpoint is written. It is complete after
            :meth:`wait`, the next :meth:`save`, or :meth:`close`, and those tell if it failed.

        Raises:
          ValueError: a step that is not above the newest, or two leaves of one name; nothing is written.
          TypeError: a leaf that is no array and no number, or a note that is no JSON; nothing is written.
          RuntimeError: after :meth:`close`; nothing is written.
          OSError: this checkpoint, or the one before it that nobody waited for, could not be written.
        """
        if self._closed:
            raise RuntimeError(f"the checkpoints in {self.directory} were closed: accepted is another Checkpoints")
        self.wait()
        step = hyper.integer("step", step, at_least=0)
        hyper.flag("wait", wait)
        if not isinstance(note, Mapping | None):
            raise TypeError(f"note = {note!r}: accepted is a dict of JSON data")
        newest = self.steps()[-1:]
        if newest and step <= newest[0]:
            raise ValueError(f"step = {step}: accepted is a step above {newest[0]}, the newest in {self.directory}")
        arrays = {name: leaf for name, leaf in named(state).items() if leaf.size}
        about = {"form": form_of(state), "note": dict(note or {})}
        try:
            json.dumps(about)
        except TypeError as error:
            raise TypeError(f"note: {error}; accepted is JSON data") from None
        folder = self.directory / UNDERWAY / str(step)
        folder.parent.mkdir(parents=True, exist_ok=True)  # What cannot be written tells so here.
        # Of nothing, orbax writes nothing.
        response = ocp.save_checkpointables_async(str(folder), {"arrays": arrays}, overwrite=True) if arrays else None
        self._saving = step, self._thread.submit(self._finish, response, step, about)
        if wait:
            self.wait()

    def wait(self) -> None:
        """Waits until what is being written is complete.

        Raises:
          OSError: it could not be written; told once.
        """
        if self._saving is None:
            return
        (step, future), self._saving = self._saving, None
        error = future.exception()
        if jax.process_count() > 1:
            # One process gives the checkpoint its name, and all may read it after this.
            multihost_utils.sync_global_devices(f"checkpoint {step} in {self.directory}")
        if error is not None:
            raise OSError(f"checkpoint {step} was not saved in {self.directory}: {error}") from error

    def steps(self) -> list[int]:
        """The saved steps, oldest first. What is being written is not among them."""
        if not self.directory.is_dir():
            return []
        return sorted(int(path.name) for path in self.directory.iterdir() if path.name.isdecimal() and path.is_dir())

    def note(self, step: int | None = None) -> dict[str, Any]:
        """The note of a step's checkpoint, by default the newest."""
        return self._about(self._chosen(step))["note"]

    def differences(self, like: PyTree, step: int | None = None) -> list[Difference]:
        """In what a checkpoint differs from a state, without reading its arrays; their texts are for people.

        An empty list: the state is restored to the bit. Otherwise each has a ``conversion``, the word that
        :meth:`restore` takes for it, or None where there is none.

        Args:
          like: as for :meth:`restore`.
          step: by default the newest.
        """
        return differences(self._about(self._chosen(step))["form"], form_of(like))

    def restore(self, like: State, step: int | None = None, *, convert: str | Iterable[str] = ()) -> State:
        """A saved state with the structure, dtypes and shardings of ``like``.

        On which devices it was saved, and how it lay there, does not matter: each device reads its own part. Without
        ``convert`` every bit is as it was, or nothing is restored. What may be converted, if it is asked for:

        ============  =================================================================================================
        dtypes        floating arrays rounded to nearest (what float16 cannot hold is an error)
        loss_scale    begins as in ``like``, or is left
        rounding      Kahan's compensation begins at zero, or is left; where the parameters change dtype, too, it is
                      added to them, or begins with what they lose
        ema           the average begins at the parameters, with the decay in ``like``, or is left
        types         nodes of another class with leaves of the same names and shapes: for one that was renamed
        ============  =================================================================================================

        Optimizer state in blocks of 8 or 4 bits is not converted to other formats.

        Args:
          like: a state of the same run, such as a fresh one; its values are not used. Abstract leaves with shardings
            (``jax.ShapeDtypeStruct``) do as well, and take no memory.
          step: by default the newest.
          convert: the conversions that may be made; :meth:`differences` tells which are needed.

        Raises:
          FileNotFoundError: no checkpoint, or none of that step; those that exist are named.
          ValueError: the checkpoint's state is not that of ``like``; the first leaf that differs is named, and the
            conversion, if there is one. Or a file of the checkpoint is damaged; it is named.

        >>> import tempfile
        >>> import jax.numpy as jnp
        >>> with Checkpoints(tempfile.mkdtemp()) as checkpoints:
        ...     checkpoints.save(7, {"w": jnp.ones(3)})
        ...     like = {"w": jnp.zeros(3, jnp.bfloat16)}
        ...     print(*checkpoints.differences(like))
        ...     checkpoints.restore(like, convert="dtypes")["w"].dtype
        'w' is float32[3] there, bfloat16[3] here
        dtype(bfloat16)
        """
        conversions, step = check_conversions(convert), self._chosen(step)
        wanted, about = named(like), self._about(step)
        saved = about["form"]
        refused = refusal(differences(saved, form_of(like)), conversions)
        if refused is not None:
            raise ValueError(f"checkpoint {step} in {self.directory} {refused}")
        full = self._arrays(step, about, wanted)
        return jax.tree.unflatten(jax.tree.structure(like), [full[name] for name in wanted])

    def arrays(self, pattern: str = "", step: int | None = None) -> dict[str, Array]:
        """Saved arrays by name, for whoever has no state to restore; random keys are left out.

        Args:
          pattern: a regular expression, found in the names of those to read: ``"^params/"`` in a training state's.
          step: by default the newest.

        Raises:
          FileNotFoundError, ValueError: as :meth:`restore`; a pattern that is no regular expression.
        """
        step = self._chosen(step)
        about = self._about(step)
        return self._arrays(step, about, as_saved(about["form"]["leaves"], pattern))

    def close(self) -> None:
        """Waits for what is being written and lets go of the folder."""
        self._closed = True
        try:
            self.wait()
        finally:
            self._thread.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _finish(self, response: Any, step: int, about: Mapping[str, Any]) -> None:
        """Gives a checkpoint its name when its arrays are written, and takes those away that are too old."""
        if response is not None:
            response.result()
        if jax.process_index():
            return
        underway = self.directory / UNDERWAY
        folder = underway / str(step)
        folder.mkdir(parents=True, exist_ok=True)
        found = sorted(path for path in folder.rglob("*") if path.is_file())
        files = {str(path.relative_to(folder)): [path.stat().st_size, _checksum(path)] for path in found}
        write_atomically(folder / ABOUT, json.dumps({**about, "files": files}))
        folder.rename(self.directory / str(step))
        for old in self.steps()[: -self.keep]:
            (self.directory / str(old)).rename(underway / f"{old}.old")
        shutil.rmtree(underway)

    def _chosen(self, step: int | None) -> int:
        self.wait()
        steps = self.steps()
        if not steps:
            raise FileNotFoundError(f"no checkpoint in {self.directory}")
        if step is None:
            return steps[-1]
        step = hyper.integer("step", step, at_least=0)
        if step not in steps:
            raise FileNotFoundError(f"no checkpoint of step {step} in {self.directory}; there are {steps}")
        return step

    def _about(self, step: int) -> dict[str, Any]:
        folder = self.directory / str(step)
        if not (folder / ABOUT).exists() and (folder / "about").is_dir():
            # Saved before there was a file for it, and a record of types.
            about = self._read(step, "about", None)
            return {"form": {"leaves": about["form"]}, "note": about["note"], "files": {}}
        try:
            about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
            parts = {name: about[name] for name in ("form", "note", "files")}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._damaged(step, f"{ABOUT} cannot be read, {error}") from error
        for name, (size, _) in parts["files"].items():
            found = (folder / name).stat().st_size if (folder / name).is_file() else None
            if found != size:
                raise self._damaged(step, f"{name} {'is missing' if found is None else f'has {found} of {size} bytes'}")
        return parts

    def _arrays(self, step: int, about: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Array]:
        """What is wanted of a checkpoint whose files are what was written; nothing else is read."""
        self._check(step, about["files"])
        saved = about["form"]["leaves"]
        abstract = to_read(saved, wanted)
        leftout = {name: ocp.PLACEHOLDER for name, form in saved.items() if 0 not in form[0]}
        read = self._read(step, "arrays", {**leftout, **abstract}) if leftout else {}
        return completed({name: read[name] for name in abstract}, saved, wanted)

    def _check(self, step: int, files: Mapping[str, tuple[int, int]]) -> None:
        """Refuses files in which a bit is not what it was; of several processes each looks at its share."""
        for name, (_, checksum) in list(files.items())[jax.process_index() :: jax.process_count()]:
            if _checksum(self.directory / str(step) / name) != checksum:
                raise self._damaged(step, f"{name} does not hold what was written")

    def _read(self, step: int, part: str, abstract: Any) -> Any:
        try:
            return ocp.load_checkpointables(str(self.directory / str(step)), {part: abstract})[part]
        except (KeyError, ValueError, OSError) as error:
            cause: BaseException = error
            while cause.__cause__ is not None:
                cause = cause.__cause__
            raise self._damaged(step, f"{part} cannot be read, {cause}") from error

    def _damaged(self, step: int, what: str) -> hyper.RunError:
        others = [other for other in self.steps() if other != step]
        return hyper.RunError(
            f"checkpoint {step} in {self.directory} is damaged: {what[:500]}; "
            f"accepted is {f'another step, {others}' if others else 'a whole one, and there is no other'}"
        )


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while part := file.read(1 << 22):
            checksum = zlib.crc32(part, checksum)
    return checksum
