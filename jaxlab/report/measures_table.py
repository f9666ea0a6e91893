"""What an arm's runs say beside its final metric: how often they fail, how soon they are good, what to expect next."""

from collections.abc import Sequence

from jaxlab import verdict
from jaxlab.report.markup import Html, el
from jaxlab.report.provenance import Place, source
from jaxlab.report.reading import between, measure_of, ranked
from jaxlab.report.study import Arm, Comparison, Divergence, Measures, StepsToTarget
from jaxlab.report.table import DASH, number, row_name, table
from jaxlab.report.units import percent, short


def reliability(place: Place) -> Html | None:
    """Diverged runs, what a wrong learning rate costs, steps to the target; None where the file has none of them."""
    measure, arms = measure_of(place.study), ranked(place.study)
    told = {name: any(_measures(arm).get(name) for arm in arms) for name in ("divergence", "sensitivity")}
    targets = [found["target"] for arm in arms if (found := _measures(arm).get("steps_to_target"))]
    if not (any(told.values()) or targets):
        return None
    head = ["Arm"]
    head += ["Diverged, of all runs"] * told["divergence"]
    head += ["Lost by a wrong rate", "Lost by too large a rate"] * told["sensitivity"]
    head += [f"Steps to {measure.value(targets[0])} on validation data", "Runs that arrived"] if targets else []
    rows = []
    for arm in arms:
        found, cells = _measures(arm), []
        if told["divergence"]:
            cells.append(number(divergence_words(found.get("divergence")), place.arm(arm, "measures.divergence")))
        if told["sensitivity"]:
            lost = found.get("sensitivity")
            for side in ("two_sided", "right"):
                size = None if lost is None else lost[side]
                cells.append(number(_size(measure, size), place.arm(arm, f"measures.sensitivity.{side}")))
        if targets:
            steps, path = found.get("steps_to_target"), place.arm(arm, "measures.steps_to_target")
            cells += [number(steps_words(steps), path), number(_reached(steps), f"{path}.steps" if steps else None)]
        rows.append(el("tr", row_name(arm["name"]), *cells))
    how = (
        "Diverged: exact binomial interval over tuning and report together. A wrong rate: the best mean of the tuning "
        "less its average over learning rates up to 10 times too small or too large; too large a rate: above the best "
        "alone. Steps: until the metric on validation data is first at the task's target; the target itself is one for "
        "test data, which are not looked at on the way. The median over report seeds with an interval between two of "
        "them; a run that never arrives counts as later than every number."
    )
    fields = ("arms[].measures", "arms[].tuning.validation", "arms[].curves.validation")
    return table(
        head,
        rows,
        f"How often runs fail, what a badly chosen learning rate costs{_unit(measure)}, and how soon a run is good "
        "enough. In brackets: 95% intervals.",
        source=source(place, ("tuning", "curves"), fields, how),
    )


def expectations(place: Place) -> Html | None:
    """What another seed and another search would give; None where the file does not say."""
    study, measure, arms = place.study, measure_of(place.study), ranked(place.study)
    told = any(_measures(arm).get("study") for arm in arms)
    beats = any("p_better" in found for found in study["comparisons"])
    if not (told or beats):
        return None
    best = arms[0]
    head = ["Arm"]
    head += [f"Beats {best['name']} on a fresh seed"] * beats
    head += ["SD over seeds", "SD over searches", "95% interval with both"] * told
    rows = []
    for arm in arms:
        cells = []
        if beats:
            rival = arms[1] if arm is best else best
            found = between(study, arm["name"], rival["name"])
            words = chance_words(found) if found else None
            against = f"beats {rival['name']}: " if arm is best else ""
            path = place.pair(arm["name"], rival["name"], "p_better")
            cells.append(number(f"{against}{words}" if words else None, path))
        if told:
            found = _measures(arm).get("study")
            path = place.arm(arm, "measures.study") if found else None
            cells += [
                number(_size(measure, found["seed_sd"] if found else None), path and f"{path}.seed_sd"),
                number(_size(measure, found["search_sd"] if found else None), path and f"{path}.search_sd"),
                number(_possible(measure, found["interval"]) if found else None, path and f"{path}.interval"),
            ]
        rows.append(el("tr", row_name(arm["name"]), *cells))
    how = (
        "On a fresh seed: the share of report seeds on which the first arm is ahead, a tie counting half, with its "
        "exact binomial interval. Searches: of the tuning, the trials that it began with and its seeds are drawn anew "
        "with replacement, the best chosen again. Later trials, near the best of the first, are left out: they are no "
        "draws from the range. Interval with both: of the report's mean, for both spreads; shown as far as the metric "
        "can reach."
    )
    fields = ("comparisons[].p_better", "arms[].measures.study", "arms[].report.test", "arms[].tuning.validation")
    return table(
        head,
        rows,
        "What to expect of another seed, and of another search of as many trials as the tuning began with. SD: "
        f"standard deviation{_unit(measure)}. In brackets: 95% intervals.",
        source=source(place, ("tuning", "report"), fields, how),
    )


def chance_words(found: Comparison) -> str | None:
    """How often the first arm beats the second, with its interval."""
    if "p_better" not in found:
        return None
    low, high = found.get("p_better_interval", (0.0, 1.0))
    return f"{percent(found['p_better'])} ({percent(low)} to {percent(high)})"


def divergence_words(found: Divergence | None) -> str | None:
    """Lost runs of all, and the rate's interval.

    >>> divergence_words({"lost": 2, "runs": 29, "rate": 2 / 29, "interval": [0.01, 0.23]})
    '2 of 29 (1% to 23%)'
    """
    if found is None:
        return None
    low, high = found["interval"]
    return f"{found['lost']} of {found['runs']} ({percent(low)} to {percent(high)})"


def steps_words(found: StepsToTarget | None) -> str | None:
    """The median and its interval, a miss as "never"; few seeds have an interval that excludes nothing.

    >>> steps_words({"target": 0.9, "steps": [200, None, None], "median": None, "interval": [200.0, None]})
    'never (200 to never)'
    """
    if found is None:
        return None
    median, low, high = ("never" if value is None else _steps(value) for value in (found["median"], *found["interval"]))
    return median if (low, high) == ("0", "never") else f"{median} ({low} to {high})"


def _steps(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else short(value)


def _reached(found: StepsToTarget | None) -> str | None:
    return f"{len(found['steps']) - found['steps'].count(None)} of {len(found['steps'])}" if found else None


def _size(measure: verdict.Measure, value: float | None) -> str:
    """A spread or a loss, which has no sign; its unit stands above the table."""
    return DASH if value is None else measure.bare(value, sign=True).lstrip("+")


def _possible(measure: verdict.Measure, interval: Sequence[float | None]) -> str | None:
    """An interval, cut where the metric ends: a t interval does not know that no run is more than 100% correct."""
    low, high = interval
    if low is None or high is None:
        return None
    return f"{measure.value(measure.possible(low))} to {measure.value(measure.possible(high))}"


def _unit(measure: verdict.Measure) -> str:
    return f", in {measure.difference_unit}" if measure.difference_unit else ""


def _measures(arm: Arm) -> Measures:
    return arm.get("measures", {})
