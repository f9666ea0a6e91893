"""The part of a page that shows one study: its result, its plots, every pair, costs, recipes, how it was measured."""

from collections.abc import Mapping, Sequence

from jaxlab.report import recipe_tables, tables
from jaxlab.report.cost_table import costs
from jaxlab.report.markup import Html, definitions, el, fold, inline_svg, join, plot_links
from jaxlab.report.measures_table import expectations, reliability
from jaxlab.report.protocol import protocol
from jaxlab.report.provenance import Place, Stage, source
from jaxlab.report.reading import measure_of, ranked, tunings
from jaxlab.report.shown import BEST, is_large, shown_arms
from jaxlab.report.study import Study

_TITLES = {
    "final": "Final metric",
    "differences": "Paired differences from the best",
    "curves": "Learning curves",
    "sensitivity": "Sensitivity to the tuned value",
    "slices": "Every trial, by each hyperparameter",
    "best_of": "What a search of k trials finds",
}
_CAPTIONS = {
    "final": "Best first. Circles: report seeds. Marker: mean, hollow where it leaves out diverged runs. "
    "Bar: 95% interval. An arrow stands for an arm too far off to share the axis.",
    "differences": "Each seed's difference, arm by arm. Marker: mean, filled where the verdict is decided. "
    "Bar: 95% interval, before the correction for many pairs.",
    "curves": "Mean over report seeds with a 95% bootstrap band, for the eye only. A cross: a run diverged. "
    "The axis shows where the arms differ; the start and arms far off may lie outside.",
    "sensitivity": "Line: mean over selection seeds, with a 95% bootstrap band, for the eye only. Ring: the chosen "
    "value, also written above; not tuned where it lies at the edge of what was tried. Cross: runs diverged (small: "
    "only some). Triangle: beyond the axis. Shaded, where later values went beyond it: the range of the first. "
    "Grey: the other arms.",
    "slices": "A dot: a trial, its mean over selection seeds. Ring: the chosen trial. Cross: runs diverged. Triangle: "
    "beyond the axis. All hyperparameters of a trial differ at once, so a column shows one with the others mixed in.",
    "best_of": "The best mean on validation data that k of the trials, drawn at random, hold on average: of the "
    "trials that the tuning began with, as those it added near the best would flatter a small k. A flat line: little "
    "tuning is enough. A line begins where any k trials hold one without a diverged run.",
}
_SOURCES: dict[str, tuple[tuple[Stage, ...], tuple[str, ...]]] = {
    "final": (("report",), ("arms[].report",)),
    "differences": (("report",), ("arms[].report.test", "comparisons[]")),
    "curves": (("curves",), ("arms[].curves.validation[seed][evaluation]", "arms[].curves.steps")),
    "sensitivity": (("tuning",), ("arms[].tuning.values[trial]", "arms[].tuning.validation[trial][seed]")),
    "slices": (("tuning",), ("arms[].tuning.points", "arms[].tuning.validation[trial][seed]")),
    "best_of": (("tuning",), ("arms[].measures.best_of[k - 1]", "arms[].tuning.validation[trial][seed]")),
}


def show_study(place: Place, vectors: Mapping[str, str], prefix: str, told: Sequence[Html | None] = ()) -> Html:
    """A study as sections.

    Args:
      place: the study, and where it stands in results.json.
      vectors: SVG text by the plots' names, which begin with ``prefix``.
      told: what else there is to say of it, between its plots and its details.
    """
    return join(_result(place), _plots(place, vectors, prefix), *told, _detail(place))


def _result(place: Place) -> Html:
    target = place.study["task"]["target"]
    measure = measure_of(place.study)
    better = "Higher" if measure.higher_is_better else "Lower"
    aim = f" The task's target is {measure.value(target)}." if target is not None else ""
    return el(
        "section",
        el("h2", "Result"),
        tables.final_table(place),
        el("p", f"{better} is better.{aim} A mean in brackets leaves out diverged runs.", class_="note"),
    )


def _plots(place: Place, vectors: Mapping[str, str], prefix: str) -> Html:
    shown = []
    for name, title in _TITLES.items():
        file = f"{prefix}{name}"
        if file in vectors:
            drawing = inline_svg(vectors[file], file, _alternative(place.study, name))
            words = f"{_which(place.study, name)}{_CAPTIONS[name]} "
            caption = el("figcaption", words, *plot_links(file), source(place, *_SOURCES[name]))
            shown.append(el("figure", el("h3", title), drawing, caption))
    return el("section", el("h2", "Plots"), el("div", *shown, class_="plots"))


def _which(study: Study, name: str) -> str:
    """Which arms of a large study a plot shows."""
    if not is_large(study):
        return ""
    if name == "final":
        return f"Coloured: the {BEST} best, which the other plots show. "
    return f"The {BEST} best of {len(study['arms'])} arms; the tables have all. "


def _alternative(study: Study, name: str) -> str:
    """What a plot shows, for those who cannot see it; the numbers are in the tables."""
    order = ", ".join(arm["name"] for arm in (ranked(study) if name == "final" else shown_arms(study)))
    return f"{_TITLES[name]}, {measure_of(study).axis()}, of {order}. The numbers stand in the tables of this page."


def _compared(place: Place) -> Html:
    """The pairs: a matrix, in a large study the best arm against each."""
    if not is_large(place.study):
        every = fold("All numbers of every pair", tables.pairs(place))
        return el("section", el("h2", "Every pair"), tables.matrix(place), every)
    best, count = ranked(place.study)[0]["name"], len(place.study["comparisons"])
    words = f"The pairs with {best}. All {count:,} stand in results.json, under comparisons."
    against = fold(f"{best} against each", tables.pairs(place, best_only=True))
    return el("section", el("h2", "Every pair"), el("p", words, class_="words"), against)


def _detail(place: Place) -> Html:
    study, beside = place.study, [reliability(place), expectations(place)]

    def long(words: str, *tables: Html | None) -> Html:
        """Tables with a row for each arm; in a large study they would bury the page."""
        return fold(words, join(*tables)) if is_large(study) else join(*tables)

    return join(
        _compared(place) if study["comparisons"] else None,
        el("section", el("h2", "Cost"), long("What each arm costs", costs(place))),
        el("section", el("h2", "Beside the final metric"), long("How often runs fail, what to expect", *beside))
        if any(beside)
        else None,
        el(
            "section",
            el("h2", "Recipes"),
            long("What was tuned and chosen", recipe_tables.recipes(place)),
            fold("Every run of the tuning", recipe_tables.tuning_runs(place)) if tunings(study) else None,
            fold("Every report run", recipe_tables.seeds(place)),
        ),
        el("section", el("h2", "How it was measured"), definitions(protocol(study))),
    )
