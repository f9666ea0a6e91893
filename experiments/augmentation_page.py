"""What ``experiments.augmentation`` says: its numbers, tables, charts, picture and verdict."""

import statistics
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from jaxtyping import PyTree

from benchmarks.side_by_side import median_interval
from experiments.augmentation_arms import (
    BATCH,
    NONE,
    RECIPE_ARM,
    TEXTBOOK,
    arm_of,
    chosen_of,
    gains_of,
    rate_of,
    validated,
)
from jaxlab import augment, report, verdict
from jaxlab.report.picture import encoded
from jaxlab.report.reading import measure_of, points_of, steps_of, tuning_of
from jaxlab.report.sections import Chart, Number, Picture, Section, Series, Table
from jaxlab.verdict.measure import enumerate_words

IMAGES, GAP = 8, 2
"""Columns of the picture, and pixels between its images."""
Row = list[str | float | None]


def picture_of(pool: PyTree, operations: Sequence[str]) -> Picture:
    """Each operation at its default strength, on the first image of each of several classes."""
    images, labels = np.asarray(pool["x"]), np.asarray(pool["y"])
    first = [int(np.argmax(labels == label)) for label in np.unique(labels)[:IMAGES]]
    made = [augment.get(name).factory() for name in operations]
    columns = []
    for column, place in enumerate(first):
        own, other = images[place][..., None], images[first[column - 1]][..., None]
        drawn = augment.preview(own, jax.random.key(column), draws=1, operations=made, other=other)
        columns.append(np.concatenate([own, drawn.grid]))
    names = ["as it is", *(f"{one.name} {augment.get(one.name).strength:g}" for one in made)]
    grid = np.stack(columns, axis=1).reshape(len(names), *images.shape[1:2], len(first), images.shape[2])
    spaced = np.pad(grid, ((0, 0), (GAP, 0), (0, 0), (GAP, 0)), constant_values=255)
    height, width = spaced.shape[1], spaced.shape[3]
    return {
        "name": "operations",
        "title": "What each operation does",
        "caption": "One draw at the default strength for each image; the upper row is what was drawn from.",
        "rows": [name.replace("_", " ") for name in names],
        "png": encoded(spaced.reshape(len(names) * height, len(first) * width, 1)),
    }


def against_none(found: report.Study) -> dict[str, verdict.Comparison]:
    """Every arm's comparison with no augmentation: the page's questions, and Holm's correction is over these alone."""
    scores = {arm["name"]: arm["report"]["test"] for arm in found["arms"]}
    pairs = verdict.comparisons(scores, found["task"]["higher_is_better"], found["margin"], baseline=NONE)
    return {pair.a: pair for pair in pairs}


def in_words(strengths: Mapping[str, float]) -> str:
    """Operations with their strengths."""
    return ", ".join(f"{name.replace('_', ' ')} {strength:g}" for name, strength in strengths.items())


def verdict_of(alone: report.Study, found: report.Study, every: report.Study | None) -> str:
    """Whether the recipe is better than none with few labels; what is alone; what is with all labels."""
    few, measure = against_none(found), measure_of(found)
    first = (
        f"With {_labels(found)}, the recipe that validation chose ({in_words(chosen_of(found))}) is "
        f"{_judged(few[RECIPE_ARM], measure)}; the textbook's setting is {_judged(few[TEXTBOOK], measure)}."
    )
    pairs = against_none(alone)
    parts = []
    for word, told in (("better", "better"), ("worse", "worse"), ("undecided", "undecided")):
        named = [f"{pair.a} ({measure.difference(pair.difference)})" for pair in pairs.values() if pair.verdict == word]
        parts += [f"{told}: {enumerate_words(named)}"] if named else []
    said = [first, f"Alone against none, at strengths that validation chose, {'; '.join(parts)}."]
    if every is not None:
        many = against_none(every)
        said.append(
            f"With {_labels(every)} the recipe ({in_words(chosen_of(every))}) is {_judged(many[RECIPE_ARM], measure)}; "
            f"the textbook's setting is {_judged(many[TEXTBOOK], measure)}."
        )
    return " ".join(said)


def _judged(pair: verdict.Comparison, measure: verdict.Measure) -> str:
    words = {"undecided": "undecided against none", "equivalent": "as good as none"}
    difference = f"{measure.difference(pair.difference)}, {measure.interval(*pair.interval)}"
    return f"{words.get(pair.verdict, f'{pair.verdict} than none')} ({difference})"


