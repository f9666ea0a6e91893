"""What a page may hold beside one study: numbers, and sections of words, tables, charts and further studies.

Everything is data: a page is drawn from results.json alone.
"""

import base64
import binascii
import re
from typing import Literal, NotRequired, TypedDict

_FILE_NAME = re.compile(r"[^/\\.][^/\\]*")


class Number(TypedDict):
    """An answer in one number: what it is in ``meaning``, and how sure, in ``interval`` (null where exact)."""

    name: str
    value: float | None
    interval: list[float | None] | None
    unit: str
    meaning: str


class Table(TypedDict):
    """Rows of texts and numbers, a cell for each column; the first column names the row."""

    title: str
    columns: list[str]
    rows: list[list[str | float | None]]


class Series(TypedDict):
    """One line of a chart, or points without one. ``low`` and ``high`` are the edges of a band."""

    name: str
    x: list[float | None]
    y: list[float | None]
    low: NotRequired[list[float | None]]
    high: NotRequired[list[float | None]]
    kind: NotRequired[Literal["line", "points"]]


class Chart(TypedDict):
    """Series on common axes. ``name`` is the name of its files; ``level`` is a line across: its name, and where.

    With ``rows`` it is a chart of bars, a row for each name, the first on top: ``x`` of a series are lengths of parts,
    which stand one after the other in the order of the series, ``y`` the numbers of their rows.
    """

    name: str
    title: str
    caption: str
    x: str
    y: str
    series: list[Series]
    x_log: NotRequired[bool]
    y_log: NotRequired[bool]
    level: NotRequired[list[str | float]]
    rows: NotRequired[list[str]]


class Picture(TypedDict):
    """A grid of images, a PNG in base64 (:func:`jaxlab.report.picture.encoded`), and what each of its rows shows.

    ``name`` is the name of its file.
    """

    name: str
    title: str
    caption: str
    rows: list[str]
    png: str


class Listing(TypedDict):
    """Text as it stands, line by line: what a program printed, what a model wrote."""

    title: str
    text: str


class Section(TypedDict):
    """A heading, paragraphs, tables, charts, pictures and listings, in this order."""

    title: str
    text: list[str]
    tables: list[Table]
    charts: list[Chart]
    pictures: NotRequired[list[Picture]]
    listings: NotRequired[list[Listing]]


def problems_of(sections: list[Section], path: str) -> list[str]:
    """What the types do not say: equal lengths, names that differ, axes that can be logarithmic."""
    found = []
    names = [one["name"] for section in sections for one in (*section["charts"], *section.get("pictures", []))]
    found += [
        f"{path} has two charts or pictures named {name!r}" for name in sorted(set(names)) if names.count(name) > 1
    ]
    for i, section in enumerate(sections):
        for j, table in enumerate(section["tables"]):
            wrong = {len(row) for row in table["rows"]} - {len(table["columns"])}
            if wrong:
                found.append(
                    f"{path}[{i}].tables[{j}] has rows of {sorted(wrong)} cells: accepted are {len(table['columns'])}"
                )
        for j, chart in enumerate(section["charts"]):
            found += _chart(chart, f"{path}[{i}].charts[{j}]")
        for j, picture in enumerate(section.get("pictures", [])):
            found += _picture(picture, f"{path}[{i}].pictures[{j}]")
    return found


def _picture(picture: Picture, path: str) -> list[str]:
    found = _named(picture["name"], path)
    if not picture["rows"]:
        found.append(f"{path}.rows is empty: accepted is a name for each row of images")
    if not _is_png(picture["png"]):
        found.append(f"{path}.png is no PNG in base64: accepted is what jaxlab.report.picture.encoded makes")
    return found


def _is_png(text: str) -> bool:
    try:
        return base64.b64decode(text, validate=True).startswith(b"\x89PNG\r\n\x1a\n")
    except binascii.Error:
        return False


def _named(name: str, path: str) -> list[str]:
    if _FILE_NAME.fullmatch(name):
        return []
    return [f"{path}.name is {name!r}: accepted is what may begin a file's name"]


def _chart(chart: Chart, path: str) -> list[str]:
    found = _named(chart["name"], path)
    level = chart.get("level")
    if level is not None and [isinstance(part, str) for part in level] != [True, False]:
        found.append(f"{path}.level is {level!r}: accepted are a name and a number")
    rows = chart.get("rows")
    if rows is not None and any(y not in range(len(rows)) for series in chart["series"] for y in series["y"]):
        found.append(f"{path}.rows names {len(rows)} bars: accepted as y of the series are whole numbers below that")
    if not chart["series"]:
        found.append(f"{path}.series is empty: accepted is at least one")
    for series in chart["series"]:
        parts = (series["x"], series["y"], series.get("low"), series.get("high"))
        lengths = {len(part) for part in parts if part is not None}
        if len(lengths) > 1 or lengths == {0}:
            found.append(f"{path} series {series['name']!r} has {sorted(lengths)} points: accepted is one length")
        if ("low" in series) != ("high" in series):
            found.append(f"{path} series {series['name']!r} has one edge of a band: accepted are both")
        found += [
            f"{path} series {series['name']!r} has no {axis} above 0 for a logarithmic axis"
            for axis in ("x", "y")
            if chart.get(f"{axis}_log") and not any(value is not None and value > 0 for value in series[axis])
        ]
    return found
