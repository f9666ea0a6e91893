"""The best of many trials is lucky as well as good: the first few are trained again, with fresh seeds, and choose."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxlab.core import hyper
from jaxlab.sweep.ranking import rank_of, ranked
from jaxlab.sweep.search import Search, Trial


class Final(NamedTuple):
    """A search's best trials, to be trained again.

    Attributes:
      origin: the search they come from.
      search: the same with fresh seeds, all points in one round to the last step.
      finalists: the best first; a finalist's place is its point in ``search``.
    """

    origin: Search
    search: Search
    finalists: list[Trial]

    @property
    def points(self) -> dict[int, dict[str, float]]:
        """For :meth:`~jaxlab.sweep.search.Search.work`."""
        return dict(enumerate(trial.values for trial in self.finalists))

    @property
    def identity(self) -> dict[str, Any]:
        """What the storage keeps: the search's, and who takes part."""
        return self.search.identity | {"finalists": [trial.point for trial in self.finalists]}


class Chosen(NamedTuple):
    """A recipe: the trial that found it, and its last trial with the seeds that chose it."""

    search: Search
    trial: Trial
    again: Trial
    seeds: tuple[int, ...]


def finals_of(searches: Sequence[Search], tried: Sequence[Sequence[Trial]], count: int) -> list[Final]:
    """The final of each search that has a whole run, with equally many finalists and seeds for all.

    Their runs together are as many as a round's, so that the final costs a round and compiles nothing.

    Args:
      searches: with equal rounds and seeds.
      tried: the trials of each.
      count: finalists, at least 1; fewer where a search has fewer whole runs.
    """
    hyper.integer("count", count, at_least=1)
    orders = [ranked(search, trials) for search, trials in zip(searches, tried, strict=True)]
    fitting = min([count, *(len(trials) for trials in orders if trials)])
    finals = []
    for search, trials in zip(searches, orders, strict=True):
        if trials:
            seeds = fresh_seeds(search, fitting)
            layout = trials[0].layout
            again = dataclasses.replace(search, seeds=seeds, round_size=fitting, halving=False, layout=layout)
            finals.append(Final(search, again, trials[:fitting]))
    return finals


def fresh_seeds(search: Search, finalists: int) -> tuple[int, ...]:
    """The seeds after those of a search, as many as a round has runs for each finalist, at least two."""
    first = max(search.seeds) + 1
    return tuple(range(first, first + max(2, search.round_size * len(search.seeds) // finalists)))


def chosen_of(finals: Sequence[Final], again: Sequence[Sequence[Trial]]) -> Chosen | None:
    """The finalist with the best mean over the fresh seeds; None where there is no final.

    Args:
      again: the trials of each final.
    """
    found = [
        Chosen(final.origin, final.finalists[trial.point], trial, final.search.seeds)
        for final, trials in zip(finals, again, strict=True)
        for trial in trials
    ]
    return min(found, key=lambda one: rank_of(one.search, one.again), default=None)
