"""Numbers, sections and several studies: checked, drawn, and on the page."""

import copy

import numpy as np
import pytest
from report.test_page import Page

from jaxlab.report import check, render, write
from jaxlab.report.chart import draw

STEPS = list(range(0, 101, 5))


def _chart(name="decay", **options):
    series = [
        {"name": "cosine", "x": STEPS, "y": [0.5 * (1 + np.cos(np.pi * t / 100)) for t in STEPS]},
        {"name": "step", "x": STEPS, "y": [0.1 ** (t // 40) for t in STEPS]},
        {"name": "measured", "x": [0, 50, 100], "y": [1.0, 0.4, 0.1], "kind": "points"},
    ]
    return {
        "name": name,
        "title": "Rates",
        "caption": "Two schedules.",
        "x": "step",
        "y": "rate",
        "series": series,
        **options,
    }


def _findings(**more):
    table = {
        "title": "By step",
        "columns": ["step", "printed", "true"],
        "rows": [["1000", 0.0037, 4.37e-7], ["1", None, 2]],
    }
    section = {"title": "What was printed", "text": ["First.", "a < b"], "tables": [table], "charts": [_chart()]}
    number = {"name": "slope", "value": 2.0, "interval": [1.9, 2.1], "unit": "", "meaning": "of the line"}
    return {
        "schema": "jaxlab.results/1",
        "experiment": "schedules",
        "question": "Are the tables right?",
        "command": "python -m experiments.schedules",
        "environment": {"processor": "a processor"},
        "config": {"seed": 0},
        "task": None,
        "arms": [],
        "comparisons": [],
        "verdict": "Two of three are. One is not.",
        "seconds": {"total": 3.0, "compile": 1.0},
        "numbers": [number],
        "sections": [section],
        **more,
    }


@pytest.fixture
def one_study(study):
    whole = study(arms=3, rates=4)
    return {name: whole[name] for name in ("question", "task", "arms", "comparisons", "verdict")} | {"margin": None}


def test_a_page_without_a_study():
    page = Page(render(_findings()))
    for said in ("Two of three are.", "What was printed", "a < b", "4.37e-7", "1.9 to 2.1", "0.0037", "\N{EN DASH}"):
        assert any(said in text for text in page.texts), said
    assert "How it was measured" not in page.text
    assert "arm" not in page.texts


def test_a_listing_keeps_its_lines():
    found = _findings()
    found["sections"][0]["listings"] = [{"title": "Printed", "text": "a < b:\n    c"}]
    assert "<h3>Printed</h3><pre><code>a &lt; b:\n    c</code></pre>" in render(found)


def test_a_page_with_two_studies(one_study):
    other = copy.deepcopy(one_study) | {"question": "And with noise?", "verdict": "Nobody knows."}
    text = render(_findings(studies=[one_study, other]))
    page = Page(text)
    assert page.texts.index("And with noise?") > page.texts.index(one_study["question"])
    assert page.texts.count("How it was measured") == 2
    identifiers = page.values("id")
    assert len(identifiers) == len(set(identifiers))


def test_files_of_all_plots(one_study, tmp_path):
    write(_findings(studies=[one_study]), tmp_path)
    names = {path.name for path in (tmp_path / "plots").iterdir()}
    assert {"decay.svg", "decay.png", "study-1-final.svg", "study-1-sensitivity.png"} <= names


def _break(results, path, value):
    *way, last = path
    for key in way:
        results = results[key]
    results[last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("sections", 0, "tables", 0, "rows", 1), ["1"], "rows of .1. cells: accepted are 3"),
        (("sections", 0, "charts", 0, "series"), [], "series is empty"),
        (("sections", 0, "charts", 0, "series", 0, "x"), [1.0], "'cosine' has .1, 21. points"),
        (("sections", 0, "charts", 0, "series", 0, "low"), [0.0] * 21, "one edge of a band"),
        (("sections", 0, "charts", 0, "y_log"), "yes", "y_log is 'yes'"),
        (("sections", 0, "charts"), [_chart(), _chart()], "two charts or pictures named 'decay'"),
        (("sections", 0, "charts", 0, "name"), "../decay", "name is '../decay'"),
        (("sections", 0, "charts", 0, "name"), "", "name is ''"),
        (("sections", 0, "charts", 0, "level"), ["target"], r"level is \['target'\]: accepted are a name and a number"),
        (("sections", 0, "charts", 0, "level"), [1.0, "target"], "accepted are a name and a number"),
        (("numbers", 0, "interval"), [1.0], "interval has 1 entries"),
        (("numbers", 0, "meaning"), None, "meaning is None"),
        (("arms",), [{}], "arms"),
    ],
)
def test_what_does_not_fit_is_said(path, value, message):
    results = _findings()
    _break(results, path, value)
    with pytest.raises(ValueError, match=message):
        check(results)


def test_nothing_at_all_is_refused():
    with pytest.raises(ValueError, match="holds no study"):
        check(_findings(numbers=[], sections=[]))


def test_a_broken_study_is_named(one_study):
    one_study["arms"][1]["report"]["test"] = [1.0]
    with pytest.raises(ValueError, match=r"results.studies\[0\].arms\[1\].report.test has 1 entries"):
        check(_findings(studies=[one_study]))


def test_logarithmic_axes_leave_out_what_they_cannot_show():
    series = [{"name": "gap", "x": [0.0, 1.0, 10.0, 100.0], "y": [1.0, 1e-3, 1e-9, 0.0]}]
    chart = _chart(series=series, x_log=True, y_log=True, level=["floor", 1e-7])
    (axes,) = draw(chart).axes
    assert axes.get_xscale() == axes.get_yscale() == "log"
    low, high = axes.get_ylim()
    assert 0 < low < 1e-9
    assert high > 1
    assert axes.get_xlim()[0] > 0


def test_bars_stand_one_after_the_other():
    series = [
        {"name": "mine", "x": [3.0, 1.0], "y": [0, 1]},
        {"name": "yours", "x": [2.0, None], "y": [0, 1]},
        {"name": "least", "x": [4.0, 0.5], "y": [0, 1], "kind": "points"},
    ]
    chart = _chart(series=series, rows=["above", "below"])
    (axes,) = draw(chart).axes
    assert [(bar.get_x(), bar.get_width()) for bar in axes.patches] == [(0, 3), (0, 1), (3, 2), (1, 0)]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["above", "below"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    assert {"mine", "yours", "least"} == {text.get_text() for text in axes.get_figure().texts} - {"step"}


def test_bars_without_a_row_are_refused():
    findings = _findings()
    findings["sections"][0]["charts"][0]["rows"] = ["one"]
    with pytest.raises(ValueError, match="rows names 1 bars"):
        check(findings)


def test_a_series_that_ends_without_a_value_carries_a_cross():
    series = [
        {"name": "lives", "x": [0, 1, 2], "y": [3.0, 2.0, 1.0]},
        {"name": "dies", "x": [0, 1, 2], "y": [3.0, 9.0, None]},
    ]
    figure = draw(_chart(series=series))
    assert any(line.get_marker() == "x" for line in figure.axes[0].lines)
    assert {"lives", "dies"} <= {text.get_text() for text in figure.axes[0].texts}
