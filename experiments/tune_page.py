"""How the page shows a search: what was searched, how it went, the best trials, each hyperparameter, the cost."""

from collections.abc import Sequence

import numpy as np

from jaxlab import report, tasks, verdict
from jaxlab.core.space import Distribution, LogUniform, OneMinusLog
from jaxlab.report.sections import Chart, Number, Section, Series, Table
from jaxlab.sweep.final import Chosen, Final
from jaxlab.sweep.ranking import at_edges, best_so_far, rank_of, ranked
from jaxlab.sweep.search import Search, Trial
from jaxlab.verdict.measure import enumerate_words

SHOWN = 10
"""Best trials in the table."""
SCALES = {"LogUniform": "logarithmic", "OneMinusLog": "logarithmic in the distance from 1", "Uniform": "linear"}


def measure_of(task: tasks.Task) -> verdict.Measure:
    """The task's metric."""
    return verdict.Measure(task.metric, task.unit, task.higher_is_better)


def verdict_of(chosen: Chosen, count: int, found: report.Study) -> str:
    """The recipe in words, what it reaches, and whether it is better than the default."""
    search, trial = chosen.search, chosen.trial
    task, measure, arms = search.task, measure_of(search.task), found["arms"]
    tuned = arms[0]["report"]
    low, high = tuned["interval"]
    known = low is not None and high is not None and np.isfinite([low, high]).all()
    interval = f" (95% interval {measure.value(low)} to {measure.value(high)})" if known else ""
    reached = f"a test {measure.name} of {measure.value(tuned['mean'])}{interval}"
    scores = {arm["name"]: arm["report"]["test"] for arm in arms}
    values = {name: trial.values[name] for name in search.space}
    compared = verdict.sentence(verdict.comparisons(scores, task.higher_is_better, found["margin"])[0], measure)
    return (
        f"The best of {count} recipes tried on {task.name} is {search.recipe.optimizer} with {written(values)}: "
        f"{reached}. {compared[0].upper()}{compared[1:]}"
    )


def written(values: dict[str, float]) -> str:
    """Hyperparameters in a sentence."""
    return enumerate_words([f"{name.replace('_', ' ')} {value:.3g}" for name, value in values.items()])


def numbers(chosen: Chosen, found: report.Study) -> list[Number]:
    """What the recipe reaches, on validation and on test data, and how it compares."""
    unit, metric = chosen.search.task.unit, measure_of(chosen.search.task).name
    pair = found["comparisons"][0]
    tuned, default = (arm["report"] for arm in found["arms"])
    selected = [*verdict.t_interval(chosen.again.scores)]
    meaning = "of the recipe in the final; flattering, because it was chosen by it"
    return [
        _number(f"validation {metric}", chosen.again.value, selected, unit, meaning),
        _number(f"test {metric}, tuned", tuned["mean"], tuned["interval"], unit, "of the recipe on fresh seeds"),
        _number(f"test {metric}, default", default["mean"], default["interval"], unit, "of the task's own recipe"),
        _number("difference", pair["difference"], list(pair["interval"]), unit, "tuned minus default, seed by seed"),
    ]


def _number(name: str, value: float | None, interval: Sequence[float | None], unit: str, meaning: str) -> Number:
    return {"name": name, "value": value, "interval": [*interval], "unit": unit, "meaning": meaning}


def compile_seconds(tried: Sequence[Sequence[Trial]]) -> float:
    """Of the search."""
    return sum(trial.cost["compile_seconds"] for trials in tried for trial in trials)


def sections(
    searches: Sequence[Search],
    tried: Sequence[Sequence[Trial]],
    finals: Sequence[Final],
    again: Sequence[Sequence[Trial]],
    chosen: Chosen,
) -> list[Section]:
    """What was searched, how it went, the final, the winner's hyperparameters one by one, the cost."""
    search, trial = chosen.search, chosen.trial
    return [
        _searched(searches, tried, search, trial),
        _went(searches, tried),
        _final(finals, again),
        _slices(search, tried[searches.index(search)], trial),
        _cost(searches, tried, finals, again),
    ]


