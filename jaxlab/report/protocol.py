"""How a study was measured, in words, read from its results."""

from jaxlab.report.provenance import seeds_in_words
from jaxlab.report.reading import at_edges, is_full, measure_of, points_of, steps_of, tuning_of, tunings
from jaxlab.report.shown import MANY
from jaxlab.report.study import Power, Program, Study
from jaxlab.report.units import quantity, short
from jaxlab.verdict.measure import enumerate_few, enumerate_words


def protocol(study: Study) -> list[tuple[str, str]]:
    """What was done at each stage, as (stage, words)."""
    diverged = (
        "A run whose metric is not a finite number counts as worse than every run that finished. An arm that "
        "diverged more often than another is never called better than it, nor equivalent to it."
    )
    power, program = study.get("power"), study.get("program")
    return [
        ("Task", study["task"]["description"]),
        ("Tuning", _tuning(study)),
        ("Report", _report(study)),
        ("Comparison", _comparison(study)),
        *([("Power", _power(study, power))] if power else []),
        ("Diverged runs", diverged),
        *([("Program", _program(program))] if program else []),
    ]


def _tuning(study: Study) -> str:
    done = tunings(study)
    if not done:
        return "None: the recipe's numbers were given."
    names = enumerate_words(list(dict.fromkeys(name.replace("_", " ") for x in done for name in points_of(x))), "or")
    counts = [len(tuning["values"]) for tuning in done]
    budgets = sorted({count * len(tuning["seeds"]) for count, tuning in zip(counts, done, strict=True)})
    tried = f"trials, each a value of every {names} that it has" if is_full(study) else f"values of its {names}"
    board = {
        "one-knob": " All other numbers are as published.",
        "full": " Every number with a published range was varied.",
    }.get(study.get("board", ""), "")
    if len(budgets) == 1:
        said = (
            f"Every arm had the same budget: {counts[0]} {tried}, each trained with selection "
            f"{seeds_in_words(done[0]['seeds'])}, {budgets[0]} runs in all.{board}"
        )
    else:
        said = f"Arms tuned their {names} with DIFFERENT budgets, {budgets[0]} to {budgets[-1]} runs.{board}"
    said += " The trial with the best mean on validation data was kept; one with a diverged run only if all had some."
    widened = [f"{arm['name']} ({count})" for arm in study["arms"] if (count := tuning_of(arm).get("widened", 0))]
    if widened:
        said += (
            " Where the best of the first values lay at an edge, the last ones went beyond it: of "
            f"{enumerate_few(widened, MANY)}."
        )
    edges = [
        f"{arm['name']} ({enumerate_words([name.replace('_', ' ') for name in at_edges(tuning_of(arm))])})"
        for arm in study["arms"]
        if at_edges(tuning_of(arm))
    ]
    if edges:
        named = enumerate_few(edges, MANY)
        said += f" Not tuned: {named}, chosen at the edge of what was tried: better ones may lie beyond."
    return said


def _power(study: Study, power: Power) -> str:
    measure = measure_of(study)
    size = ""
    if power["difference"] is not None:
        known = measure.difference(power["difference"]).lstrip("+")
        size = f", here about {known} from the spread between the tuning's runs"
    return (
        f"With {power['seeds']} seeds and {power['pairs']:,} {'pair' if power['pairs'] == 1 else 'pairs'}, a true "
        f"difference of {short(power['effect'])} standard deviations of the paired differences{size}, is found with "
        "80% power. A smaller one may stay undecided."
    )


def _program(program: Program) -> str:
    devices = f"{program['devices']} {program['backend']} {'device' if program['devices'] == 1 else 'devices'}"
    tried = program["trial"]
    why = "as asked for"
    if tried:
        why = "the fastest of a trial: " + ", ".join(
            f"{_layout(name)} {quantity(seconds, 's')} a step" for name, seconds in tried.items()
        )
    return (
        f"The runs of an arm are trained together as one population on {devices}, {_layout(program['layout'])} "
        f"({why}). Executables compiled in all: {program['compilations']:,}."
    )


def _layout(name: str) -> str:
    """How the members of a device are trained.

    >>> _layout("vmap"), _layout("map"), _layout("8")
    ('all at once', 'one after the other', '8 at a time')
    """
    return {"vmap": "all at once", "map": "one after the other"}.get(name, f"{name} at a time")


def _report(study: Study) -> str:
    used = study["arms"][0]["report"]["seeds"]
    steps = steps_of(study)
    done = tunings(study)
    known = {seed for tuning in done for seed in tuning["seeds"]}
    again = sorted(known & set(used))
    fresh = (
        "seeds that tuning never saw"
        if not again
        else f"of which {seeds_in_words(again)} had ALSO served the tuning, so that the result is too rosy"
    )
    trained = (
        f"What was kept was trained anew for {steps:,} steps with report {seeds_in_words(used)}, {fresh},"
        if done
        else f"The recipe was trained for {steps:,} steps with {seeds_in_words(used)},"
    )
    return (
        f"{trained} and scored on test data after the last step. A seed decides the initial parameters, the split into "
        "training and validation data, and the order of the batches; test data are the same for all and were used "
        "only here."
    )


def _comparison(study: Study) -> str:
    count = len(study["comparisons"])
    if not count:
        return "There is one arm, so nothing was compared. Its interval is a 95% t interval."
    margin = study["margin"]
    close = ""
    if margin is not None:
        size = measure_of(study).difference(margin).lstrip("+")
        close = (
            f" Pairs that two one-sided t tests, corrected likewise, show to differ by less than {size} are equivalent."
        )
    return (
        "Arms share their seeds, so they are compared by their differences seed by seed: paired t tests, with Holm's "
        f"correction over {'the one pair' if count == 1 else f'all {count} pairs'}. The chance of any false winner at "
        f"all is at most 5%.{close} Intervals are 95% t intervals, each for itself: one can exclude zero where the "
        "corrected test does not yet decide. "
        "The seeds needed are those that show the observed difference with a power of 80%."
    )
