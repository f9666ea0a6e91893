"""What ``experiments.calibrate`` says: verdict, numbers, tables and charts."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from experiments.calibrate_gates import LIMIT, Found, Rate, Same, bootstrap_winners, percent
from jaxlab.report.sections import Chart, Number, Section, Series

LEVELS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2)
"""Chances of a false winner that one may ask for, for the chart."""


def verdict_of(found: Found) -> str:
    """The answer; its first sentence is shown large."""
    same, planted, gates = found.same[0], found.planted, found.gates()
    failed = [gate.sentence for gate in gates if not gate.holds]
    if failed:
        return f"No: {len(failed)} of {len(gates)} gates failed. {' '.join(failed)}"
    return (
        f"Yes: {percent(same.pair.value)} of {same.pair.of_all} comparisons of a recipe with itself call a winner "
        f"(promised: at most {LIMIT:.0%}), and a real difference is found in {percent(found.power_found.value)} "
        f"of {found.power_found.of_all} repetitions (predicted: {percent(planted.effect.power(found.seeds))}). Among "
        f"{found.names} names of one recipe, with Holm's correction, {percent(same.every.value)} of "
        f"{same.every.of_all} repetitions call any winner. The percentile bootstrap calls "
        f"{percent(same.bootstrap.value)} false winners, and is caught."
    )


def numbers(found: Found) -> list[Number]:
    """Every rate in percent, with its interval."""
    same, planted = found.same[0], found.planted
    predicted: Number = {
        "name": "power predicted",
        "value": 100 * planted.effect.power(found.seeds),
        "interval": [100 * end for end in planted.effect.power_interval(found.seeds)],
        "unit": "% of repetitions",
        "meaning": "from the size of the difference over many runs",
    }
    return [
        _number("false winners, one pair", same.pair, "comparisons", "one recipe under two names, paired t test"),
        _number(
            f"false winners, {found.names} names", same.every, "repetitions", "any winner at all, Holm's correction"
        ),
        predicted,
        _number("power found", found.power_found, "repetitions", "a real difference called, and with its sign"),
        _number("false winners, bootstrap", same.bootstrap, "comparisons", "the control: a rule that must be caught"),
        _number("coverage, no difference", same.covered, "intervals", "95% intervals that hold 0"),
        _number("coverage, real difference", planted.covered, "intervals", "95% intervals that hold the true mean"),
        _number("false equivalences", planted.equivalent, "repetitions", "the margin being the true difference"),
    ]


def sections(found: Found) -> list[Section]:
    """The gates, then what is behind them."""
    return [_gates(found), _same(found), _planted(found), _beside(found)]


def _gates(found: Found) -> Section:
    return {
        "title": "The gates",
        "text": [
            (
                "Each gate puts a rule on trial where the truth is known. It holds if the exact binomial interval of "
                "what was found agrees with what was promised. Every comparison is a whole one, by the function that "
                f"all experiments call, with {found.seeds} report seeds; {found.runs:,} runs in all. By chance alone a "
                "right lab fails at the power with about one seed in twenty, and at false winners with one in forty: "
                "a failure is worth a look at another --seed."
            )
        ],
        "tables": [
            {
                "title": f"Winners by test {found.measure.name}.",
                "columns": ["What", "Promised", "Found", "Of", "95% interval", "Gate"],
                "rows": [
                    [gate.name, gate.promised, *_cells(gate.rate), "holds" if gate.holds else "FAILS"]
                    for gate in found.gates()
                ],
            }
        ],
        "charts": [],
    }


def _same(found: Found) -> Section:
    pairs = found.names * (found.names - 1) // 2
    rows: list[list[str | float | None]] = []
    for same in found.same:
        rows += [
            [f"{same.metric}: paired t, one pair", *_cells(same.pair)],
            [f"{same.metric}: paired t, {pairs} pairs, Holm's correction", *_cells(same.every)],
            [f"{same.metric}: paired t, {pairs} pairs, no correction", *_cells(same.uncorrected)],
            [f"{same.metric}: percentile bootstrap, one pair", *_cells(same.bootstrap)],
        ]
    return {
        "title": "No difference: who calls a winner?",
        "text": [
            (
                f"One recipe goes by {found.names} names. No two runs share a seed, whatever their names, so the names "
                "differ by chance alone and every winner is false. Many pairs are many chances: without a correction "
                f"a winner turns up in a large part of all studies. The percentile bootstrap takes {found.seeds} "
                "values for all that there could be, and its intervals are too short."
            )
        ],
        "tables": [
            {
                "title": "False winners: part of the comparisons (one pair) or of the repetitions (all pairs).",
                "columns": ["Rule", "False winners", "Of", "95% interval"],
                "rows": rows,
            }
        ],
        "charts": [_levels(found.same[0], found.names)],
    }


def _levels(same: Same, names: int) -> Chart:
    asked: list[float | None] = [100 * level for level in LEVELS]

    def called(name: str, calls: Sequence[Bool[np.ndarray, " all"]]) -> Series:
        return _series(name, asked, [Rate.of(each) for each in calls])

    return {
        "name": "levels",
        "title": "False winners, asked for and found",
        "caption": "A sound rule lies on the line of what was promised or below it, whatever chance of a false winner "
        "is asked for: so p values are spread evenly where there is no difference. Bands: 95% intervals.",
        "x": "false winners asked for (%)",
        "y": "found (%)",
        "series": [
            {"name": "promised", "x": asked, "y": asked},
            called("paired t, one pair", [same.p < level for level in LEVELS]),
            called(f"Holm, {names} names", [same.p_every < level for level in LEVELS]),
            called("bootstrap", [bootstrap_winners(same.differences, 1.0 - level) for level in LEVELS]),
        ],
    }


def _planted(found: Found) -> Section:
    planted, effect = found.planted, found.planted.effect
    planned = effect.sentence(found.learning_rate, planted.part, found.seeds)
    said = (
        f"The planted difference is {planned} Its mean is {found.measure.difference(effect.mean)} of test "
        f"{found.measure.name}. All this was said before the repetitions, which have seeds of their own; in each the "
        "two recipes share their seeds, as the arms of every experiment do."
    )
    text = [said]
    if planted.pilot:
        tried = ", ".join(f"{percent(power)} with {part:g}" for part, power in planted.pilot.items())
        text.append(
            "A pilot chose the part of the learning rate whose power is nearest to 75%, so that the difference is "
            f"found neither always nor hardly ever: {tried}."
        )
    rough = " So skewed they make it rough: it may be off by ten points and more." if effect.is_skewed else ""
    text.append(
        "The prediction holds for differences that are normal. Those of single pairs of runs have a skewness of "
        f"{effect.skewness:.2f} here (normal: 0).{rough}"
    )
    several = list(planted.found)
    rates = list(planted.found.values())
    fine: list[float | None] = [float(seeds) for seeds in range(2, max(several) + 1)]
    return {
        "title": "A real difference: is it found?",
        "text": text,
        "tables": [
            {
                "title": "Part of the repetitions in which the better recipe was called better. The same runs, put "
                "together by other numbers of seeds, give the other rows.",
                "columns": ["Report seeds", "Predicted", "Found", "Of", "95% interval"],
                "rows": [
                    [str(seeds), percent(effect.power(seeds)), *_cells(rate)] for seeds, rate in planted.found.items()
                ],
            }
        ],
        "charts": [
            {
                "name": "power",
                "title": "Power, predicted and found",
                "caption": "How often the real difference is found, by the number of report seeds. Bands: 95% "
                "intervals.",
                "x": "report seeds",
                "y": "found (%)",
                "series": [
                    {
                        "name": "predicted",
                        "x": fine,
                        "y": [100 * effect.power(seeds) for seeds in range(2, max(several) + 1)],
                    },
                    _series("found", [float(seeds) for seeds in several], rates),
                ],
            }
        ],
    }


def _beside(found: Found) -> Section:
    planted, name = found.planted, found.measure.name
    rows: list[list[str | float | None]] = [
        *(
            [f"{same.metric}: intervals that hold 0, no difference", "95%", *_cells(same.covered)]
            for same in found.same
        ),
        [f"{name}: intervals that hold the true mean, real difference", "95%", *_cells(planted.covered)],
        [f"{name}: equivalent, the margin being the true difference", "at most 5%", *_cells(planted.equivalent)],
        [f"{name}: the worse recipe called better", "at most 2.5%", *_cells(planted.wrong)],
    ]
    return {
        "title": "Intervals, equivalence and wrong signs",
        "text": [
            (
                "These are no gates, but promises of the same kind. The true mean is that of the many runs. Two "
                "recipes whose difference is the margin itself do not lie within it, so here every equivalence that "
                "is called is false."
            )
        ],
        "tables": [
            {
                "title": "Promised and found, beside the gates.",
                "columns": ["What", "Promised", "Found", "Of", "95% interval"],
                "rows": rows,
            }
        ],
        "charts": [],
    }


def _cells(rate: Rate) -> list[str | float | None]:
    low, high = rate.interval
    return [percent(rate.value), float(rate.of_all), f"{percent(low)} to {percent(high)}"]


def _number(name: str, rate: Rate, of: str, meaning: str) -> Number:
    return {
        "name": name,
        "value": 100 * rate.value,
        "interval": [100 * end for end in rate.interval],
        "unit": f"% of {rate.of_all} {of}",
        "meaning": meaning,
    }


def _series(name: str, x: list[float | None], rates: Sequence[Rate]) -> Series:
    return {
        "name": name,
        "x": x,
        "y": [100 * rate.value for rate in rates],
        "low": [100 * rate.interval[0] for rate in rates],
        "high": [100 * rate.interval[1] for rate in rates],
    }
