"""What became of the weights of a file and of the parameters of a model when they met, for people to read."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import PyTree

STATUSES = ("missing", "unused", "new", "left out", "matched")
"""What has become of a parameter or of a weight, what asks for attention first."""


class Row(NamedTuple):
    """One line of a report: a parameter, a weight, or the two that met.

    Attributes:
      status: ``"matched"``; ``"missing"``, a parameter that found nothing; ``"new"``, one that was to begin anew;
        ``"unused"``, a weight that nobody took; ``"left out"``, one that a rule left out.
      target: the parameter's name, or None.
      source: the weight's name in the file, or None.
      target_shape, source_shape: their shapes; the weight's as it is in the file.
      dtype: of the weight, as it is in the file.
      reason: why it was not matched; of what was, which axes were moved, or nothing.
    """

    status: str
    target: str | None
    source: str | None
    target_shape: tuple[int, ...] | None
    source_shape: tuple[int, ...] | None
    dtype: str | None
    reason: str = ""


class Matched(NamedTuple):
    """What :func:`match` found. As a text it is a report: a line that sums up, and a table.

    Attributes:
      params: all parameters, those that were found in place of their own values.
      start: the parameters that were found alone, None in place of the others: what a task takes as ``start``, to
        train it on, or as ``frozen``, to keep it.
      rows: the report.
      idle: patterns of rules that no weight's name was the first to match.
    """

    params: PyTree
    start: PyTree
    rows: tuple[Row, ...]
    idle: tuple[str, ...]

    def of(self, status: str) -> list[Row]:
        """The rows of one status."""
        return [row for row in self.rows if row.status == status]

    @property
    def summary(self) -> str:
        """The report in a line."""
        number = Counter(row.status for row in self.rows)
        whole = sum(row.target is not None for row in self.rows)
        given = sum(row.source is not None for row in self.rows)
        return (
            f"{number['matched']} of {whole} parameters matched, {number['new']} new, {number['missing']} missing; "
            f"{number['unused']} of {given} weights unused, {number['left out']} left out"
        )

    def __str__(self) -> str:
        idle = [f"No weight's name was matched by {', '.join(map(repr, self.idle))}."] if self.idle else []
        rows = sorted(self.rows, key=lambda row: STATUSES.index(row.status))
        return "\n".join([self.summary, *idle, *_table(rows)])


def essence(matched: Matched, file: str = "", lines: int = 8) -> str:
    """What keeps weights from being used, and what to do: the text of an error.

    Args:
      matched: what was found.
      file: where the weights are from, as in ``" in model.safetensors"``.
      lines: how many of each kind are named.
    """
    missing, unused = matched.of("missing"), matched.of("unused")
    first = f"the weights{file} do not fit the parameters: {matched.summary}"
    shown = [f"  {row.target} {list(row.target_shape or ())}: {_why(row)}" for row in missing[:lines]]
    shown += [f"  and {len(missing) - lines} more"] if len(missing) > lines else []
    shown += [f"  weights that no parameter took: {', '.join(_short(unused, lines))}"] if unused else []
    shown += [f"  rules that no weight's name matches: {', '.join(map(repr, matched.idle))}"] if matched.idle else []
    advice = "accepted are rules that lead a weight to each of them, or new=, a regular expression for those to leave"
    return "\n".join([first, *shown, f"  {advice}"])


def _why(row: Row) -> str:
    return row.reason if row.source is None else f"{row.source!r} {list(row.source_shape or ())}, but {row.reason}"


def _short(rows: list[Row], lines: int) -> list[str]:
    rest = [f"and {len(rows) - lines} more"] if len(rows) > lines else []
    return [*(f"{row.source!r} {list(row.source_shape or ())}" for row in rows[:lines]), *rest]


def _table(rows: Sequence[Row]) -> list[str]:
    """Columns as wide as what they hold."""

    def shape(known: tuple[int, ...] | None) -> str:
        return "" if known is None else str(list(known))

    cells = [("status", "parameter", "shape", "weight", "shape", "dtype", "why")]
    for row in rows:
        names, shapes = (row.target or "", row.source or ""), (shape(row.target_shape), shape(row.source_shape))
        cells.append((row.status, names[0], shapes[0], names[1], shapes[1], row.dtype or "", row.reason))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]
