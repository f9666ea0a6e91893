"""The tables of the page."""

import math
from collections.abc import Sequence

from jaxlab import verdict
from jaxlab.report.markup import Html, el, join, link
from jaxlab.report.reading import as_comparison, between, finished_mean, measure_of, ranked, tuning_of, tunings
from jaxlab.report.sensitivity import short
from jaxlab.report.study import Arm, Study
from jaxlab.verdict.measure import probability

# A sign beside each word: colour alone says nothing in print.
_SIGNS = {
    "better": "\N{BLACK UP-POINTING TRIANGLE}",
    "worse": "\N{BLACK DOWN-POINTING TRIANGLE}",
    "equivalent": "\N{ALMOST EQUAL TO}",
    "undecided": "?",
}
_DASH = "\N{EN DASH}"


def table(head: Sequence[str], rows: Sequence[Html], caption: str, class_: str | None = None) -> Html:
    """A table in a box of its own, which scrolls where the screen is narrow; what it shows stands above the box."""
    columns = [el("th", el("span", name, class_="name"), scope="col") for name in head]
    whole = el("table", el("thead", el("tr", *columns)), el("tbody", *rows), class_=class_)
    box = el("div", whole, class_="scroll", tabindex=0, role="region", aria_label=caption)
    return el("figure", el("figcaption", caption), box, class_="data")


def _arm(name: str) -> Html:
    return el("th", el("span", name, class_="name"), scope="row")


def final_table(study: Study) -> Html:
    """Every arm with its metric, interval and standing, best first."""
    measure, arms = measure_of(study), ranked(study)
    best = arms[0]
    head = ["Arm", f"Test {measure.name}", f"Against {best['name']}", "95% interval", "More seeds needed", "Diverged"]
    tuned = bool(tunings(study))
    if tuned:
        head.append(_parameter_name(study).capitalize())
    rows = []
    for arm in arms:
        low, high = arm["report"]["interval"]
        known = low is not None and high is not None
        lost, runs = arm["report"]["diverged"], len(arm["report"]["test"])
        against = between(study, arm["name"], best["name"])
        needed = against["seeds_needed"] if against else None
        row = el(
            "tr",
            _arm(arm["name"]),
            el("td", _mean(arm, measure), class_="number"),
            _verdict(against["verdict"]) if against else el("td", _DASH),
            el("td", f"{measure.value(low)} to {measure.value(high)}" if known else _DASH, class_="number"),
            el("td", f"about {needed:,}" if needed else _DASH, class_="number"),
            el("td", f"{lost} of {runs}", class_="number trouble" if lost else "number"),
            el("td", short(tuning_of(arm)["chosen"]), _edge(arm), class_="number") if tuned else None,
            class_="best" if arm is best and not lost else None,
        )
        rows.append(row)
    return table(head, rows, f"Mean test {measure.name} over the report seeds, best first.")


def _mean(arm: Arm, measure: verdict.Measure) -> Html:
    mean = finished_mean(arm)
    if arm["report"]["diverged"] and mean is not None:
        return el("span", f"({measure.value(mean)})", title="of the runs that did not diverge")
    return join(measure.value(mean))


def _edge(arm: Arm) -> Html | None:
    return el("span", " (edge of grid)", class_="trouble") if tuning_of(arm)["at_edge"] else None


def _verdict(word: str) -> Html:
    return el("td", f"{_SIGNS[word]} {word}", class_=word)


def _parameter_name(study: Study) -> str:
    return " / ".join(dict.fromkeys(tuning["parameter"].replace("_", " ") for tuning in tunings(study)))


def matrix(study: Study) -> Html:
    """Every pair, read from the row's side: a word's sign and the difference."""
    measure, names = measure_of(study), [arm["name"] for arm in ranked(study)]
    rows = [el("tr", _arm(a), *(_cell(study, a, b, measure) for b in names)) for a in names]
    unit = f", in {measure.difference_unit}" if measure.difference_unit else ""
    signs = ", ".join(f"{sign} {word}" for word, sign in _SIGNS.items())
    caption = f"The row's arm against the column's: {signs}; below it, row minus column{unit}."
    return table(["", *names], rows, caption, class_="matrix")


def _cell(study: Study, a: str, b: str, measure: verdict.Measure) -> Html:
    found = between(study, a, b)
    if found is None:
        return el("td", el("span", "\N{MIDDLE DOT}", aria_label="itself") if a == b else _DASH, class_="self")
    difference = found["difference"]
    size = "diverged" if difference is None else measure.bare(difference, sign=True)
    word = found["verdict"]
    sign = el("span", _SIGNS[word], aria_label=word, role="img")
    told = verdict.sentence(as_comparison(found), measure)
    return el("td", sign, el("small", size), class_=word, title=told)


