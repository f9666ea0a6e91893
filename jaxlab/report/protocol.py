"""How a study was measured, in words, read from its results."""

from collections.abc import Sequence

from jaxlab.report.reading import measure_of, tuning_of, tunings
from jaxlab.report.study import Study
from jaxlab.verdict.measure import enumerate_words


def protocol(study: Study) -> list[tuple[str, str]]:
    """What was done at each stage, as (stage, words)."""
    diverged = (
        "A run whose metric is not a finite number counts as worse than every run that finished. An arm that "
        "diverged more often than another is never called better than it, nor equivalent to it."
    )
    return [
        ("Task", study["task"]["description"]),
        ("Tuning", _tuning(study)),
        ("Report", _report(study)),
        ("Comparison", _comparison(study)),
        ("Diverged runs", diverged),
    ]


def seeds_in_words(seeds: Sequence[int]) -> str:
    """Seeds, runs of them shortened.

    >>> seeds_in_words([0, 1, 2]), seeds_in_words([7]), seeds_in_words([1, 5])
    ('seeds 0 to 2', 'seed 7', 'seeds 1 and 5')
    """
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return f"seed{'s' * (len(seeds) > 1)} {enumerate_words([str(seed) for seed in seeds])}"


def _tuning(study: Study) -> str:
    done = tunings(study)
    if not done:
        return "None: the recipe's numbers were given."
    names = enumerate_words(list(dict.fromkeys(tuning["parameter"].replace("_", " ") for tuning in done)), "or")
    budgets = sorted({len(tuning["values"]) * len(tuning["seeds"]) for tuning in done})
    first = done[0]
    if len(budgets) == 1:
        said = (
            f"Every arm had the same budget: {len(first['values'])} values of its {names}, each trained with selection "
            f"{seeds_in_words(first['seeds'])}, {budgets[0]} runs in all."
        )
    else:
        said = f"Arms tuned their {names} with DIFFERENT budgets, {budgets[0]} to {budgets[-1]} runs."
    said += " The value with the best mean on validation data was kept; one with a diverged run only if all had some."
    edges = [arm["name"] for arm in study["arms"] if tuning_of(arm)["at_edge"]]
    if edges:
        said += f" The choice of {enumerate_words(edges)} lies on the edge of its grid: a better value may lie beyond."
    return said


def _report(study: Study) -> str:
    used = study["arms"][0]["report"]["seeds"]
    steps = max(arm["curves"]["steps"][-1] for arm in study["arms"])
    done = tunings(study)
    known = {seed for tuning in done for seed in tuning["seeds"]}
    again = sorted(known & set(used))
    fresh = (
        "seeds that tuning never saw"
        if not again
        else f"of which {seeds_in_words(again)} had ALSO served the tuning, so that the result is too rosy"
    )
    trained = (
        f"The kept value was trained anew for {steps:,} steps with report {seeds_in_words(used)}, {fresh},"
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
