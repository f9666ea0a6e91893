"""The page: well-formed, self-contained, escaped, complete, verdict first."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from report.test_plots import large

from jaxlab import verdict
from jaxlab.report import check, load, render, write
from jaxlab.report.markup import Html, el, inline_svg, link
from jaxlab.report.page import _duration, _sentences
from jaxlab.report.shown import BEST
from jaxlab.report.style import DIVERGED
from jaxlab.verdict.measure import MINUS

VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """Text, elements and attributes of a page; refuses what is not nested properly."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "\n".join(self.texts)

    def values(self, attribute: str) -> list[str]:
        return [value for _, found in self.elements if (value := found.get(attribute)) is not None]


CASES = {
    "two": {"arms": 2, "rates": 4},
    "loss": {"arms": 3, "loss": True, "rates": 4},
    "one arm": {"arms": 1},
    "one seed": {"arms": 3, "seeds": 1, "rates": 4},
    "all diverged": {"arms": 2, "lost": {"sgd": 5, "momentum": 5}},
    "margin": {"arms": 3, "margin": 0.02, "rates": 4},
    "seven": {"rates": 3, "lost": {"lion": 2}},
    "all that may be told": {"arms": 3, "board": "full", "lost": {"sgd": 1}},
}


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES.keys())
def rendered(request, study):
    results = check(study(**request.param))
    return results, Page(render(results))


def test_names_are_unique_and_references_hold(rendered):
    _, page = rendered
    names = page.values("id")
    assert len(names) == len(set(names))
    inner = [ref[1:] for ref in (*page.values("href"), *page.values("xlink:href")) if ref.startswith("#")]
    clips = re.findall(r"url\(#([^)]+)\)", " ".join(page.values("clip-path") + page.values("style")))
    assert set(inner + clips) <= set(names)


def test_nothing_is_loaded(rendered):
    _, page = rendered
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "audio", "video", "base", "image"}
    assert page.values("src") == page.values("srcset") == []
    assert not [name for _, found in page.elements for name in found if name.startswith("on")]
    links = {found["href"] or "" for tag, found in page.elements if tag == "a"}
    assert all(re.match(r"https://arxiv|results\.json$|plots/\w+\.(svg|png)$", href) for href in links)


def test_the_style_loads_nothing(study):
    style = render(study(arms=1)).partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_diverged_runs_stay_red_in_the_dark(study):
    text = render(study(arms=1, rates=4))
    assert f'style="stroke: {DIVERGED}' in text  # as drawn
    dark = text.partition("(prefers-color-scheme: dark)")[2]
    shown = re.search(rf'^ *\[style\*="stroke: {DIVERGED}"\] {{ stroke: (#\w+)', dark, re.MULTILINE)
    assert shown
    # The filter, by the definition of its parts: invert, turn the hue by 180 degrees, brighten.
    drawn = 1.0 - np.array([int(shown[1][i : i + 2], 16) for i in (1, 3, 5)]) / 255.0
    luminance = np.array([0.213, 0.715, 0.072]) @ drawn
    found = 1.4 * (2.0 * luminance - drawn)
    bad = re.search(r"--bad: (#\w+)", dark)
    assert bad
    np.testing.assert_allclose(found, [int(bad[1][i : i + 2], 16) / 255.0 for i in (1, 3, 5)], atol=0.02)


def test_every_arm_and_number_is_there(rendered):
    results, page = rendered
    measure = verdict.Measure(
        results["task"]["metric"], results["task"]["unit"], higher_is_better=results["task"]["higher_is_better"]
    )
    for arm in results["arms"]:
        assert arm["name"] in page.texts
        known = [x for x in (*arm["report"]["test"], arm["report"]["mean"]) if x is not None]
        known += [x for row in arm["tuning"]["validation"] for x in row if x is not None]
        for x in known:
            assert measure.value(x) in page.text
        low, high = arm["report"]["interval"]
        if low is not None:
            assert f"{measure.value(low)} to {measure.value(high)}" in page.text
        if arm["report"]["diverged"]:
            assert f"{arm['report']['diverged']} of {len(arm['report']['test'])}" in page.text
    for found in results["comparisons"]:
        if found["difference"] is not None:
            assert measure.bare(abs(found["difference"]), sign=True).lstrip("+") in page.text
        if found["seeds_needed"]:
            assert f"{found['seeds_needed']:,}" in page.text
    assert results["command"] in page.text


