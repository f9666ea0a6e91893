"""A run's log: records as lines of JSON, which a run that goes on reads back."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

from jaxlab.core.files import write_atomically
from jaxlab.core.hyper import RunError

Record = dict[str, float]


def line_of(record: Mapping[str, float]) -> str:
    """One line of JSON, which knows no NaN."""
    return json.dumps({name: value if math.isfinite(value) else None for name, value in record.items()}) + "\n"


def kept(path: Path, step: int) -> list[Record]:
    """The records until a step; forgets those after it, and a line that was cut off: the run goes on from there.

    Args:
      path: of the log; there may be none yet.
      step: the last one to keep.

    Raises:
      RunError: a line is none that a run writes.
    """
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    try:
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        records = [
            {name: math.nan if value is None else value for name, value in record.items()}
            for record in found
            if record["step"] <= step
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is damaged ({error}): accepted are the lines that the run wrote") from error
    write_atomically(path, "".join(map(line_of, records)))
    return records