def _labels(found: report.Study) -> str:
    return found["task"]["name"].partition(", ")[2]


def ratio(seconds: Mapping[str, list[float]], name: str) -> tuple[float, tuple[float, float]]:
    """A step's time as a multiple of that without operations: median of the paired ratios, and its interval."""
    ratios = [own / base for own, base in zip(seconds[name], seconds[NONE], strict=True)]
    return statistics.median(ratios), median_interval(ratios)


def numbers_of(
    alone: report.Study, found: report.Study, every: report.Study | None, seconds: Mapping[str, list[float]]
) -> list[Number]:
    """Every arm's difference to none, and what a step costs."""
    numbers: list[Number] = []
    for one in (found, every, alone):
        for name, pair in ({} if one is None else against_none(one)).items():
            measure, ends = measure_of(found), pair.interval
            numbers.append(
                {
                    "name": f"{name} - {NONE}, {_labels(found if one is None else one)}",
                    "value": pair.difference * measure.factor,
                    "interval": [end * measure.factor if np.isfinite(end) else None for end in ends],
                    "unit": measure.difference_unit,
                    "meaning": f"mean difference in test {measure.name}, {pair.verdict}; over seeds",
                }
            )
    for name in seconds:
        if name != NONE:
            middle, (low, high) = ratio(seconds, name)
            meaning = "of one run, median of the paired ratios"
            said: Number = {
                "name": f"step, {name}",
                "value": middle,
                "interval": [low, high],
                "unit": "times none's",
                "meaning": meaning,
            }
            numbers.append(said)
    return numbers


def sections_of(
    alone: report.Study,
    found: report.Study,
    every: report.Study | None,
    seconds: Mapping[str, list[float]],
    picture: Picture,
) -> list[Section]:
    """Alone and together, few labels against all, what it costs, what operations do."""
    rate = rate_of(found)
    return [
        {
            "title": "Alone and together",
            "text": [
                (
                    f"Without augmentation the network tunes its learning rate: {rate:g} is best on validation data. "
                    "Each operation is added at that rate and tunes its strength, in as many trials. The recipe is "
                    "what is best on validation data of the operation that gained most there, of the best two and of "
                    "all that gained, at the strengths that were best alone, or at parts of them. The textbook's "
                    "setting is rotation by 15 degrees, shifts of 0.1, shear, zoom of 0.1 and mirroring half of the "
                    "images, with no strength to choose; it tunes the learning rate."
                ),
                (
                    "Test data choose nothing. The network has no dropout, and validation data are more than "
                    "training data here: a choice with fewer is less sure."
                ),
            ],
            "tables": [_arms(alone, found), _tried(found)],
            "charts": _curves(alone),
        },
        *([] if every is None else [_labels_section(found, every)]),
        _cost(seconds),
        {
            "title": "In pictures",
            "text": ["Geometric operations move pixels; what lies outside of an image is its nearest pixel."],
            "tables": [],
            "charts": [],
            "pictures": [picture],
        },
    ]


def _arms(alone: report.Study, found: report.Study) -> Table:
    pairs = {**against_none(alone), **against_none(found)}
    gains = gains_of(alone)
    names = [NONE, *gains, RECIPE_ARM, TEXTBOOK]
    rows = [_arm(found if name in (NONE, RECIPE_ARM, TEXTBOOK) else alone, name, pairs.get(name)) for name in names]
    return {
        "title": f"{_labels(found)}: operations alone, the largest gain on validation data first; then together. "
        "Against none: mean difference over shared seeds, 95% interval; verdicts are corrected (Holm) over the arms.",
        "columns": ["Arm", "Chosen", "Validation", "Test", "Against none", "Verdict"],
        "rows": rows,
    }


def _arm(found: report.Study, name: str, pair: verdict.Comparison | None) -> Row:
    arm, measure = arm_of(found, name), measure_of(found)
    tuned = {key: arm["hyperparams"][key] for key in points_of(tuning_of(arm))}
    numbers = chosen_of(found) if name == RECIPE_ARM else tuned
    gain = "" if pair is None else f"{measure.difference(pair.difference)} ({measure.interval(*pair.interval)})"
    best = float(np.nanmax(validated(found, name)))
    told = "" if pair is None else pair.verdict
    return [name, in_words(numbers), measure.value(best), measure.value(arm["report"]["mean"]), gain, told]