def test_the_verdict_comes_before_any_number(rendered):
    results, page = rendered
    said = page.text.replace("\n", " ")
    body = said[said.rindex(results["question"]) :]
    assert body.removeprefix(results["question"]).strip().startswith(results["verdict"][:40])
    headings = [i for i, (tag, _) in enumerate(page.elements) if tag in ("h1", "h2")]
    roles = [i for i, (_, found) in enumerate(page.elements) if found.get("class") == "verdict"]
    assert headings[0] < roles[0] < headings[1]


def test_plots_are_told_to_those_who_cannot_see(rendered):
    results, page = rendered
    drawings = [found for tag, found in page.elements if tag == "svg"]
    assert drawings
    for found in drawings:
        assert found["role"] == "img"
        assert results["arms"][0]["name"] in (found["aria-label"] or "")
    assert len([tag for tag, _ in page.elements if tag == "h3"]) == len(drawings)


def test_tables_have_heads_and_their_own_scroll(rendered):
    _, page = rendered
    tables = [tag for tag, _ in page.elements if tag == "table"]
    boxes = [found for _, found in page.elements if found.get("class") == "scroll"]
    assert len(boxes) == len(tables) > 0
    assert {found.get("scope") for tag, found in page.elements if tag == "th"} == {"col", "row"}


def test_what_users_name_is_text(study):
    results = check(study(arms=2, rates=3))
    bad = '<script>alert("1")</script>&amp;$x$'
    results["arms"][0]["name"] = results["comparisons"][0]["a"] = bad
    results["arms"][0]["optimizer"] = results["arms"][0]["schedule"] = bad
    results["arms"][0]["reference"] = "javascript:alert(1)"
    for key in ("question", "command", "verdict"):
        results[key] = bad
    results["config"] = results["environment"] = {bad: [bad, {bad: None}]}
    for key in ("name", "metric", "unit", "description"):
        results["task"][key] = bad
    text = render(results)
    page = Page(text)
    assert "<script" not in text
    assert bad in page.texts
    assert not [href for href in page.values("href") if "javascript" in href]


def test_a_large_study_tells_the_best_arm_against_each(study):
    results = large(study)
    text = render(results)
    page = Page(text)
    pairs = [cell for cell in page.texts if f" {MINUS} " in cell]
    assert len(pairs) == 14
    assert all(pair.startswith(f"adamw {MINUS} ") for pair in pairs)
    assert "All 105 stand in results.json" in text
    assert 'class="matrix"' not in text
    assert text.count(f"The {BEST} best of 15 arms; the tables have all.") == 4
    for arm in results["arms"]:
        assert arm["name"] in page.texts


def test_write_leaves_everything_and_nothing_else(study, tmp_path):
    results = study(arms=2, rates=3)
    page = write(results, tmp_path / "new" / "folder")
    assert page == tmp_path / "new" / "folder" / "report.html"
    names = {str(path.relative_to(page.parent)) for path in page.parent.rglob("*") if path.is_file()}
    plots = {
        f"plots/{name}.{kind}" for name in ("final", "differences", "curves", "sensitivity") for kind in ("svg", "png")
    }
    assert names == {"results.json", "report.html"} | plots
    assert load(page.parent) == check(results)
    assert page.read_text(encoding="utf-8") == render(results)


def test_bad_results_write_nothing(study, tmp_path):
    results = study(arms=2, rates=3)
    del results["verdict"]
    with pytest.raises(ValueError, match=r"results\.verdict is missing"):
        write(results, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_elements_escape_all_but_markup():
    assert el("p", "<b>", Html("<i>x</i>"), None, title='"', class_="c", id=None) == (
        '<p title="&quot;" class="c">&lt;b&gt;<i>x</i></p>'
    )


def test_links_lead_to_the_web_or_to_files_beside():
    assert link("https://www.a.org/b") == '<a href="https://www.a.org/b">a.org/b</a>'
    assert link("plots/a.svg", "SVG") == '<a href="plots/a.svg">SVG</a>'
    assert link("javascript:alert(1)") == "javascript:alert(1)"
    assert link("a book, 1951") == "a book, 1951"


def test_two_drawings_may_share_names():
    body = '<metadata>m</metadata><g id="a"/><use xlink:href="#a"/>'
    found = inline_svg(f'<?xml version="1.0"?><svg width="1" viewBox="0 0 2 3">{body}</svg>', "one", "x < y")
    assert 'id="one-a"' in found
    assert 'href="#one-a"' in found
    assert 'aria-label="x &lt; y"' in found
    assert "metadata" not in found


def test_sentences_and_durations():
    assert _sentences("A is 97.5%. B is not. ") == ["A is 97.5%.", "B is not.", ""]
    assert [_duration(x) for x in (0.2, 61, 7260)] == ["1 s", "1 min 1 s", "2 h 1 min"]
