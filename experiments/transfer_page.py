"""What ``experiments.transfer`` says: its numbers, tables, charts and verdict."""

import dataclasses
import statistics
from collections.abc import Mapping

import numpy as np

from benchmarks.side_by_side import median_interval
from experiments.transfer_arms import BATCH_ROWS, METHODS, SCRATCH
from experiments.transfer_costs import Cost
from experiments.transfer_subject import Story, Subject
from jaxlab import report, verdict
from jaxlab.report.reading import as_comparison, between, measure_of, steps_of, tuning_of
from jaxlab.report.sections import Chart, Number, Section, Series, Table
from jaxlab.report.study import Arm
from jaxlab.verdict.measure import enumerate_words

Cell = str | float | None
LABELS = "Labels for each class"


@dataclasses.dataclass(frozen=True)
class Page:
    """What was found, in words, tables and charts.

    Attributes:
      subject, story: that was asked about.
      validation: labels for each class that rates were chosen by.
      found: a study for each budget.
      costs: of a step of each method, at the largest budget.
    """

    subject: Subject
    story: Story
    validation: int
    found: Mapping[int, report.Study]
    costs: Mapping[str, Cost]

    @property
    def measure(self) -> verdict.Measure:
        """How accuracy is said."""
        return measure_of(next(iter(self.found.values())))

    @property
    def ways(self) -> list[str]:
        """The methods but scratch."""
        return [name for name in self.costs if name != SCRATCH]

    def gain(self, budget: int, way: str) -> verdict.Comparison:
        """A way against scratch, over the seeds of a budget's report."""
        pair = between(self.found[budget], way, SCRATCH)
        assert pair is not None
        return as_comparison(pair)

    def chosen(self, budget: int) -> str:
        """The way that did best on validation, which is how anybody would choose one: test images have no say."""
        return max(self.ways, key=lambda way: validated(self.arm(budget, way)))

    def arm(self, budget: int, name: str) -> Arm:
        """A method's part of a study."""
        return next(arm for arm in self.found[budget]["arms"] if arm["name"] == name)

    def answer(self) -> str:
        """What reuse is worth at each budget, who is better than scratch, what a frozen base saves."""
        if not self.ways:
            return "There is nothing to hold against scratch."
        best = {budget: self.gain(budget, self.chosen(budget)) for budget in self.found}
        words = []
        for word, said in (
            ("better", "better than training from scratch"),
            ("undecided", "not told apart from scratch"),
            ("worse", "worse than scratch"),
        ):
            parts = [
                f"{budget} labels for each class ({one.a}, {self.measure.difference(one.difference)})"
                for budget, one in best.items()
                if one.verdict == word
            ]
            if parts:
                start = "The way that validation chooses" if not words else "It"
                words.append(f"{start} is {said} with {enumerate_words(parts)}.")
        gains = [self.gain(budget, way) for budget in self.found for way in self.ways]
        better = sum(one.verdict == "better" for one in gains)
        lost = sum(one.verdict == "worse" for one in gains)
        words.append(
            f"Of {len(gains)} pairs of a way and a budget {better} are better than scratch, {lost} worse, "
            f"{len(gains) - better - lost} undecided."
        )
        return " ".join([*words, *self._saved()])

    def _saved(self) -> list[str]:
        """What the two ways that leave the base alone save."""
        scratch, said = self.costs[SCRATCH], []
        for way in ("linear probe", "frozen base"):
            if way in self.costs:
                cost = self.costs[way]
                share = f"{100 * cost.state / scratch.state:.0f}% of the optimizer's state"
                if cost.seconds and scratch.seconds:
                    share += f" and {100 * ratio(cost, scratch)[0]:.0f}% of a step's time"
                said.append(f"a {way} takes {share}")
        if not said:
            return []
        text = f"Against scratch {', '.join(said)}"
        if "frozen base" in self.costs:
            text += (
                f"; the latter's compiled program has {self.costs['frozen base'].backward} backward operations of the "
                f"base, scratch's {scratch.backward}"
            )
        return [text + "."]

    def numbers(self) -> list[Number]:
        """Each way's difference to scratch at each budget, and what is known of the base."""
        found: list[Number] = []
        for budget in self.found:
            for way in self.ways:
                one = self.gain(budget, way)
                found.append(
                    {
                        "name": f"{way} - scratch, {budget} labels",
                        "value": one.difference * self.measure.factor,
                        "interval": [end * self.measure.factor if np.isfinite(end) else None for end in one.interval],
                        "unit": self.measure.difference_unit,
                        "meaning": f"of test {self.measure.name}, {budget} labels for each class: {one.verdict}",
                    }
                )
        return [*self.story.numbers, *found]

    def sections(self) -> list[Section]:
        """Accuracy against labels, what is gained, what a step costs, and the base."""
        return [self._accuracy(), *[self._gains()] * bool(self.ways), self._cost(), self._base()]

    def _accuracy(self) -> Section:
        seeds = len(next(iter(self.found.values()))["arms"][0]["report"]["seeds"])
        first = next(iter(self.found.values()))
        rates = len(tuning_of(first["arms"][0])["values"])
        text = [
            (
                f"{self.subject.description}. Every run takes {steps_of(first)} steps of {BATCH_ROWS} images of each "
                "class, or of all where there are fewer. A seed decides which images have labels, and what is fresh "
                "begins; all methods share it. Images of each class are equally many."
            ),
            (
                f"Each method chooses among {rates} learning rates on {self.validation} validation images "
                f"of each class, and is reported on {self.subject.test['y'].size:,} test images with {seeds} seeds "
                "that chose nothing. Who has but ten labels has no such validation images: this says how good a "
                "method can be, not how it would be tuned. All methods are helped alike."
            ),
        ]
        rows: list[list[Cell]] = [
            [name, *(self.measure.value(self.arm(budget, name)["report"]["mean"]) for budget in self.found)]
            for name in self.costs
        ]
        table: Table = {
            "title": f"Test {self.measure.name} by labels for each class: means over seeds",
            "columns": ["Method", *map(str, self.found)],
            "rows": rows,
        }
        about: list[list[Cell]] = [[name, METHODS[name].about, METHODS[name].reference] for name in self.costs]
        methods: Table = {"title": "The methods", "columns": ["Method", "What is trained", "From"], "rows": about}
        chart: Chart = {
            "name": "accuracy",
            "title": "How good, from how many labels",
            "caption": "Mean and 95% interval over seeds, each method with its best rate.",
            "x": LABELS,
            "y": self.measure.axis("test"),
            "x_log": True,
            "series": [self._line(name) for name in self.costs],
        }
        return {"title": "Accuracy against labels", "text": text, "tables": [table, methods], "charts": [chart]}

    def _line(self, name: str) -> Series:
        tests = [np.array(self.arm(budget, name)["report"]["test"], np.float64) for budget in self.found]
        bands = [verdict.t_interval(test) for test in tests]
        return self._series(name, [float(test.mean()) for test in tests], bands)

    def _series(self, name: str, means: list[float], bands: list[tuple[float, float]]) -> Series:
        factor = self.measure.factor
        return {
            "name": name,
            "x": list(self.found),
            "y": [factor * mean for mean in means],
            "low": [factor * low for low, _ in bands],
            "high": [factor * high for _, high in bands],
        }

    def _gains(self) -> Section:
        rows: list[list[Cell]] = []
        for budget in self.found:
            for way in self.ways:
                one = self.gain(budget, way)
                ends = " to ".join(self.measure.bare(end, sign=True) for end in one.interval)
                rows.append([way, f"{budget}", self.measure.bare(one.difference, sign=True), ends, one.verdict])
        text = [
            (
                "A difference is the mean over seeds of a method's accuracy less that of scratch with the same "
                "labels, in points. Verdicts are at 5% for all pairs of methods of a budget together (Holm's "
                "correction); an interval is its pair's own, at 95%."
            ),
            (
                "They speak of this base. Seeds vary the labels, the fresh weights and the order of batches, not the "
                "network that was trained before: another base would move all the methods that use it together, and "
                "an interval over bases, of which this is one, would be wider. --seed trains another."
            ),
        ]
        table: Table = {
            "title": "Against scratch",
            "columns": ["Method", LABELS, "Points above scratch", "95% interval", "Verdict"],
            "rows": rows,
        }
        lines: list[Series] = []
        for way in self.ways:
            pairs = [self.gain(budget, way) for budget in self.found]
            lines.append(self._series(way, [one.difference for one in pairs], [one.interval for one in pairs]))
        chart: Chart = {
            "name": "gains",
            "title": "What the base is worth",
            "caption": "Mean difference to scratch over shared seeds and its 95% interval.",
            "x": LABELS,
            "y": "points above scratch",
            "x_log": True,
            "level": ["scratch", 0.0],
            "series": lines,
        }
        return {"title": "What is gained over scratch", "text": text, "tables": [table], "charts": [chart]}

    def _cost(self) -> Section:
        scratch, rows = self.costs[SCRATCH], []
        for name, cost in self.costs.items():
            row: list[Cell] = [name, f"{cost.trained:,}", f"{cost.parameters:,}", f"{cost.state:,}"]
            row += [f"{cost.temporaries:,}", f"{cost.forward}", f"{cost.backward}"]
            if cost.seconds:
                middle, (low, high) = ratio(cost, scratch)
                row += [f"{1e3 * statistics.median(cost.seconds):.3g}"]
                row += ["1" if name == SCRATCH else f"{middle:.2f} ({low:.2f} to {high:.2f})"]
            rows.append(row)
        columns = ["Method", "Trained", "Parameters", "State, bytes", "Temporaries, bytes", "Base forward"]
        columns += ["Base backward", *["Step, ms", "Times scratch's"] * bool(scratch.seconds)]
        text = [
            (
                "One run's step on one batch of the largest budget, compiled alone. State is the optimizer's; "
                "temporaries are what the step needs beside what it is given and gives back. Base forward and backward "
                "are operations of the compiled program that bear the base's name: gradients of the base, and through "
                "it, are the backward ones. A frozen base has none. A linear probe has no base in its program at all: "
                "its features were computed before."
            )
        ]
        if scratch.seconds:
            text.append(
                "Steps are timed in turn; the ratio to scratch is the median of paired rounds with its 95% interval."
            )
        table: Table = {"title": "What a step costs", "columns": columns, "rows": rows}
        return {"title": "What it costs", "text": text, "tables": [table], "charts": []}

    def _base(self) -> Section:
        return {
            "title": "The base",
            "text": self.story.text,
            "tables": [],
            "charts": [],
            "listings": [{"title": "What the file had for the base", "text": self.story.report}],
        }


def validated(arm: Arm) -> float:
    """The chosen rate's mean on validation."""
    tuning = tuning_of(arm)
    row = tuning["validation"][tuning["values"].index(tuning["chosen"])]
    return float(np.mean([-np.inf if value is None else value for value in row]))


def ratio(cost: Cost, other: Cost) -> tuple[float, tuple[float, float]]:
    """The time of a step as a multiple of another's: median of paired rounds, and its interval."""
    paired = [a / b for a, b in zip(cost.seconds, other.seconds, strict=True)]
    return statistics.median(paired), median_interval(paired)