def _tried(found: report.Study) -> Table:
    tuning, measure = tuning_of(arm_of(found, RECIPE_ARM)), measure_of(found)
    points = {name: values for name, values in points_of(tuning).items() if name in augment.names()}
    means = validated(found, RECIPE_ARM)
    rows: list[Row] = []
    for trial, mean in enumerate(means):
        strengths = {name: float(values[trial]) for name, values in points.items() if values[trial]}
        chosen = "chosen" if strengths == chosen_of(found) else ""
        rows.append([in_words(strengths), measure.value(float(mean)), chosen])
    return {
        "title": "What was tried together, on validation data.",
        "columns": ["Operations and strengths", f"Validation {measure.name}", ""],
        "rows": rows,
    }


def _curves(alone: report.Study) -> list[Chart]:
    """Validation metric by strength: geometric operations, and the others."""
    measure = measure_of(alone)
    base = float(np.nanmax(validated(alone, NONE))) * measure.factor
    kinds: dict[str, list[Series]] = {"geometric": [], "other": []}
    for name in gains_of(alone):
        strengths = np.array(tuning_of(arm_of(alone, name))["values"], np.float64)
        means = [base, *(validated(alone, name) * measure.factor)]
        parts = [0.0, *(100 * strengths / strengths.max())]
        kind = "geometric" if augment.get(name).kind == "geometric" else "other"
        line: Series = {
            "name": f"{name.replace('_', ' ')} (to {strengths.max():g})",
            "x": [float(part) for part in parts],
            "y": [float(mean) if np.isfinite(mean) else None for mean in means],
        }
        kinds[kind].append(line)
    titles = {"geometric": "Operations that move pixels", "other": "Operations on colours, holes, mixtures"}
    return [
        {
            "name": f"strengths-{kind}",
            "title": titles[kind],
            "caption": "Mean over selection seeds. In brackets the largest strength, at the right end; 0 is no "
            "augmentation, at its best.",
            "x": "strength (% of the largest)",
            "y": measure.axis("validation"),
            "level": ["none", base],
            "series": series,
        }
        for kind, series in kinds.items()
        if series
    ]


def _labels_section(found: report.Study, every: report.Study) -> Section:
    studies, measure = (found, every), measure_of(found)
    pairs = [against_none(one) for one in studies]
    rows: list[Row] = []
    for name in (NONE, RECIPE_ARM, TEXTBOOK):
        row: Row = [name]
        for one, own in zip(studies, pairs, strict=True):
            pair = own.get(name)
            row.append(measure.value(arm_of(one, name)["report"]["mean"]))
            row.append("" if pair is None else f"{measure.difference(pair.difference)}, {pair.verdict}")
        rows.append(row)
    return {
        "title": "Few labels against all",
        "text": [
            (
                f"The recipe's operations, at {in_words(chosen_of(every))}: with {_labels(every)} validation chose "
                f"their common factor anew, and the learning rates of the others. With {_labels(found)} a run sees "
                f"each image {_views(found):.2g} times, with {_labels(every)} {_views(every):.2g} times. What is seen "
                "but a few times is not learnt by heart, and augmentation has the less to prevent: longer runs of a "
                "larger network may tell otherwise."
            )
        ],
        "tables": [
            {
                "title": f"Test {measure.name}, and the difference to none.",
                "columns": ["Arm", *(column for one in studies for column in (_labels(one), "Against none"))],
                "rows": rows,
            }
        ],
        "charts": [],
    }


def _views(found: report.Study) -> float:
    """How often a run sees each of its images."""
    images = int(found["task"]["description"].partition(": ")[2].partition(" images")[0].replace(",", ""))
    return steps_of(found) * BATCH / images


def _cost(seconds: Mapping[str, list[float]]) -> Section:
    said = {NONE: "none", "textbook": "the textbook's five", "all": "all that were compared, and the textbook's"}
    rows: list[Row] = []
    for name, spent in seconds.items():
        middle, (low, high) = ratio(seconds, name)
        times = "" if name == NONE else f"{middle:.2f} ({low:.2f} to {high:.2f})"
        rows.append([said[name], f"{1e3 * statistics.median(spent):.2f}", times])
    return {
        "title": "What it costs",
        "text": [
            (
                "A training step of one run, in turn, round by round; median of the paired ratios with an interval of "
                "at least 95%. The network is small, so that a study is quick: of a larger one's step the same "
                "operations are a smaller part."
            )
        ],
        "tables": [{"title": "Time of a step.", "columns": ["Operations", "Milliseconds", "Times none"], "rows": rows}],
        "charts": [],
    }
