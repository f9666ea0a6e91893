"""Which optimizers a comparison has as arms, which it cannot have, and what is to be said of those that fall short."""

import math
from collections.abc import Sequence

from jaxlab import report, tasks, verdict
from jaxlab.optimizers import Recipe, get, names
from jaxlab.report.sections import Section
from jaxlab.report.study import Arm

ALL = "all"


def expand(optimizers: Sequence[str], task: tasks.Task, schedule: str) -> tuple[list[str], dict[str, str]]:
    """The arms, and why each optimizer that ``all`` would name is none.

    Args:
      optimizers: names; ``"all"`` stands for every registered optimizer that can train the task.
      task: what is trained.
      schedule: of the learning rate.

    Raises:
      ValueError: an unknown name; an optimizer named by itself that cannot train the task.
    """
    arms, left_out = [], {}
    for name in dict.fromkeys(optimizers):
        if name == ALL:
            for other in names():
                try:
                    tasks.check_optimizer(task, Recipe(other, schedule))
                except ValueError as error:
                    left_out[other] = str(error).removeprefix(f"optimizer = {other!r} on task {task.name!r}: ")
                else:
                    arms.append(other)
        else:
            tasks.check_optimizer(task, Recipe(name, schedule))
            arms.append(name)
    return list(dict.fromkeys(arms)), {name: why for name, why in left_out.items() if name not in arms}


def sections(studies: Sequence[report.Study], left_out: dict[str, dict[str, str]]) -> list[Section]:
    """What the page says of arms below their task's target, and of optimizers that are no arms.

    Args:
      studies: as :func:`experiments.study.run` made them.
      left_out: for each task's name, what :func:`expand` left out.
    """
    found = [_section(f"Below the target on {one['task']['name']}", *_short(one)) for one in studies]
    words = "Optimizers that cannot train this task were left out."
    for task, why in left_out.items():
        rows: list[list[str | float | None]] = [[name, reason] for name, reason in why.items()]
        found.append(_section(f"Not compared on {task}", words, ["optimizer", "why"], rows))
    return [section for section in found if section["tables"][0]["rows"]]


def _short(study: report.Study) -> tuple[str, list[str], list[list[str | float | None]]]:
    """The arms that miss the target: what their runs show, and what those who made them say."""
    task = study["task"]
    target, higher = task["target"], task["higher_is_better"]
    measure = verdict.Measure(task["metric"], task["unit"], higher_is_better=higher)
    rows: list[list[str | float | None]] = []
    for arm in study["arms"]:
        mean, lost = arm["report"]["mean"], arm["report"]["diverged"]
        reached = target is None or (mean is not None and not lost and (mean >= target if higher else mean <= target))
        if not reached:
            rows.append(
                [arm["name"], measure.value(mean), _what_is_seen(arm, measure), get(arm["optimizer"]).caveat or None]
            )
    words = (
        f"Arms whose mean on test data misses the task's target of {measure.value(target)}, or of which a run diverged."
    )
    return words, ["arm", f"test {measure.name}", "what the runs show", "what is known of it"], rows


def _what_is_seen(arm: Arm, measure: verdict.Measure) -> str:
    tuning, seen = arm["tuning"], []
    if tuning is not None:
        runs = [x for row in tuning["validation"] for x in row]
        lost = sum(x is None or not math.isfinite(x) for x in runs)
        if tuning["at_edge"]:
            seen.append(
                f"its best {tuning['parameter'].replace('_', ' ')}, {tuning['chosen']:.3g}, is the last it tried"
            )
        if lost:
            seen.append(f"{lost} of {len(runs)} tuning runs diverged")
    if arm["report"]["diverged"]:
        seen.append(f"{arm['report']['diverged']} of {len(arm['report']['test'])} report runs diverged")
    finished = [x for x in arm["report"]["test"] if x is not None and math.isfinite(x)]
    if finished:
        low, high = sorted([min(finished), max(finished)], reverse=not measure.higher_is_better)
        seen.append(f"report runs from {measure.value(low)} to {measure.value(high)}")
    return "; ".join(seen)


def _section(title: str, words: str, columns: list[str], rows: list[list[str | float | None]]) -> Section:
    return {
        "title": title,
        "text": [],
        "tables": [{"title": words, "columns": columns, "rows": rows}],
        "charts": [],
    }
