"""results.json, schema ``jaxlab.results/1``: all that a study found, and all that is needed to find it again.

A metric that is not a finite number (a diverged run, an interval without bounds) is ``null``: JSON has no
NaN. Values stand in the metric's own unit, fractions as fractions. A file is checked before it is written
and after it is read, and written whole or not at all.
"""

import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict, cast

import numpy as np

from jaxlab import tasks
from jaxlab.report.schema import problems

SCHEMA = "jaxlab.results/1"


class Task(TypedDict):
    """What was learned. ``description`` tells in a line where data come from, their size, the model, the split."""

    name: str
    metric: str
    unit: str
    higher_is_better: bool
    target: float | None
    description: str


class Tuning(TypedDict):
    """How one hyperparameter was chosen: the metric on validation data, ``validation[value][seed]``.

    ``at_edge``: the chosen value is the first or last of its grid, so a better one may lie beyond.
    """

    parameter: str
    values: list[float]
    seeds: list[int]
    validation: list[list[float | None]]
    chosen: float
    at_edge: bool


class Report(TypedDict):
    """The metric on test data for each report seed, its mean, and the mean's 95% t interval."""

    seeds: list[int]
    test: list[float | None]
    mean: float | None
    interval: list[float | None]
    diverged: int


class Curves(TypedDict):
    """The report runs on their way, ``[seed][evaluation]``; ``steps`` says after which training steps."""

    steps: list[int]
    validation: list[list[float | None]]
    train_loss: list[list[float | None]]


class Cost(TypedDict):
    """Wall-clock seconds (of which ``compile_seconds`` compiling) and bytes of state for each parameter."""

    seconds_tuning: float
    seconds_report: float
    compile_seconds: float
    state_bytes_per_param: float


class Arm(TypedDict):
    """One recipe. ``hyperparams`` holds every number it was reported with, the tuned one among them.

    ``tuning`` is null where nothing was chosen; in a study, all arms are tuned or none.
    """

    name: str
    optimizer: str
    schedule: str
    reference: str
    hyperparams: dict[str, float]
    tuning: Tuning | None
    report: Report
    curves: Curves
    cost: Cost


class Comparison(TypedDict):
    """One pair of arms; the fields of :class:`jaxlab.verdict.Comparison`. ``verdict`` is of a."""

    a: str
    b: str
    difference: float | None
    interval: list[float | None]
    p: float
    p_holm: float
    verdict: Literal["better", "worse", "equivalent", "undecided"]
    seeds_needed: int | None


class Seconds(TypedDict):
    """Wall-clock time of the whole study, and how much of it was compiling."""

    total: float
    compile: float


class Results(TypedDict):
    """The whole file. ``command`` makes it again; ``environment`` is :func:`jaxlab.report.environment`'s."""

    schema: str
    experiment: str
    question: str
    command: str
    environment: dict[str, Any]
    config: dict[str, Any]
    task: Task
    arms: list[Arm]
    comparisons: list[Comparison]
    verdict: str
    seconds: Seconds


def task_entry(task: tasks.Task) -> Task:
    """What results.json says of a task."""
    return {
        "name": task.name,
        "metric": task.metric,
        "unit": task.unit,
        "higher_is_better": task.higher_is_better,
        "target": task.target,
        "description": task.description,
    }


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
    found = found or _lengths(cast("Results", data)) + _names(cast("Results", data))
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


def write_atomically(path: str | Path, content: str | bytes) -> None:
    """Writes a file under another name beside it, then renames it: no reader ever sees a part of it."""
    path = Path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
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


def _lengths(results: Results) -> list[str]:
    found = []

    def must_have(path: str, items: list[Any], count: int, each: str) -> None:
        if len(items) != count:
            found.append(f"{path} has {len(items)} entries: accepted are {count}, one for each {each}")

    if not results["arms"]:
        found.append("results.arms is empty: accepted is at least one")
    for i, arm in enumerate(results["arms"]):
        path, tuning, report, curves = f"results.arms[{i}]", arm["tuning"], arm["report"], arm["curves"]
        if (tuning is None) != (results["arms"][0]["tuning"] is None):
            found.append(f"{path}.tuning is not like the first arm's: accepted are arms that all were tuned, or none")
        if tuning is not None:
            must_have(f"{path}.tuning.validation", tuning["validation"], len(tuning["values"]), "value")
            for row in tuning["validation"]:
                must_have(f"{path}.tuning.validation[...]", row, len(tuning["seeds"]), "seed")
        must_have(f"{path}.report.test", report["test"], len(report["seeds"]), "seed")
        must_have(f"{path}.report.interval", report["interval"], 2, "end")
        if report["diverged"] != report["test"].count(None):
            found.append(f"{path}.report.diverged is {report['diverged']}: accepted is how many of test are null")
        for name, rows in (("validation", curves["validation"]), ("train_loss", curves["train_loss"])):
            must_have(f"{path}.curves.{name}", rows, len(report["seeds"]), "seed")
            for row in rows:
                must_have(f"{path}.curves.{name}[...]", row, len(curves["steps"]), "evaluation")
        if report["seeds"] != results["arms"][0]["report"]["seeds"]:
            found.append(f"{path}.report.seeds differ from the first arm's: accepted are seeds that all arms share")
    for i, comparison in enumerate(results["comparisons"]):
        must_have(f"results.comparisons[{i}].interval", comparison["interval"], 2, "end")
    return found


def _names(results: Results) -> list[str]:
    names = [arm["name"] for arm in results["arms"]]
    twice = sorted({name for name in names if names.count(name) > 1})
    found = [f"results.arms names {name!r} twice: accepted are different names" for name in twice]
    for i, comparison in enumerate(results["comparisons"]):
        unknown = [name for name in (comparison["a"], comparison["b"]) if name not in names]
        found += [f"results.comparisons[{i}] names {name!r}: accepted are {', '.join(names)}" for name in unknown]
    return found
