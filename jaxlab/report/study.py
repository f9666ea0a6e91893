"""One study: recipes on one task, tuned alike, reported on fresh seeds, compared in pairs."""

from typing import Any, Literal, TypedDict

from jaxlab import tasks


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


class Study(TypedDict):
    """Arms on one task, compared in pairs, and what that says. ``margin``: differences below it do not matter."""

    question: str
    task: Task
    arms: list[Arm]
    comparisons: list[Comparison]
    verdict: str
    margin: float | None


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


def problems_of(study: Study, path: str) -> list[str]:
    """What the types do not say: lengths that agree, names that are there and differ, seeds that arms share."""
    return _lengths(study, path) + _names(study, path)


def _lengths(study: Study, whole: str) -> list[str]:
    found = []

    def must_have(path: str, items: list[Any], count: int, each: str) -> None:
        if len(items) != count:
            found.append(f"{path} has {len(items)} entries: accepted are {count}, one for each {each}")

    if not study["arms"]:
        found.append(f"{whole}.arms is empty: accepted is at least one")
    for i, arm in enumerate(study["arms"]):
        path, tuning, report, curves = f"{whole}.arms[{i}]", arm["tuning"], arm["report"], arm["curves"]
        if (tuning is None) != (study["arms"][0]["tuning"] is None):
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
        if report["seeds"] != study["arms"][0]["report"]["seeds"]:
            found.append(f"{path}.report.seeds differ from the first arm's: accepted are seeds that all arms share")
    for i, comparison in enumerate(study["comparisons"]):
        must_have(f"{whole}.comparisons[{i}].interval", comparison["interval"], 2, "end")
    return found


def _names(study: Study, whole: str) -> list[str]:
    names = [arm["name"] for arm in study["arms"]]
    twice = sorted({name for name in names if names.count(name) > 1})
    found = [f"{whole}.arms names {name!r} twice: accepted are different names" for name in twice]
    for i, comparison in enumerate(study["comparisons"]):
        unknown = [name for name in (comparison["a"], comparison["b"]) if name not in names]
        found += [f"{whole}.comparisons[{i}] names {name!r}: accepted are {', '.join(names)}" for name in unknown]
    return found