def pairs(study: Study) -> Html:
    """Every pair with all its numbers, the better-placed arm first."""
    measure, names = measure_of(study), [arm["name"] for arm in ranked(study)]
    rows = []
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            if (found := between(study, a, b)) is None:
                continue
            low, high = found["interval"]
            difference = found["difference"]
            interval = _DASH if low is None or high is None else measure.interval(low, high)
            word, seeds = found["verdict"], found["seeds_needed"]
            row = el(
                "tr",
                _arm(f"{a} \N{MINUS SIGN} {b}"),
                el("td", "a run diverged" if difference is None else measure.difference(difference), class_="number"),
                el("td", interval, class_="number"),
                el("td", probability(found["p"]).removeprefix("= "), class_="number"),
                el("td", probability(found["p_holm"]).removeprefix("= "), class_="number"),
                _verdict(word),
                el("td", f"{seeds:,}" if seeds else _DASH, class_="number"),
            )
            rows.append(row)
    head = ["Pair", "Difference", "95% interval", "p", "Corrected p", "Verdict", "More seeds needed"]
    return table(head, rows, "Paired t tests. The verdict is the first arm's and follows the corrected p.")


def recipes(study: Study) -> Html:
    """What was tuned over which grid, what was chosen, and the numbers that were not tuned."""
    rows = []
    for arm in ranked(study):
        chosen, swept, parameter = _DASH, _DASH, None
        if arm["tuning"] is not None:
            tuning, parameter = arm["tuning"], arm["tuning"]["parameter"]
            values = tuning["values"]
            chosen = join(f"{parameter.replace('_', ' ')} = {short(tuning['chosen'])}", _edge(arm))
            swept = f"{len(values)} values, {short(min(values))} to {short(max(values))}"
        others = [f"{key}={short(value)}" for key, value in arm["hyperparams"].items() if key != parameter]
        row = el(
            "tr",
            _arm(arm["name"]),
            el("td", f"{arm['optimizer']}, {arm['schedule']}"),
            el("td", chosen),
            el("td", swept),
            el("td", ", ".join(others) or _DASH, class_="long"),
            el("td", link(arm["reference"]) if arm["reference"] else _DASH, class_="long"),
        )
        rows.append(row)
    head = ["Arm", "Optimizer, schedule", "Chosen", "Grid", "Fixed", "Reference"]
    return table(head, rows, "Each arm's recipe: what tuning chose, and what it left alone.")


def tuning_runs(study: Study) -> Html:
    """Every grid point: the mean over selection seeds, and how many diverged."""
    measure = measure_of(study)
    rows = []
    for arm in ranked(study):
        tuning = tuning_of(arm)
        for value, scores in zip(tuning["values"], tuning["validation"], strict=True):
            chosen = math.isclose(value, tuning["chosen"])
            lost = sum(score is None for score in scores)
            row = el(
                "tr",
                _arm(arm["name"]),
                el("td", short(value), class_="number"),
                el("td", ", ".join("diverged" if score is None else measure.value(score) for score in scores)),
                el("td", f"{lost} of {len(scores)}", class_="number trouble" if lost else "number"),
                el("td", "chosen" if chosen else ""),
            )
            rows.append(row)
    head = ["Arm", _parameter_name(study).capitalize(), f"Validation {measure.name} by seed", "Diverged", ""]
    return table(head, rows, "Every run of the tuning.")


def seeds(study: Study) -> Html:
    """Every report run."""
    measure, arms = measure_of(study), ranked(study)
    rows = [
        el(
            "tr",
            _arm(arm["name"]),
            *(
                el(
                    "td",
                    measure.value(x) if x is not None else "diverged",
                    class_="number" if x is not None else "trouble",
                )
                for x in arm["report"]["test"]
            ),
        )
        for arm in arms
    ]
    head = ["Arm", *(f"seed {seed}" for seed in arms[0]["report"]["seeds"])]
    return table(head, rows, f"Test {measure.name} of every report run.")


def costs(study: Study) -> Html:
    """What each arm took."""
    rows = []
    for arm in ranked(study):
        cost = arm["cost"]
        seconds = (cost["seconds_tuning"], cost["seconds_report"], cost["compile_seconds"])
        row = el(
            "tr",
            _arm(arm["name"]),
            *(el("td", f"{value:.1f}", class_="number") for value in seconds),
            el("td", short(cost["state_bytes_per_param"]), class_="number"),
        )
        rows.append(row)
    head = ["Arm", "Tuning (s)", "Report (s)", "Compiling (s)", "Optimizer state (bytes per parameter)"]
    return table(head, rows, "Wall-clock time of all runs of an arm together, and memory that its state takes.")
