"""What every table of the page is made of."""

from collections.abc import Sequence

from jaxlab import verdict
from jaxlab.report.markup import Content, Html, el, join
from jaxlab.report.reading import finished_mean
from jaxlab.report.study import Arm

DASH = "\N{EN DASH}"


def table(
    head: Sequence[str], rows: Sequence[Html], caption: str, class_: str | None = None, source: Html | None = None
) -> Html:
    """A table in a box of its own, which scrolls where the screen is narrow; what it shows stands above the box.

    ``source`` says below where its numbers come from, see :mod:`jaxlab.report.provenance`.
    """
    columns = [el("th", el("span", name, class_="name"), scope="col") for name in head]
    whole = el("table", el("thead", el("tr", *columns)), el("tbody", *rows), class_=class_)
    box = el("div", whole, class_="scroll", tabindex=0, role="region", aria_label=caption)
    return el("figure", el("figcaption", caption), box, source, class_="data")


def mean_of(arm: Arm, measure: verdict.Measure) -> Html:
    """An arm's mean, in brackets where it leaves out diverged runs."""
    mean = finished_mean(arm)
    if arm["report"]["diverged"] and mean is not None:
        return el("span", f"({measure.value(mean)})", title="of the runs that did not diverge")
    return join(measure.value(mean))


def row_name(name: str) -> Html:
    """The cell that names its row."""
    return el("th", el("span", name, class_="name"), scope="row")


def number(content: Content, path: str | None = None) -> Html:
    """A cell with a number; ``path`` says where in results.json it stands, shown under the pointer."""
    return el("td", DASH if content is None else content, class_="number", title=path)
