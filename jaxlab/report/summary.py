"""A page with several studies begins with a table of them."""

from collections.abc import Sequence

from jaxlab.report.markup import Html, el
from jaxlab.report.provenance import Place
from jaxlab.report.reading import finished_mean, measure_of, ranked, steps_of
from jaxlab.report.table import number, table


def summary(places: Sequence[tuple[Place, str]]) -> Html | None:
    """Every study with its verdict, its leader and its task; nothing for fewer than two.

    Args:
      places: the studies, each with the identifier of its part of the page.
    """
    if len(places) < 2:
        return None
    rows = []
    for place, identifier in places:
        study, measure = place.study, measure_of(place.study)
        best = ranked(study)[0]
        name = el("span", el("a", study["question"], href=f"#{identifier}"), class_="name")
        row = el(
            "tr",
            el("th", name, scope="row"),
            el("td", study["verdict"], class_="long sentence"),
            el("td", best["name"]),
            number(f"{measure.value(finished_mean(best))} {measure.name}", place.arm(best, "report.mean")),
            el("td", study["task"]["name"]),
            number(f"{steps_of(study):,}"),
        )
        rows.append(row)
    head = ["Study", "Verdict", "First", "On test data", "Task", "Steps"]
    return el("section", el("h2", "The studies"), table(head, rows, "Every study of this page and its verdict."))
