"""Every number says where it stands in results.json, and there it is."""

import re

import pytest
from report.test_page import Page

from jaxlab import verdict
from jaxlab.report import check, render
from jaxlab.report.page import _page
from jaxlab.report.provenance import Place, seeds_in_words, source
from jaxlab.report.results import studies_of

PATH = re.compile(r"(studies\[\d+\]\.)?(arms|comparisons)\[\d+\]\.[\w.\[\]]+")


class Cells(Page):
    """The table cells that name a path, with their text."""

    def __init__(self, text: str) -> None:
        self.cells: list[tuple[str, str]] = []
        self.path: str | None = None
        super().__init__(text)

    def handle_starttag(self, tag, attrs):
        super().handle_starttag(tag, attrs)
        if tag == "td":
            title = dict(attrs).get("title") or ""
            self.path = title if PATH.fullmatch(title) else None
            if self.path:
                self.cells.append((self.path, ""))

    def handle_data(self, data):
        super().handle_data(data)
        if self.path and "td" in self.open:
            self.cells[-1] = (self.path, self.cells[-1][1] + data)


def at(results, path):
    """What stands at a path such as arms[2].report.mean."""
    for key, index in re.findall(r"(\w+)|\[(\d+)\]", path):
        results = results[key] if key else results[int(index)]
    return results


@pytest.fixture(scope="module")
def told(study):
    return check(study(arms=2, board="full", lost={"sgd": 1}))


@pytest.fixture(scope="module")
def page(told):
    return Cells(render(told))


def test_every_path_leads_to_its_number(told, page):
    measure = verdict.Measure("accuracy", "fraction correct", higher_is_better=True)
    for path, shown in page.cells:
        value = at(told, path)
        if path.endswith(("report.mean", *(f"report.test[{i}]" for i in range(5)))) and value is not None:
            assert measure.value(value) == shown.strip("()")
        if path.endswith(".difference") and value is not None:
            assert measure.bare(abs(value), sign=True).lstrip("+") == shown.lstrip("+\N{MINUS SIGN}")
    kinds = {re.sub(r"\[\d+\]", "[]", path) for path, _ in page.cells}
    assert kinds >= {
        "arms[].report.mean",
        "arms[].report.interval",
        "arms[].report.test[]",
        "arms[].tuning.validation[]",
        "arms[].cost.flops_per_step",
        "arms[].measures.divergence",
        "arms[].measures.study.search_sd",
        "comparisons[].p_holm",
        "comparisons[].p_better",
    }


def test_studies_that_are_several_have_their_own_paths(told):
    one = studies_of(told)[0]
    whole = {name: told[name] for name in ("schema", "experiment", "command", "environment", "config", "seconds")}
    whole |= {"question": "And in all?", "verdict": "Both.", "task": None, "arms": [], "comparisons": []}
    results = check({**whole, "studies": [one, {**one, "question": "And again?"}]})
    page = Cells(_page(results, {}))
    starts = {path.partition(".")[0] for path, _ in page.cells}
    assert starts == {"studies[0]", "studies[1]"}
    for path, _ in page.cells:
        at(results, path)
    assert any(text == "studies[1].arms[].report.test[seed]" for text in page.texts)
    # The table of studies leads to each.
    links = [found["href"] for tag, found in page.elements if tag == "a" and (found["href"] or "").startswith("#")]
    assert links == ["#study-1-study", "#study-2-study"]
    assert set(page.values("id")) >= {"study-1-study", "study-2-study"}
    assert page.texts.index("The studies") < page.texts.index("Result")


def test_every_table_and_plot_has_a_source(page):
    figures = [tag for tag, _ in page.elements if tag == "figure"]
    assert len([found for _, found in page.elements if found.get("class") == "source"]) == len(figures) == 6 + 8


def test_sources_name_runs_and_fields(told):
    place = Place(studies_of(told)[0], "studies[4].")
    text = source(place, ("tuning", "report"), ("arms[].cost",), "So it is.")
    assert "Tuning runs: 8 trials of each arm, each with selection seeds 0 to 2, 1,000 steps each" in text
    assert "Report runs: seeds 1000 to 1004 of each arm, 1,000 steps each, scored once on test data" in text
    assert "<code>studies[4].arms[].cost</code>. So it is." in text
    assert place.pair("momentum", "sgd", "p") == place.pair("sgd", "momentum", "p") == "studies[4].comparisons[0].p"
    assert seeds_in_words([3]) == "seed 3"
