"""results.json, schema ``jaxlab.results/1``: all that a study found, and all that is needed to find it again.

A metric that is not a finite number (a diverged run, an interval without bounds) is ``null``: JSON has no
NaN. Values stand in the metric's own unit, fractions as fractions. A file is checked before it is written
and after it is read, and written whole or not at all.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict, cast

import numpy as np

from jaxlab.core.files import write_atomically
from jaxlab.report import sections, study
from jaxlab.report.schema import problems
from jaxlab.report.sections import Number, Section
from jaxlab.report.study import Arm, Comparison, Power, Program, Study, Task

SCHEMA = "jaxlab.results/1"


class Seconds(TypedDict):
    """Wall-clock time of the whole study, and how much of it was compiling."""

    total: float
    compile: float


class Results(TypedDict):
    """The whole file. ``command`` makes it again; ``environment`` is :func:`jaxlab.report.environment`'s.

    An experiment that is one study has that study's fields here. One that is several, or none, has a
    null task, no arms, its ``studies``, and says the rest in ``numbers`` and ``sections``.

    ``digests``: SHA-256 by name of what went in (text, tokens) and what came out (parameters).
    """

    schema: str
    experiment: str
    question: str
    command: str
    environment: dict[str, Any]
    config: dict[str, Any]
    task: Task | None
    arms: list[Arm]
    comparisons: list[Comparison]
    verdict: str
    seconds: Seconds
    steps: NotRequired[int]
    trials: NotRequired[int]
    board: NotRequired[Literal["one-knob", "full"]]
    power: NotRequired[Power | None]
    program: NotRequired[Program]
    numbers: NotRequired[list[Number]]
    sections: NotRequired[list[Section]]
    studies: NotRequired[list[Study]]
    digests: NotRequired[dict[str, str]]


def check(results: Mapping[str, Any]) -> Results:
    """Returns results as plain JSON data after checking them against the schema.

    NumPy and JAX arrays become lists, tuples too, and numbers that are not finite become None.

    Raises:
      ValueError: with every place that does not fit, the first few in full.

    >>> check({"schema": "jaxlab.results/0"})
    Traceback (most recent call last):
      ...
    ValueError: results.schema is 'jaxlab.results/0': accepted is 'jaxlab.results/1'
    """
    data = plain(dict(results))
    if data.get("schema") != SCHEMA:
        raise ValueError(f"results.schema is {data.get('schema')!r}: accepted is {SCHEMA!r}")
    found = problems(data, Results, "results")
    found = found or _inconsistencies(cast("Results", data))
    if found:
        more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
        raise ValueError("; ".join(found[:5]) + more)
    return cast("Results", data)


def plain(value: Any) -> Any:
    """Anything array-like or JSON-like as what ``json`` reads back.

    >>> plain({"x": np.array([1.0, np.nan]), "n": (np.int64(3), float("inf"))})
    {'x': [1.0, None], 'n': [3, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return plain(np.asarray(value).tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def load(path: str | Path) -> Results:
    """Reads a results.json (or the folder that holds one) and checks it.

    Raises:
      FileNotFoundError: there is none.
      ValueError: it is no JSON, of another schema, or does not fit the schema; says where.
    """
    path = Path(path)
    path = path / "results.json" if path.is_dir() else path
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds {type(found).__name__}: accepted is an object of schema {SCHEMA!r}")
    try:
        return check(found)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def save(results: Mapping[str, Any], path: str | Path) -> None:
    """Checks results and writes them as JSON, whole or not at all.

    Raises:
      ValueError: they do not fit the schema; nothing is written.
    """
    write_atomically(path, json.dumps(check(results), indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def studies_of(results: Results) -> list[Study]:
    """All studies of a file, the one that it may be as a whole first."""
    others = results.get("studies", [])
    if results["task"] is None:
        return others
    margin = results["config"].get("margin")
    whole = Study(
        question=results["question"],
        task=results["task"],
        arms=results["arms"],
        comparisons=results["comparisons"],
        verdict=results["verdict"],
        margin=float(margin) if isinstance(margin, int | float) else None,
    )
    more = {name: value for name, value in results.items() if name in Study.__optional_keys__}
    return [cast("Study", {**whole, **more}), *others]


def _inconsistencies(results: Results) -> list[str]:
    if results["task"] is None and (results["arms"] or results["comparisons"]):
        return ["results.task is null: accepted is the task of results.arms"]
    if results["task"] is None and not any(results.get(part) for part in ("numbers", "sections", "studies")):
        return ["results holds no study, no numbers and no sections: accepted is at least one of them"]
    whole = len(studies_of(results)) - len(results.get("studies", []))
    paths = ["results"] * whole + [f"results.studies[{i}]" for i in range(len(results.get("studies", [])))]
    found = []
    for path, one in zip(paths, studies_of(results), strict=True):
        found += study.problems_of(one, path)
    for i, number in enumerate(results.get("numbers", [])):
        if number["interval"] is not None and len(number["interval"]) != 2:
            found.append(f"results.numbers[{i}].interval has {len(number['interval'])} entries: accepted are 2")
    return found + sections.problems_of(results.get("sections", []), "results.sections")