def _searched(searches: Sequence[Search], tried: Sequence[Sequence[Trial]], one: Search, trial: Trial) -> Section:
    everything = [trial for trials in tried for trial in trials]
    lost = sum(trial.value is None for trial in everything)
    ended = sum(trial.value is not None and trial.steps < one.steps for trial in everything)
    way = {
        "tpe": "each round proposed by TPE (Bergstra et al. 2011) from the rounds before it",
        "halton": "points of a Halton sequence",
        "sobol": "points of a Sobol sequence",
        "random": "points drawn at random",
    }[one.sampler]
    who = ("each of " if len(searches) > 1 else "") + enumerate_words([search.recipe.optimizer for search in searches])
    done = (
        f"{len(tried[0])} trials of {who} in rounds of {one.round_size}, {way}; each with "
        f"{_count(len(one.seeds), 'selection seed')}, {one.steps:,} steps of {one.batch_size} examples and the "
        f"schedule {one.recipe.schedule}."
    )
    halved = (
        f"At a quarter and at half of the steps the worse half of a round was ended (successive halving, Jamieson and "
        f"Talwalkar 2016): {ended} of {len(everything)} trials. A ranking on the way favours what learns fast, and "
        "what was ended counts with its last metric for the proposals, never for the choice."
    )
    edge = at_edges(one.space, trial.values)
    words = [done, *([halved] if one.halving else [])]
    if lost:
        words.append(f"{_count(lost, 'trial')} diverged with some seed.")
    if edge:
        words.append(
            f"The chosen {enumerate_words([name.replace('_', ' ') for name in edge])} of {one.recipe.optimizer} lies "
            "at the end of the range that papers searched: a better value may lie beyond."
        )
    rows: list[list[str | float | None]] = []
    for search in searches:
        for name, distribution in search.space.items():
            low, high = distribution.from_unit(0.0), distribution.from_unit(1.0)
            rows.append(
                [
                    name.replace("_", " "),
                    search.recipe.optimizer,
                    f"{low:.3g} to {high:.3g}",
                    SCALES.get(type(distribution).__name__, "of a few"),
                    f"{trial.values[name]:.3g}" if search is one else None,
                ]
            )
    table: Table = {
        "title": "The space, and the recipe that was chosen",
        "columns": ["hyperparameter", "optimizer", "range", "scale", "chosen"],
        "rows": rows,
    }
    return {"title": "What was searched", "text": words, "tables": [table], "charts": []}


def _went(searches: Sequence[Search], tried: Sequence[Sequence[Trial]]) -> Section:
    task = searches[0].task
    measure = measure_of(task)
    series: list[Series] = []
    for search, trials in zip(searches, tried, strict=True):
        # The first round is luck alone, and would set the scale.
        first = min(search.round_size, len(trials)) - 1
        so_far = best_so_far(search, trials)[first:]
        series.append(
            {
                "name": search.recipe.optimizer,
                "x": [float(trial.point + 1) for trial in trials[first:]],
                "y": [None if value is None else measure.factor * value for value in so_far],
            }
        )
    chart: Chart = {
        "name": "search",
        "title": "Best so far",
        "caption": "The best mean validation metric of any whole run so far, from the end of the first round.",
        "x": "trials",
        "y": measure.axis("validation"),
        "series": series,
    }
    return {
        "title": "How the search went",
        "text": [],
        "tables": [_best_trials(searches, tried)],
        "charts": [chart] if any(value is not None for one in series for value in one["y"]) else [],
    }


def _best_trials(searches: Sequence[Search], tried: Sequence[Sequence[Trial]]) -> Table:
    task = searches[0].task
    measure = measure_of(task)
    whole = [
        (search, trial)
        for search, trials in zip(searches, tried, strict=True)
        for trial in ranked(search, trials)
        if trial.value is not None
    ]
    whole.sort(key=lambda one: rank_of(*one))
    names = list(dict.fromkeys(name for search in searches for name in search.space))
    rows: list[list[str | float | None]] = []
    for rank, (search, trial) in enumerate(whole[:SHOWN], 1):
        spread = f"{measure.value(trial.scores.min())} to {measure.value(trial.scores.max())}"
        given = [f"{trial.values[name]:.3g}" if name in trial.values else None for name in names]
        rows.append(
            [str(rank), search.recipe.optimizer, str(trial.point + 1), *given, measure.value(trial.value), spread]
        )
    columns = ["rank", "optimizer", "trial", *(name.replace("_", " ") for name in names)]
    return {
        "title": f"The best trials, mean validation {measure.name} over the selection seeds",
        "columns": [*columns, "mean", "lowest to highest"],
        "rows": rows,
    }


