"""The tables of a study's result: every arm, and every pair of arms."""

from jaxlab import verdict
from jaxlab.report.markup import Html, el, join
from jaxlab.report.measures_table import chance_words
from jaxlab.report.provenance import Place, source
from jaxlab.report.reading import (
    as_comparison,
    at_edges,
    between,
    measure_of,
    ranked,
    tuning_of,
    tunings,
)
from jaxlab.report.study import Arm, Study
from jaxlab.report.table import DASH, mean_of, number, row_name, table
from jaxlab.report.units import short
from jaxlab.verdict.measure import enumerate_words, probability

# A sign beside each word: colour alone says nothing in print.
_SIGNS = {
    "better": "\N{BLACK UP-POINTING TRIANGLE}",
    "worse": "\N{BLACK DOWN-POINTING TRIANGLE}",
    "equivalent": "\N{ALMOST EQUAL TO}",
    "undecided": "?",
}
_PAIRED = (
    "Paired t tests over the report seeds; p corrected by Holm over all pairs. A diverged run counts as worse than "
    "every run that finished."
)


def final_table(place: Place) -> Html:
    """Every arm with its metric, interval and standing, best first."""
    study, measure, arms = place.study, measure_of(place.study), ranked(place.study)
    best = arms[0]
    head = ["Arm", f"Test {measure.name}", f"Against {best['name']}", "95% interval", "More seeds needed", "Diverged"]
    tuned = bool(tunings(study))
    if tuned:
        head.append(parameter_name(study).capitalize())
    rows = []
    for arm in arms:
        low, high = arm["report"]["interval"]
        known = low is not None and high is not None
        lost, runs = arm["report"]["diverged"], len(arm["report"]["test"])
        against = between(study, arm["name"], best["name"])
        needed = against["seeds_needed"] if against else None
        row = el(
            "tr",
            row_name(arm["name"]),
            number(mean_of(arm, measure), place.arm(arm, "report.mean")),
            _verdict(against["verdict"]) if against else el("td", DASH),
            number(
                f"{measure.value(low)} to {measure.value(high)}" if known else None, place.arm(arm, "report.interval")
            ),
            number(f"about {needed:,}" if needed else None),
            el("td", f"{lost} of {runs}", class_="number trouble" if lost else "number"),
            number(join(short(tuning_of(arm)["chosen"]), not_tuned(arm)), place.arm(arm, "tuning.chosen"))
            if tuned
            else None,
            class_="best" if arm is best and not lost else None,
        )
        rows.append(row)
    origin = source(
        place, ("report",), ("arms[].report", "comparisons[]"), f"Intervals: t intervals of the mean. {_PAIRED}"
    )
    return table(head, rows, f"Mean test {measure.name} over the report seeds, best first.", source=origin)


def not_tuned(arm: Arm) -> Html | None:
    """Says so where a chosen value lies at the edge of what was tried."""
    edges = [name.replace("_", " ") for name in at_edges(tuning_of(arm))]
    if not edges:
        return None
    told = f"{enumerate_words(edges)} at the edge of what was tried: a better value may lie beyond"
    return el("span", " not tuned", class_="trouble", title=told)


def _verdict(word: str) -> Html:
    return el("td", f"{_SIGNS[word]} {word}", class_=word)


def parameter_name(study: Study) -> str:
    """What was tuned; the first of several hyperparameters."""
    return " / ".join(dict.fromkeys(tuning["parameter"].replace("_", " ") for tuning in tunings(study)))


def matrix(place: Place) -> Html:
    """Every pair, read from the row's side: a word's sign and the difference."""
    study, measure = place.study, measure_of(place.study)
    names = [arm["name"] for arm in ranked(study)]
    rows = [el("tr", row_name(a), *(_cell(study, a, b, measure) for b in names)) for a in names]
    unit = f", in {measure.difference_unit}" if measure.difference_unit else ""
    signs = ", ".join(f"{sign} {word}" for word, sign in _SIGNS.items())
    caption = f"The row's arm against the column's: {signs}; below it, row minus column{unit}."
    origin = source(place, ("report",), ("comparisons[].difference", "comparisons[].verdict"), _PAIRED)
    return table(["", *names], rows, caption, class_="matrix", source=origin)


def _cell(study: Study, a: str, b: str, measure: verdict.Measure) -> Html:
    found = between(study, a, b)
    if found is None:
        return el("td", el("span", "\N{MIDDLE DOT}", aria_label="itself") if a == b else DASH, class_="self")
    difference = found["difference"]
    size = "diverged" if difference is None else measure.bare(difference, sign=True)
    word = found["verdict"]
    sign = el("span", _SIGNS[word], aria_label=word, role="img")
    told = verdict.sentence(as_comparison(found), measure)
    return el("td", sign, el("small", size), class_=word, title=told)


def pairs(place: Place, *, best_only: bool = False) -> Html:
    """Every pair with all its numbers, the better-placed arm first; or those of the best arm alone."""
    study, measure = place.study, measure_of(place.study)
    names = [arm["name"] for arm in ranked(study)]
    chances = any("p_better" in found for found in study["comparisons"])
    rows = []
    for i, a in enumerate(names[:1] if best_only else names):
        for b in names[i + 1 :]:
            if (found := between(study, a, b)) is None:
                continue
            low, high = found["interval"]
            difference, seeds = found["difference"], found["seeds_needed"]
            row = el(
                "tr",
                row_name(f"{a} \N{MINUS SIGN} {b}"),
                number(
                    "a run diverged" if difference is None else measure.bare(difference, sign=True),
                    place.pair(a, b, "difference"),
                ),
                number(
                    None
                    if low is None or high is None
                    else " to ".join(measure.bare(x, sign=True) for x in (low, high))
                ),
                number(probability(found["p"]).removeprefix("= "), place.pair(a, b, "p")),
                number(probability(found["p_holm"]).removeprefix("= "), place.pair(a, b, "p_holm")),
                _verdict(found["verdict"]),
                number(f"{seeds:,}" if seeds else None),
                number(chance_words(found), place.pair(a, b, "p_better")) if chances else None,
            )
            rows.append(row)
    unit = f" ({measure.difference_unit})" if measure.difference_unit else ""
    head = ["Pair", f"Difference{unit}", f"95% interval{unit}", "p", "Corrected p", "Verdict", "More seeds needed"]
    head += ["First beats second on a fresh seed"] * chances
    caption = "Paired t tests. The verdict is the first arm's and follows the corrected p."
    how = f"{_PAIRED} The file may name a pair the other way round, then differences have the other sign."
    return table(head, rows, caption, source=source(place, ("report",), ("comparisons[]",), how))
