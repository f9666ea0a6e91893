"""What ``experiments.transfer --images`` says: its numbers, tables, charts, pictures and verdict."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Int
from PIL import Image

from experiments.transfer_network import Base
from jaxlab import report, verdict
from jaxlab.images import Images
from jaxlab.report.picture import encoded
from jaxlab.report.reading import as_comparison, between, measure_of, steps_of, tuning_of
from jaxlab.report.sections import Chart, Number, Picture, Section, Series, Table

Cell = str | float | None
ACROSS, SIDE, GAP = 8, 56, 2
"""Images in a row of a picture, their pixels, and pixels between them."""
ROWS = 12
"""Classes that a picture shows."""
LISTED = 40
"""Files that a table names."""


@dataclasses.dataclass(frozen=True)
class Page:
    """What was found, in words, tables, charts and pictures.

    Attributes:
      images: all photographs.
      pool, test: which of them may train, [rows, classes], and which are for the test.
      network, base: whose features.
      found: a study for each budget.
      about: what each method does; the probe is the first, its control the second.
      named: the classes that these two name on the test, [seeds, n], at the largest budget.
      sights: ImageNet's likeliest classes of two photographs.
    """

    images: Images
    pool: Int[np.ndarray, "rows classes"]
    test: Int[np.ndarray, " n"]
    network: str
    base: Base
    found: Mapping[int, report.Study]
    about: Mapping[str, str]
    named: Mapping[str, Int[np.ndarray, "seeds n"]]
    sights: Mapping[str, list[tuple[str, float]]]

    @property
    def probe(self) -> str:
        """On the base's features."""
        return next(iter(self.about))

    @property
    def control(self) -> str:
        """On features of random weights."""
        return list(self.about)[1]

    @property
    def measure(self) -> verdict.Measure:
        """How accuracy is said."""
        return measure_of(next(iter(self.found.values())))

    @property
    def most(self) -> int:
        """The largest budget."""
        return max(self.found)

    @property
    def truth(self) -> Int[np.ndarray, " n"]:
        """The test's classes."""
        return self.images.labels[self.test]

    @property
    def vote(self) -> Int[np.ndarray, " n"]:
        """The class that most of the probes name."""
        classes = np.arange(len(self.images.classes))
        return (self.named[self.probe][..., None] == classes).sum(0).argmax(-1)

    def gain(self, budget: int) -> verdict.Comparison:
        """The probe against its control, over the seeds of a budget's report."""
        pair = between(self.found[budget], self.probe, self.control)
        assert pair is not None
        return as_comparison(pair)

    def tests(self, budget: int, name: str) -> np.ndarray:
        """A method's accuracy on the test, seed by seed."""
        arm = next(arm for arm in self.found[budget]["arms"] if arm["name"] == name)
        return np.array(arm["report"]["test"], np.float64)

    def answer(self) -> str:
        """What the weights are worth with the most photographs, then with fewer."""
        gain, measure = self.gain(self.most), self.measure
        mean, control = (measure.value(self.tests(self.most, name).mean()) for name in (self.probe, self.control))
        first = (
            f"With {photographs(self.most)} of each class to learn from, a linear probe on {self.network}'s features "
            f"({self.base.source}) names {mean} of {len(self.test)} unseen photographs rightly; on the same network at "
            f"random weights it is {control}: {said(gain, measure)}."
        )
        fewer = [
            f"With {photographs(budget)} of each: {measure.value(self.tests(budget, self.probe).mean())}, "
            f"{said(self.gain(budget), measure)}."
            for budget in sorted(self.found, reverse=True)[1:]
        ]
        return " ".join([first, *fewer])

    def numbers(self) -> list[Number]:
        """Each method's accuracy at the largest budget, and what the weights are worth at each."""
        found: list[Number] = []
        for name in self.about:
            values = self.tests(self.most, name)
            what = f"of test photographs are named rightly, {photographs(self.most)} of each class to learn from"
            found.append(self._number(f"accuracy, {name}", values.mean(), verdict.t_interval(values), "%", what))
        for budget in self.found:
            one = self.gain(budget)
            what = f"of test accuracy, {photographs(budget)} of each class: {one.verdict}"
            name = f"{self.probe} - {self.control}, {budget} of each class"
            found.append(self._number(name, one.difference, one.interval, "points", what))
        return found

    def _number(self, name: str, value: float, interval: tuple[float, float], unit: str, meaning: str) -> Number:
        factor = self.measure.factor
        ends = [factor * float(end) if np.isfinite(end) else None for end in interval]
        return {"name": name, "value": factor * float(value), "interval": ends, "unit": unit, "meaning": meaning}

    def sections(self) -> list[Section]:
        """Accuracy, what was named how, the folder, the base."""
        return [self._accuracy(), self._shown(), self._folder(), self._base()]

    def _accuracy(self) -> Section:
        first = next(iter(self.found.values()))
        arm, share = first["arms"][0], np.bincount(self.truth).max() / len(self.test)
        text = [
            (
                f"Features of all photographs are computed once and standardised by the pool's. Every run takes "
                f"{steps_of(first)} steps. Of the pool's {photographs(len(self.pool))} of each class as many train as "
                f"the budget says, which ones a seed decides; the others choose among "
                f"{len(tuning_of(arm)['values'])} learning rates. Accuracy is reported with "
                f"{len(arm['report']['seeds'])} seeds that chose nothing. All methods share all this."
            ),
            (
                f"The test is {len(self.test)} photographs, the same for all seeds, that trained nothing and chose "
                f"nothing. Who always named the most frequent class would be right for {100 * share:.0f}%. Intervals "
                "are over seeds: over which photographs train, not over which are tested."
            ),
        ]
        rows: list[list[Cell]] = [
            [name, *(self.measure.value(self.tests(budget, name).mean()) for budget in self.found)]
            for name in self.about
        ]
        table: Table = {
            "title": "Test accuracy by photographs of each class: means over seeds",
            "columns": ["Method", *map(str, self.found)],
            "rows": rows,
        }
        chart: Chart = {
            "name": "accuracy",
            "title": "How good, from how many photographs",
            "caption": "Mean and 95% interval over seeds, each method with its best rate.",
            "x": "photographs of each class",
            "y": self.measure.axis("test"),
            "x_log": max(self.found) >= 20 * min(self.found),
            "series": [self._line(name) for name in self.about],
        }
        ways: list[list[Cell]] = [[name, about] for name, about in self.about.items()]
        methods: Table = {"title": "The methods", "columns": ["Method", "What is trained"], "rows": ways}
        return {"title": "Accuracy against photographs", "text": text, "tables": [table, methods], "charts": [chart]}

    def _line(self, name: str) -> Series:
        factor, tests = self.measure.factor, [self.tests(budget, name) for budget in self.found]
        bands = [verdict.t_interval(test) for test in tests]
        return {
            "name": name,
            "x": list(self.found),
            "y": [factor * float(test.mean()) for test in tests],
            "low": [factor * self.measure.possible(low) for low, _ in bands],
            "high": [factor * self.measure.possible(high) for _, high in bands],
        }

    def _shown(self) -> Section:
        classes, truth, vote = self.images.classes, self.truth, self.vote
        right = [(name, np.flatnonzero((truth == i) & (vote == i))) for i, name in enumerate(classes)]
        wrong = [(name, np.flatnonzero((truth != i) & (vote == i))) for i, name in enumerate(classes)]
        pictures = [
            self._picture("right", "Named rightly", "Test photographs, a class a row.", right),
            self._picture("wrong", "Named wrongly", "Others that were taken for a row's class.", wrong),
        ]
        said_right = sum(len(places) for _, places in right)
        told = (
            f"By most of the {len(self.named[self.probe])} probes that learnt from {photographs(self.most)} of each "
            f"class, {said_right} of {len(truth)} test photographs are named rightly."
        )
        tables = [self._classes(), *self._mistakes()]
        shown = [one for one in pictures if one is not None]
        return {"title": "What was named how", "text": [told], "tables": tables, "charts": [], "pictures": shown}

    def _picture(self, name: str, title: str, caption: str, rows: list[tuple[str, np.ndarray]]) -> Picture | None:
        filled = [(label, places[:ACROSS]) for label, places in rows if len(places)][:ROWS]
        if not filled:
            return None
        across = max(len(places) for _, places in filled)
        cell = SIDE + GAP
        grid = np.full((len(filled) * cell, across * cell, 3), 255, np.uint8)
        for row, (_, places) in enumerate(filled):
            for column, image in enumerate(self.images.load(self.test[places])["x"]):
                small = np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BOX))
                top, left = row * cell + GAP, column * cell + GAP
                grid[top : top + SIDE, left : left + SIDE] = small
        labels = [label for label, _ in filled]
        return {"name": name, "title": title, "caption": caption, "rows": labels, "png": encoded(grid)}

    def _classes(self) -> Table:
        rows: list[list[Cell]] = []
        for label, name in enumerate(self.images.classes):
            of = self.truth == label
            share = (self.measure.value((self.named[way][:, of] == label).mean()) for way in (self.probe, self.control))
            rows.append([name, self.images.counts[name], len(self.pool), int(of.sum()), *share])
        return {
            "title": f"By class, {photographs(self.most)} of each to learn from: named rightly, mean over seeds",
            "columns": ["Class", "Photographs", "Pool", "Test", self.probe, self.control],
            "rows": rows,
        }

    def _mistakes(self) -> Iterator[Table]:
        wrong, classes = np.flatnonzero(self.vote != self.truth), self.images.classes
        named = self.named[self.probe]
        rows: list[list[Cell]] = [
            [
                self.images.paths[self.test[place]],
                classes[self.truth[place]],
                classes[self.vote[place]],
                f"{(named[:, place] == self.vote[place]).sum()} of {len(named)}",
            ]
            for place in wrong[:LISTED]
        ]
        if rows:
            more = f" (the first {LISTED} of {len(wrong)})" * (len(wrong) > LISTED)
            columns = ["Photograph", "It is", "Named", "By"]
            yield {"title": f"Photographs that most probes named wrongly{more}", "columns": columns, "rows": rows}

    def _folder(self) -> Section:
        images = self.images
        counts = ", ".join(f"{count} {name}" for name, count in images.counts.items())
        height, width = images.stored.shape[1:3]
        text = [
            (
                f"The folder {images.name!r}: {len(images):,} photographs ({counts}), decoded to {height} x {width} "
                f"pixels; SHA-256 of names and contents {images.digest}."
            ),
            (
                f"Split by photograph, by a hash of each file: the pool has {len(self.pool)} of each class, two thirds "
                "of the rarest; all others are for the test. Files that are equal byte by byte count once. Two "
                "pictures of one thing are two photographs: where there are many such, test on others."
            ),
            *["No file was left out."] * (not images.left_out),
        ]
        rows: list[list[Cell]] = [[path, reason] for path, reason in list(images.left_out.items())[:LISTED]]
        more = f" (the first {LISTED} of {len(images.left_out)})" * (len(images.left_out) > LISTED)
        tables: list[Table] = []
        if rows:
            tables.append({"title": f"Files that were left out{more}", "columns": ["File", "Why"], "rows": rows})
        return {"title": "The photographs", "text": text, "tables": tables, "charts": []}

    def _base(self) -> Section:
        frozen = "the statistics of its normalisation are frozen (from scratch at 0 and 1, a handicap)"
        text = [f"{self.network} with {self.base.source}; {frozen}."]
        tables: list[Table] = []
        if self.sights:
            text.append("What it sees, by its own last layer, in the two photographs that scikit-learn brings:")
        for name, top in self.sights.items():
            rows: list[list[Cell]] = [[label, f"{100 * share:.1f}%"] for label, share in top]
            tables.append({"title": name, "columns": ["ImageNet's class", "Probability"], "rows": rows})
        lines = self.base.report.splitlines()
        more = [f"... and {len(lines) - LISTED:,} more"] * (len(lines) > LISTED)
        listed = "\n".join([*lines[:LISTED], *more])
        return {
            "title": "The base",
            "text": text,
            "tables": tables,
            "charts": [],
            "listings": [{"title": "What the file had for the network", "text": listed}],
        }


def photographs(count: int) -> str:
    """So many.

    >>> photographs(1), photographs(8)
    ('1 photograph', '8 photographs')
    """
    return f"{count} photograph{'s' * (count != 1)}"


def said(gain: verdict.Comparison, measure: verdict.Measure) -> str:
    """A comparison in words."""
    by = " by" if gain.verdict in ("better", "worse") else ","
    interval = measure.interval(*gain.interval)
    return f"{gain.verdict}{by} {measure.difference(gain.difference)} (95% interval {interval})"
