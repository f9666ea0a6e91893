"""One study: recipes on one task, tuned alike, reported on fresh seeds, compared in pairs."""

from typing import Any, Literal, NotRequired, TypedDict

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

    Where several hyperparameters were varied together, ``parameter``, ``values`` and ``chosen`` are those of the first,
    and ``points`` has them all, a value for each trial.

    ``at_edge``: the chosen value is the first or last of its grid, so a better one may lie beyond and the arm is not
    tuned. ``edges`` names every hyperparameter of which that holds; ``widened`` counts values beyond the first grid.
    ``asked``: the least and the largest value of ``parameter`` in the first grid, before any later ones were drawn.
    """

    parameter: str
    values: list[float]
    seeds: list[int]
    validation: list[list[float | None]]
    chosen: float
    at_edge: bool
    points: NotRequired[dict[str, list[float]]]
    edges: NotRequired[list[str]]
    widened: NotRequired[int]
    asked: NotRequired[list[float]]


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
    """What an arm took: wall-clock seconds of all its runs, of which ``compile_seconds``, and what a step costs.

    ``seconds_per_step`` is one member's share of a population's step; ``flops_per_step`` are those of the program
    before XLA optimises it, a loop's body counted once; ``params`` are numbers, ``state_bytes`` the optimizer's.
    """

    seconds_tuning: float
    seconds_report: float
    compile_seconds: float
    state_bytes_per_param: float
    compilations: NotRequired[int]
    seconds_per_step: NotRequired[float]
    flops_per_step: NotRequired[float | None]
    params: NotRequired[int]
    state_bytes: NotRequired[int]


class Divergence(TypedDict):
    """Runs that diverged, tuning and report together, their rate and its exact interval."""

    lost: int
    runs: int
    rate: float
    interval: list[float]


class Sensitivity(TypedDict):
    """What a wrong learning rate costs on average, in the metric's unit: on both sides of the best, and above it."""

    two_sided: float | None
    right: float | None


class StepsToTarget(TypedDict):
    """Steps until each report run's validation metric is at the target; null where it never is."""

    target: float
    steps: list[int | None]
    median: float | None
    interval: list[float | None]


class StudyVariance(TypedDict):
    """Standard deviations over report seeds and over searches, and the mean's interval with both.

    A search is of as many trials as the tuning was asked for at first. ``interval`` is a t interval: of a fraction it
    can leave 0 to 1, and the page shows no more of it than that.
    """

    seed_sd: float | None
    search_sd: float | None
    interval: list[float | None]


class Measures(TypedDict):
    """What an arm's runs say beside its final metric; each may be missing.

    ``best_of``: the expected best validation metric of 1, 2, ... trials drawn from those that the tuning was asked for
    at first. Later ones were placed where the first looked best, so they are no draws from the range.
    """

    divergence: NotRequired[Divergence]
    sensitivity: NotRequired[Sensitivity]
    best_of: NotRequired[list[float | None]]
    steps_to_target: NotRequired[StepsToTarget | None]
    study: NotRequired[StudyVariance | None]


class Arm(TypedDict):
    """One recipe. ``hyperparams`` holds every number it was reported with, the tuned one among them.

    ``static`` its structural arguments. ``tuning`` is null where nothing was chosen; in a study, all arms are tuned or
    none.
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
    static: NotRequired[dict[str, Any]]
    measures: NotRequired[Measures]


class Comparison(TypedDict):
    """One pair of arms; the fields of :class:`jaxlab.verdict.Comparison`. ``verdict`` is of a.

    ``p_better``: the probability that a beats b on a fresh seed.
    """

    a: str
    b: str
    difference: float | None
    interval: list[float | None]
    p: float
    p_holm: float
    verdict: Literal["better", "worse", "equivalent", "undecided"]
    seeds_needed: int | None
    p_better: NotRequired[float]
    p_better_interval: NotRequired[list[float]]


class Power(TypedDict):
    """What the report runs can show, said before they ran: the smallest true difference found with 80% power.

    ``effect`` is in standard deviations of the paired difference; ``difference`` in the metric's unit, by the spread
    between the tuning's runs, where there is one.
    """

    seeds: int
    pairs: int
    effect: float
    difference: float | None


class Program(TypedDict):
    """How the populations were run: ``trial`` has each layout's seconds a step, where several were tried."""

    layout: str
    trial: dict[str, float] | None
    devices: int
    backend: str
    compilations: int


class Study(TypedDict):
    """Arms on one task, compared in pairs, and what that says. ``margin``: differences below it do not matter.

    ``trials``: points that each arm tried, each with every selection seed; ``steps``: of a run. On the ``board``
    "one-knob" the learning rate is tuned and all else is as published, on "full" all of the search space.
    """

    question: str
    task: Task
    arms: list[Arm]
    comparisons: list[Comparison]
    verdict: str
    margin: float | None
    steps: NotRequired[int]
    trials: NotRequired[int]
    board: NotRequired[Literal["one-knob", "full"]]
    power: NotRequired[Power | None]
    program: NotRequired[Program]


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
            for name, values in tuning.get("points", {}).items():
                must_have(f"{path}.tuning.points.{name}", values, len(tuning["values"]), "trial")
            if "asked" in tuning:
                must_have(f"{path}.tuning.asked", tuning["asked"], 2, "end")
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
