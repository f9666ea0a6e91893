"""One self-contained report.html: the verdict in words first, then the numbers, then how they came about.

The page loads nothing: style and plots are part of it, and it needs no script.
"""

import math
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from jaxlab.report.chart import draw
from jaxlab.report.markup import Html, definitions, el, fold, link
from jaxlab.report.picture import write_picture
from jaxlab.report.plots import figures, to_png, to_svg
from jaxlab.report.provenance import Place
from jaxlab.report.reading import steps_of, tunings
from jaxlab.report.results import Results, check, save, studies_of, write_atomically
from jaxlab.report.show_sections import FEW, show_numbers, show_section
from jaxlab.report.show_study import show_study
from jaxlab.report.study import Study
from jaxlab.report.summary import summary


def render(results: Mapping[str, Any]) -> str:
    """The page as HTML text.

    Raises:
      ValueError: the results do not fit the schema.
    """
    checked = check(results)
    return _page(checked, {name: to_svg(figure) for name, figure in drawings(checked).items()})


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
    drawn = drawings(checked)
    vectors = {name: to_svg(figure) for name, figure in drawn.items()}
    for name, figure in drawn.items():
        write_atomically(folder / "plots" / f"{name}.svg", vectors[name])
        write_atomically(folder / "plots" / f"{name}.png", to_png(figure))
    for picture in [picture for part in checked.get("sections", []) for picture in part.get("pictures", [])]:
        write_picture(picture, folder / "plots")
    write_atomically(folder / "report.html", _page(checked, vectors))
    return folder / "report.html"


def drawings(results: Results) -> dict[str, Figure]:
    """Every plot of the page by its file's name: those of the studies, and the charts of the sections."""
    drawn = {}
    for place, prefix in _named(results):
        drawn |= {f"{prefix}{name}": figure for name, figure in figures(place.study).items()}
    return drawn | {chart["name"]: draw(chart) for part in results.get("sections", []) for chart in part["charts"]}


def _named(results: Results) -> list[tuple[Place, str]]:
    """The studies, each with what its plots' names begin with: nothing where the whole file is one study."""
    studies = studies_of(results)
    first = 0 if results["task"] is not None else 1
    return [
        (Place(study, f"studies[{i - 1}]." if i else ""), f"study-{i}-" if i else "")
        for i, study in enumerate(studies, first)
    ]


def _page(results: Results, vectors: Mapping[str, str]) -> str:
    css = resources.files("jaxlab.report").joinpath("page.css").read_text(encoding="utf-8")
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", f"{results['question']} {results['verdict']}"[:120]),
        el("style", Html(css)),
    )
    answers = [show_numbers(results.get("numbers", []))]
    told = [show_section(section, vectors) for section in results.get("sections", [])]
    told = answers + told if len(results.get("numbers", [])) <= FEW else told + answers
    named = _named(results)
    one = results["task"] is not None
    studies = [
        el(
            "div",
            _study_header(place.study) if prefix else None,
            show_study(place, vectors, prefix, told if one else []),
            id=f"{prefix}study",
        )
        for place, prefix in named
    ]
    # What several studies say together stands before them.
    parts = studies if one else told + studies
    main = [summary([(place, f"{prefix}study") for place, prefix in named]), *parts]
    body = el("body", _header(results), el("main", *main, _origin(results)))
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


def _study_header(study: Study) -> Html:
    """What a study that is one of several asks and answers."""
    answer = el("div", el("p", study["verdict"]), class_="verdict part")
    facts = el("ul", *(el("li", fact) for fact in _study_facts(study)), class_="facts")
    return el("section", el("h2", study["question"], class_="question"), answer, facts)


def _origin(results: Results) -> Html:
    return el(
        "section",
        el("h2", "Make it again"),
        el("pre", el("code", results["command"])),
        el("p", "All of the above, as data: ", link("results.json"), f" (schema {results['schema']})."),
        fold("Configuration", definitions(_flat(results["config"]))),
        fold("Environment", definitions(_flat(results["environment"]))),
    )


def _facts(results: Results) -> list[str]:
    seconds, studies = results["seconds"], studies_of(results)
    where = [str(results["environment"][key]) for key in ("processor",) if results["environment"].get(key)]
    return [
        *(_study_facts(studies[0]) if results["task"] is not None else []),
        f"{_duration(seconds['total'])}, of which {_duration(seconds['compile'])} compiling",
        *where,
    ]


def _study_facts(study: Study) -> list[str]:
    grids = [
        f"{_count(len(tuning['values']), 'trial')} \N{MULTIPLICATION SIGN} "
        f"{_count(len(tuning['seeds']), 'selection seed')}"
        for tuning in tunings(study)[:1]
    ]
    return [
        f"task {study['task']['name']}",
        _count(len(study["arms"]), "arm"),
        *grids,
        f"{steps_of(study):,} steps",
        _count(len(study["arms"][0]["report"]["seeds"]), "report seed"),
    ]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


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
