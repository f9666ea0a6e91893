"""One self-contained report.html: the verdict in words first, then the numbers, then how they came about.

The page loads nothing: style and plots are part of it, and it needs no script.
"""

import math
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from jaxlab.report import tables
from jaxlab.report.markup import Html, el, inline_svg, join, link
from jaxlab.report.plots import figures, to_png, to_svg
from jaxlab.report.protocol import protocol
from jaxlab.report.reading import measure_of, ranked, tunings
from jaxlab.report.results import Results, check, save, write_atomically

_TITLES = {
    "final": "Final metric",
    "differences": "Paired differences from the best",
    "curves": "Learning curves",
    "sensitivity": "Sensitivity to the tuned value",
}
_CAPTIONS = {
    "final": "Best first. Circles: report seeds. Marker: mean, hollow where it leaves out diverged runs. "
    "Bar: 95% interval. An arrow stands for an arm too far off to share the axis.",
    "differences": "Each seed's difference, arm by arm. Marker: mean, filled where the verdict is decided. "
    "Bar: 95% interval, before the correction for many pairs.",
    "curves": "Mean over report seeds with a 95% bootstrap band, for the eye only. A cross: a run diverged. "
    "The axis shows where the arms differ; the start and arms far off may lie outside.",
    "sensitivity": "Line: mean over selection seeds. Ring: the chosen value, also written above. "
    "Cross: runs diverged (small: only some). Triangle: beyond the axis. Grey: the other arms.",
}


def render(results: Mapping[str, Any]) -> str:
    """The page as HTML text.

    Raises:
      ValueError: the results do not fit the schema.
    """
    checked = check(results)
    return _page(checked, {name: to_svg(figure) for name, figure in figures(checked).items()})


def write(results: Mapping[str, Any], out: str | Path) -> Path:
    """Writes results.json, plots/*.svg and *.png, and report.html; returns the page's path.

    Every file is written whole or not at all, results.json first.

    Raises:
      ValueError: the results do not fit the schema; nothing is written.
      OSError: the folder cannot be made or written.
    """
    checked, folder = check(results), Path(out)
    (folder / "plots").mkdir(parents=True, exist_ok=True)
    save(checked, folder / "results.json")
    drawn: dict[str, Figure] = figures(checked)
    vectors = {name: to_svg(figure) for name, figure in drawn.items()}
    for name, figure in drawn.items():
        write_atomically(folder / "plots" / f"{name}.svg", vectors[name])
        write_atomically(folder / "plots" / f"{name}.png", to_png(figure))
    write_atomically(folder / "report.html", _page(checked, vectors))
    return folder / "report.html"


def _page(results: Results, vectors: Mapping[str, str]) -> str:
    css = resources.files("jaxlab.report").joinpath("page.css").read_text(encoding="utf-8")
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", f"{results['question']} {results['verdict']}"[:120]),
        el("style", Html(css)),
    )
    body = el("body", _header(results), el("main", _result(results), _plots(results, vectors), _detail(results)))
    return "<!doctype html>\n" + el("html", head, body, lang="en") + "\n"


def _header(results: Results) -> Html:
    first, *rest = _sentences(results["verdict"])
    answer = [el("p", first), el("p", " ".join(rest)) if rest else None]
    return el(
        "header",
        el("h1", results["question"]),
        el("div", *answer, class_="verdict", role="note", aria_label="Verdict"),
        el("ul", *(el("li", fact) for fact in _facts(results)), class_="facts"),
    )


def _sentences(text: str) -> list[str]:
    """Splits at a full stop before a capital letter or a name, but never inside a number."""
    parts = text.split(". ")
    return [part + "." for part in parts[:-1]] + parts[-1:]


def _facts(results: Results) -> list[str]:
    arm, seconds = results["arms"][0], results["seconds"]
    grids = [
        f"{_count(len(tuning['values']), 'value')} \N{MULTIPLICATION SIGN} "
        f"{_count(len(tuning['seeds']), 'selection seed')}"
        for tuning in tunings(results)[:1]
    ]
    where = [str(results["environment"][key]) for key in ("processor",) if results["environment"].get(key)]
    return [
        f"task {results['task']['name']}",
        _count(len(results["arms"]), "arm"),
        *grids,
        _count(len(arm["report"]["seeds"]), "report seed"),
        f"{_duration(seconds['total'])}, of which {_duration(seconds['compile'])} compiling",
        *where,
    ]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _result(results: Results) -> Html:
    target = results["task"]["target"]
    measure = measure_of(results)
    better = "Higher" if measure.higher_is_better else "Lower"
    aim = f" The task's target is {measure.value(target)}." if target is not None else ""
    return el(
        "section",
        el("h2", "Result"),
        tables.final_table(results),
        el("p", f"{better} is better.{aim} A mean in brackets leaves out diverged runs.", class_="note"),
    )


def _plots(results: Results, vectors: Mapping[str, str]) -> Html:
    shown = []
    for name, svg in vectors.items():
        files = [link(f"plots/{name}.png", "PNG"), ", ", link(f"plots/{name}.svg", "SVG")]
        caption = el("figcaption", f"{_CAPTIONS[name]} ", *files)
        shown.append(el("figure", el("h3", _TITLES[name]), inline_svg(svg, name, _alternative(results, name)), caption))
    return el("section", el("h2", "Plots"), el("div", *shown, class_="plots"))


def _alternative(results: Results, name: str) -> str:
    """What a plot shows, for those who cannot see it; the numbers are in the tables."""
    order = ", ".join(arm["name"] for arm in ranked(results))
    return f"{_TITLES[name]}, {measure_of(results).axis()}, of {order}. The numbers stand in the tables of this page."


def _detail(results: Results) -> Html:
    compared = (
        el(
            "section",
            el("h2", "Every pair"),
            tables.matrix(results),
            _fold("All numbers of every pair", tables.pairs(results)),
        )
        if results["comparisons"]
        else None
    )
    return join(
        compared,
        el(
            "section",
            el("h2", "Recipes"),
            tables.recipes(results),
            _fold("Every run of the tuning", tables.tuning_runs(results)) if tunings(results) else None,
            _fold("Every report run", tables.seeds(results)),
            _fold("Time and memory", tables.costs(results)),
        ),
        el("section", el("h2", "How it was measured"), _list(protocol(results))),
        el(
            "section",
            el("h2", "Make it again"),
            el("pre", el("code", results["command"])),
            el("p", "All of the above, as data: ", link("results.json"), f" (schema {results['schema']})."),
            _fold("Configuration", _list(_flat(results["config"]))),
            _fold("Environment", _list(_flat(results["environment"]))),
        ),
    )


def _fold(summary: str, content: Html) -> Html:
    return el("details", el("summary", summary), content)


def _list(pairs: list[tuple[str, str]]) -> Html:
    return el("dl", *(part for name, words in pairs for part in (el("dt", name), el("dd", words))))


def _flat(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name.replace("_", " "), _shown(value)) for name, value in settings.items()]


def _shown(value: Any) -> str:
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_shown(item)}" for key, item in value.items()) or "\N{EN DASH}"
    if isinstance(value, list | tuple):
        return ", ".join(_shown(item) for item in value) or "\N{EN DASH}"
    return str(value)
