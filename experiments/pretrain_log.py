"""The log of a pretraining run: lines of JSON, a bar that moves, curves for TensorBoard."""

import math
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from experiments.log_lines import Record, kept, line_of

FILE = "log.jsonl"
SHOWN = {
    "bits_per_byte": "bits/byte",
    "held_out_bits_per_byte": "held out",
    "learning_rate": "rate",
    "tokens_per_second": "tokens/s",
    "mfu": "MFU",
    "lines_that_tokenize": "Python",
}
"""Of a record, what is shown, and under which name."""


class Log:
    """Records of a run, one for each line of ``log.jsonl``, in the order of their steps; NaN is null there.

    Args:
      folder: of the run; None: this process writes nothing, another one does.
      console: to show them on.
      steps: of the run.
      tensorboard: whether to write event files, into the folder's ``tensorboard``.
    """

    def __init__(self, folder: Path | None, console: Console, steps: int, *, tensorboard: bool = False) -> None:
        self.folder, self.console = folder, console
        self.records: list[Record] = []
        self._tensorboard, self._writer = tensorboard, None
        bar = (TextColumn("step"), MofNCompleteColumn(), BarColumn(None), TextColumn("{task.description}"))
        self._progress = Progress(*bar, TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=console)
        self._task = self._progress.add_task("", total=steps)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._open.enter_context(self._progress)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def begin(self, step: int) -> None:
        """Forgets what was logged after a step, and a line that was cut off: the run goes on from there.

        Raises:
          RunError: a line is none that a run writes.
        """
        self._progress.update(self._task, completed=step)
        if self.folder is None:
            return
        if self._tensorboard:
            # Events of a run that was stopped are not shown beyond this step.
            writer = summary_writer()(str(self.folder / "tensorboard"), purge_step=step + 1)
            self._writer = writer
            self._open.callback(writer.close)
        self.records = kept(self.folder / FILE, step)

    def advance(self, step: int) -> None:
        """Moves the bar."""
        self._progress.update(self._task, completed=step)

    def add(self, record: Record) -> None:
        """Writes a record; shows it where it is an evaluation."""
        self.records.append(record)
        self._progress.update(self._task, description=f"{record['bits_per_byte']:.3f} bits/byte")
        if "held_out_bits_per_byte" in record:
            self.console.print(f"step {int(record['step']):>6}  {shown(record)}", highlight=False, soft_wrap=True)
        if self.folder is None:
            return
        with (self.folder / FILE).open("a") as file:
            file.write(line_of(record))
        if self._writer is not None:
            for name, value in record.items():
                if math.isfinite(value):
                    self._writer.add_scalar(name, value, int(record["step"]))
            self._writer.flush()


def summary_writer() -> Any:
    """TensorBoard's writer of event files.

    Raises:
      ImportError: it is not installed; the message says how.
    """
    try:
        # Loaded here, for few runs ask for it.
        from tensorboardX import SummaryWriter  # noqa: PLC0415
    except ImportError as error:
        raise ImportError("--tensorboard needs the package tensorboardX: pip install 'jaxlab[tensorboard]'") from error
    return SummaryWriter


def shown(record: Mapping[str, float]) -> str:
    """The numbers that one follows, on one line.

    >>> shown({"step": 5, "bits_per_byte": 2.345678, "tokens_per_second": 12345.6, "mfu": float("nan")})
    'bits/byte 2.346  tokens/s 12,346  MFU N/A'
    """
    return "  ".join(f"{short} {_written(name, record[name])}" for name, short in SHOWN.items() if name in record)


def _written(name: str, value: float) -> str:
    if not math.isfinite(value):
        return "N/A"
    match name:
        case "mfu" | "lines_that_tokenize":
            return f"{value:.0%}"
        case "tokens_per_second":
            return f"{value:,.0f}"
        case "learning_rate":
            return f"{value:.2g}"
        case _:
            return f"{value:.3f}"
