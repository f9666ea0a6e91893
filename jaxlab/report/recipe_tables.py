"""The tables of what was run: every arm's recipe, and every run of tuning and report."""

from jaxlab.report.markup import Html, el, join, link
from jaxlab.report.provenance import Place, source
from jaxlab.report.reading import chosen_trial, measure_of, points_of, ranked, tuning_of
from jaxlab.report.study import Arm
from jaxlab.report.table import DASH, number, row_name, table
from jaxlab.report.tables import not_tuned, parameter_name
from jaxlab.report.units import short


def recipes(place: Place) -> Html:
    """What was tuned over which values, what was chosen, and the numbers that were not tuned."""
    tuned = place.study["arms"][0]["tuning"] is not None
    rows = []
    for arm in ranked(place.study):
        points = points_of(arm["tuning"]) if arm["tuning"] else {}
        fixed = [f"{name}={short(value)}" for name, value in arm["hyperparams"].items() if name not in points]
        row = el(
            "tr",
            row_name(arm["name"]),
            el("td", f"{arm['optimizer']}, {arm['schedule']}"),
            *(_tuned(arm, place) if tuned else ()),
            el("td", ", ".join(fixed) or DASH, class_="long"),
            el("td", link(arm["reference"]) if arm["reference"] else DASH, class_="long"),
        )
        rows.append(row)
    head = ["Arm", "Optimizer, schedule", *(("Trials", "Chosen", "Tried") if tuned else ()), "Fixed", "Reference"]
    origin = source(place, ("tuning",), ("arms[].hyperparams", "arms[].tuning"))
    return table(head, rows, "Each arm's recipe: what tuning chose, and what it left alone.", source=origin)


def _tuned(arm: Arm, place: Place) -> tuple[Html, Html, Html]:
    """How many trials, and a line for each hyperparameter: what was chosen, from which range."""
    tuning, best = tuning_of(arm), chosen_trial(arm)
    points = points_of(tuning)
    widened = tuning.get("widened", 0)
    more = f" ({widened} beyond)" if widened else ""
    values = {name: float(x[best]) for name, x in points.items()} | {tuning["parameter"]: tuning["chosen"]}
    chosen = [f"{name.replace('_', ' ')} = {short(value)}" for name, value in values.items()]
    tried = [f"{short(float(x.min()))} to {short(float(x.max()))}" for x in points.values()]
    return (
        el("td", f"{len(tuning['values'])}{more}", title="beyond: outside the range that the search began with"),
        el("td", _lines(chosen), not_tuned(arm), title=place.arm(arm, "hyperparams")),
        el("td", _lines(tried)),
    )


def _lines(words: list[str]) -> Html:
    return join(*[part for word in words for part in (el("br"), word)][1:])


def tuning_runs(place: Place) -> Html:
    """Every trial: the metric for each selection seed, and how many diverged."""
    study, measure = place.study, measure_of(place.study)
    several = any(len(points_of(tuning_of(arm))) > 1 for arm in study["arms"])
    rows = []
    for arm in ranked(study):
        tuning, best = tuning_of(arm), chosen_trial(arm)
        points = points_of(tuning)
        for i, (value, scores) in enumerate(zip(tuning["values"], tuning["validation"], strict=True)):
            lost = sum(score is None for score in scores)
            others = [f"{name}={short(float(x[i]))}" for name, x in points.items() if name != tuning["parameter"]]
            words = ", ".join("diverged" if score is None else measure.value(score) for score in scores)
            row = el(
                "tr",
                row_name(arm["name"]),
                number(short(value), place.arm(arm, f"tuning.values[{i}]")),
                el("td", ", ".join(others) or DASH, class_="long") if several else None,
                el("td", words, title=place.arm(arm, f"tuning.validation[{i}]")),
                el("td", f"{lost} of {len(scores)}", class_="number trouble" if lost else "number"),
                el("td", "chosen" if i == best else ""),
            )
            rows.append(row)
    head = ["Arm", parameter_name(study).capitalize(), f"Validation {measure.name} by seed", "Diverged", ""]
    if several:
        head.insert(2, "Others")
    origin = source(place, ("tuning",), ("arms[].tuning.validation[trial][seed]",))
    return table(head, rows, "Every run of the tuning.", source=origin)


def seeds(place: Place) -> Html:
    """Every report run."""
    measure, arms = measure_of(place.study), ranked(place.study)
    rows = []
    for arm in arms:
        cells = [
            el(
                "td",
                "diverged" if x is None else measure.value(x),
                class_="trouble" if x is None else "number",
                title=place.arm(arm, f"report.test[{i}]"),
            )
            for i, x in enumerate(arm["report"]["test"])
        ]
        rows.append(el("tr", row_name(arm["name"]), *cells))
    head = ["Arm", *(f"seed {seed}" for seed in arms[0]["report"]["seeds"])]
    origin = source(place, ("report",), ("arms[].report.test[seed]",))
    return table(head, rows, f"Test {measure.name} of every report run.", source=origin)
