"""Where a number comes from: which runs made it, and where in results.json it stands, so that all can be checked."""

from typing import Literal, NamedTuple

from jaxlab.report.markup import Html, el, join
from jaxlab.report.reading import steps_of, tunings
from jaxlab.report.study import Arm, Study
from jaxlab.verdict.measure import enumerate_words

Stage = Literal["tuning", "report", "curves", "clock"]


class Place(NamedTuple):
    """A study, and what the paths of its fields in results.json begin with: ``"studies[0]."`` for one of several."""

    study: Study
    path: str = ""

    def arm(self, arm: Arm, field: str) -> str:
        """Where a field of an arm stands."""
        names = [other["name"] for other in self.study["arms"]]
        return f"{self.path}arms[{names.index(arm['name'])}].{field}"

    def pair(self, a: str, b: str, field: str) -> str:
        """Where a field of the comparison of a with b stands."""
        pairs = [{found["a"], found["b"]} for found in self.study["comparisons"]]
        return f"{self.path}comparisons[{pairs.index({a, b})}].{field}"


def source(place: Place, stages: tuple[Stage, ...], fields: tuple[str, ...], how: str = "") -> Html:
    """A fold: the runs behind a table or a plot, the fields of results.json, and how its numbers follow from them."""
    runs = [_runs(place.study, stage) for stage in stages]
    codes = [el("code", f"{place.path}{field}") for field in fields]
    listed = [part for code in codes for part in (", ", code)][1:]
    words = el("p", " ".join(runs), " In ", "results.json: ", join(*listed), f". {how}".rstrip())
    return el("details", el("summary", "Source"), words, class_="source")


def seeds_in_words(seeds: list[int]) -> str:
    """Seeds, runs of them shortened.

    >>> seeds_in_words([0, 1, 2]), seeds_in_words([7]), seeds_in_words([1, 5])
    ('seeds 0 to 2', 'seed 7', 'seeds 1 and 5')
    """
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return f"seed{'s' * (len(seeds) > 1)} {enumerate_words([str(seed) for seed in seeds])}"


def _runs(study: Study, stage: Stage) -> str:
    steps, used = f"{steps_of(study):,} steps", seeds_in_words(study["arms"][0]["report"]["seeds"])
    if stage == "clock":
        return "Clocks and counters of this machine, over the runs of tuning and report."
    if stage == "report":
        return f"Report runs: {used} of each arm, {steps} each, scored once on test data after the last step."
    if stage == "curves":
        return f"Report runs: {used} of each arm, {steps} each, scored on validation data on their way."
    done = tunings(study)
    if not done:
        return "Nothing was tuned."
    trials = sorted({len(tuning["values"]) for tuning in done})
    count = f"{trials[0]} to {trials[-1]}" if len(trials) > 1 else f"{trials[0]}"
    return (
        f"Tuning runs: {count} trials of each arm, each with selection {seeds_in_words(done[0]['seeds'])}, {steps} "
        "each, scored on validation data after the last step."
    )
