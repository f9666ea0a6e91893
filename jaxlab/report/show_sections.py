"""The part of a page that shows numbers, and sections of words, tables and charts."""

import base64
import re
from collections.abc import Mapping, Sequence

from jaxlab.report.markup import Content, Html, el, fold, inline_svg, join, link, plot_links
from jaxlab.report.picture import png_of
from jaxlab.report.sections import Chart, Number, Picture, Section, Table
from jaxlab.report.table import DASH, row_name, table

MINUS = "\N{MINUS SIGN}"


FEW = 8
"""More numbers than this are folded away: the sections tell them better."""


def show_numbers(numbers: Sequence[Number]) -> Html | None:
    """The answers in numbers, as a table; nothing where there are none."""
    if not numbers:
        return None
    rows = [
        el(
            "tr",
            row_name(number["name"]),
            el("td", written(number["value"]), class_="number"),
            el("td", _interval(number), class_="number"),
            el("td", number["unit"]),
            el("td", number["meaning"], class_="long"),
        )
        for number in numbers
    ]
    head = ["Number", "Value", "95% interval", "Unit", "What it is"]
    whole = table(head, rows, "What the experiment found, number by number.")
    many = len(numbers) > FEW
    return el("section", el("h2", "In numbers"), fold(f"All {len(numbers)} numbers", whole) if many else whole)


def show_section(section: Section, vectors: Mapping[str, str]) -> Html:
    """A heading, paragraphs, tables, charts, pictures, listings."""
    charts = [_figure(chart, vectors[chart["name"]]) for chart in section["charts"]]
    return el(
        "section",
        el("h2", section["title"]),
        *(el("p", words, class_="words") for words in section["text"]),
        *map(_table, section["tables"]),
        el("div", *charts, class_="plots") if charts else None,
        *map(_picture, section.get("pictures", [])),
        *(join(el("h3", one["title"]), el("pre", el("code", one["text"]))) for one in section.get("listings", [])),
    )


def written(value: float | None) -> str:
    """A number as one reads it: four significant digits, more where a whole number has them.

    >>> written(0.00012345), written(12345.0), written(2.5), written(12345678.9)
    ('1.234e-4', '12,345', '2.5', '1.235e7')
    """
    if value is None:
        return DASH
    if value == int(value) and abs(value) < 1e7:
        return f"{int(value):,}".replace("-", MINUS)
    if 1e-3 <= abs(value) < 1e6:
        return f"{value:.4g}".replace("-", MINUS)
    mantissa, _, exponent = f"{value:.3e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}".replace("-", MINUS) + f"e{int(exponent)}"


def _interval(number: Number) -> str:
    if number["interval"] is None:
        return "exact"
    if None in number["interval"]:
        return DASH
    return f"{written(number['interval'][0])} to {written(number['interval'][1])}"


def _table(data: Table) -> Html:
    rows = [el("tr", row_name(_text(first)), *map(_cell, rest)) for first, *rest in data["rows"]]
    return table(data["columns"], rows, data["title"])


def _cell(value: str | float | None) -> Html:
    if isinstance(value, str):
        counts = re.fullmatch(r"[\d.,%e\N{MINUS SIGN}+-]+", value)
        wide = "long sentence" if len(value) > 90 else "long" if len(value) > 30 else None
        return el("td", value, class_="number" if counts else wide)
    return el("td", written(value), class_="number")


def _text(value: str | float | None) -> str:
    return value if isinstance(value, str) else written(value)


def _figure(chart: Chart, svg: str) -> Html:
    names = ", ".join(series["name"] for series in chart["series"])
    told = f"{chart['title']}: {chart['y']} against {chart['x']}, of {names}. {chart['caption']}"
    caption: list[Content] = [f"{chart['caption']} ", *plot_links(chart["name"])]
    return el(
        "figure", el("h3", chart["title"]), inline_svg(svg, chart["name"], told), el("figcaption", join(*caption))
    )


def _picture(picture: Picture) -> Html:
    told = f"{picture['title']}: rows of images of {', '.join(picture['rows'])}. {picture['caption']}"
    source = f"data:image/png;base64,{base64.b64encode(png_of(picture)).decode('ascii')}"
    caption = join(f"{picture['caption']} ", link(f"plots/{picture['name']}.png", "PNG"))
    return el(
        "figure", el("h3", picture["title"]), el("img", src=source, alt=told), el("figcaption", caption), class_="data"
    )
