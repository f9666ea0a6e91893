"""The part of a page that shows one study: its result, its plots, every pair, its recipes, how it was measured."""

from collections.abc import Mapping

from jaxlab.report import tables
from jaxlab.report.markup import Html, definitions, el, fold, inline_svg, join, plot_links
from jaxlab.report.protocol import protocol
from jaxlab.report.reading import measure_of, ranked, tunings
from jaxlab.report.study import Study

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


def show_study(study: Study, vectors: Mapping[str, str], prefix: str) -> Html:
    """A study as sections.

    Args:
      vectors: SVG text by the plots' names, which begin with ``prefix``.
    """
    return join(_result(study), _plots(study, vectors, prefix), _detail(study))


def _result(study: Study) -> Html:
    target = study["task"]["target"]
    measure = measure_of(study)
    better = "Higher" if measure.higher_is_better else "Lower"
    aim = f" The task's target is {measure.value(target)}." if target is not None else ""
    return el(
        "section",
        el("h2", "Result"),
        tables.final_table(study),
        el("p", f"{better} is better.{aim} A mean in brackets leaves out diverged runs.", class_="note"),
    )


def _plots(study: Study, vectors: Mapping[str, str], prefix: str) -> Html:
    shown = []
    for name, title in _TITLES.items():
        file = f"{prefix}{name}"
        if file in vectors:
            caption = el("figcaption", f"{_CAPTIONS[name]} ", *plot_links(file))
            shown.append(
                el("figure", el("h3", title), inline_svg(vectors[file], file, _alternative(study, name)), caption)
            )
    return el("section", el("h2", "Plots"), el("div", *shown, class_="plots"))


def _alternative(study: Study, name: str) -> str:
    """What a plot shows, for those who cannot see it; the numbers are in the tables."""
    order = ", ".join(arm["name"] for arm in ranked(study))
    return f"{_TITLES[name]}, {measure_of(study).axis()}, of {order}. The numbers stand in the tables of this page."


def _detail(study: Study) -> Html:
    compared = (
        el(
            "section",
            el("h2", "Every pair"),
            tables.matrix(study),
            fold("All numbers of every pair", tables.pairs(study)),
        )
        if study["comparisons"]
        else None
    )
    return join(
        compared,
        el(
            "section",
            el("h2", "Recipes"),
            tables.recipes(study),
            fold("Every run of the tuning", tables.tuning_runs(study)) if tunings(study) else None,
            fold("Every report run", tables.seeds(study)),
            fold("Time and memory", tables.costs(study)),
        ),
        el("section", el("h2", "How it was measured"), definitions(protocol(study))),
    )