def _final(finals: Sequence[Final], again: Sequence[Sequence[Trial]]) -> Section:
    measure = measure_of(finals[0].search.task)
    rows: list[tuple[tuple[int, float], list[str | float | None]]] = []
    for final, trials in zip(finals, again, strict=True):
        for last in trials:
            first = final.finalists[last.point]
            finite = last.scores[np.isfinite(last.scores)]
            spread = f"{measure.value(finite.min())} to {measure.value(finite.max())}" if finite.size else None
            row = [final.search.recipe.optimizer, str(first.point + 1), measure.value(first.value)]
            rows.append((rank_of(final.search, last), [*row, measure.value(last.value), spread]))
    seeds = len(finals[0].search.seeds)
    words = (
        "The best of many trials is lucky as well as good: its metric flatters it, the more so the more trials there "
        f"were. So the best {len(finals[0].finalists)} of each optimizer were trained again with {seeds} selection "
        "seeds that the search had not used, and the mean over these chose the recipe."
    )
    table: Table = {
        "title": f"The finalists, mean validation {measure.name}",
        "columns": ["optimizer", "trial", "in the search", "in the final", "lowest to highest"],
        "rows": [row for _, row in sorted(rows, key=lambda one: one[0])],
    }
    return {"title": "The final", "text": [words], "tables": [table], "charts": []}


def _slices(search: Search, trials: Sequence[Trial], chosen: Trial) -> Section:
    words = (
        "Every trial once in each plot, the others of its hyperparameters wherever they were. A cloud that is better "
        "in one place says what matters; one that is level says that a hyperparameter hardly does."
    )
    charts = [_slice(search, name, distribution, trials, chosen) for name, distribution in search.space.items()]
    return {
        "title": f"Hyperparameters of {search.recipe.optimizer}, one by one",
        "text": [words],
        "tables": [],
        "charts": [chart for chart in charts if chart["series"]],
    }


def _slice(search: Search, name: str, distribution: Distribution, trials: Sequence[Trial], chosen: Trial) -> Chart:
    measure, title = measure_of(search.task), name.replace("_", " ")
    # Values near 1 are told apart by their distance from it.
    from_one = isinstance(distribution, OneMinusLog)
    kinds = {
        "whole runs": [trial for trial in trials if trial.steps == search.steps and trial is not chosen],
        "ended early": [trial for trial in trials if trial.steps < search.steps],
        "chosen": [chosen],
    }
    series: list[Series] = [
        {
            "name": kind,
            "x": [1 - trial.values[name] if from_one else trial.values[name] for trial in shown],
            "y": [None if trial.value is None else measure.factor * trial.value for trial in shown],
            "kind": "points",
        }
        for kind, ofkind in kinds.items()
        if (shown := [trial for trial in ofkind if trial.value is not None])
    ]
    return {
        "name": f"slice-{name.replace('_', '-')}",
        "title": title,
        "caption": "Mean validation metric over the selection seeds, when the trial ended.",
        "x": f"1 \N{MINUS SIGN} {title}" if from_one else title,
        "y": measure.axis("validation"),
        "series": series,
        "x_log": from_one or isinstance(distribution, LogUniform),
    }


def _cost(
    searches: Sequence[Search],
    tried: Sequence[Sequence[Trial]],
    finals: Sequence[Final],
    again: Sequence[Sequence[Trial]],
) -> Section:
    parts = [(search.recipe.optimizer, search, trials) for search, trials in zip(searches, tried, strict=True)]
    parts += [
        (f"{final.search.recipe.optimizer}, final", final.search, trials)
        for final, trials in zip(finals, again, strict=True)
    ]
    rows: list[list[str | float | None]] = []
    for name, search, trials in parts:
        spent = {what: sum(trial.cost[what] for trial in trials) for what in trials[0].cost}
        full = len(trials) * len(search.seeds) * search.steps
        rows.append(
            [
                name,
                len(trials) * len(search.seeds),
                spent["member_steps"],
                f"{100 * spent['member_steps'] / full:.0f}%",
                round(spent["seconds"], 1),
                round(spent["compile_seconds"], 1),
                round(spent["compilations"]),
            ]
        )
    columns = ["optimizer", "runs", "steps", "of all", "seconds training", "seconds compiling", "programs"]
    table: Table = {"title": "Search and final, without the report", "columns": columns, "rows": rows}
    words = "Steps of all runs together, and which part of what it would have been had no run ended early."
    return {"title": "Cost", "text": [words], "tables": [table], "charts": []}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
