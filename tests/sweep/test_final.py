"""Which trials are best, and the final that chooses among them."""

import dataclasses

import numpy as np
import pytest

from jaxlab import tasks
from jaxlab.core.space import LogUniform
from jaxlab.optimizers import Recipe
from jaxlab.sweep.final import chosen_of, finals_of
from jaxlab.sweep.ranking import at_edges, best_so_far, ranked
from jaxlab.sweep.search import Search, Trial


@pytest.fixture(scope="module")
def lower():
    return Search(
        task=tasks.get("line"),
        recipe=Recipe("sgd"),
        space={"learning_rate": LogUniform(1e-3, 1.0)},
        hyperparams={},
        seeds=(7, 8),
        steps=40,
        batch_size=8,
        round_size=6,
    )


@pytest.fixture(scope="module")
def higher(lower):
    return dataclasses.replace(lower, task=dataclasses.replace(lower.task, higher_is_better=True))


def trial(point, *scores, steps=40):
    return Trial(point, {"learning_rate": 0.1 / (1 + point)}, np.array(scores), steps, {}, "vmap")


MIXED = [
    trial(0, 0.9, np.nan),
    trial(1, 0.2, 0.2),
    trial(2, 0.8, 0.8, steps=20),
    trial(3, np.nan, np.nan),
    trial(4, 0.3, 0.3),
]


def test_whole_runs_are_ranked_and_lost_seeds_go_behind(lower, higher):
    assert [one.value for one in MIXED] == [None, 0.2, 0.8, None, 0.3]
    assert [one.point for one in ranked(higher, MIXED)] == [4, 1, 0]
    assert [one.point for one in ranked(lower, MIXED)] == [1, 4, 0]
    assert ranked(lower, [MIXED[2], MIXED[3]]) == []


def test_means_that_differ_in_rounding_alone_are_a_tie_and_go_to_the_first(lower, higher):
    first, second = trial(0, 0.9791666865, 0.9895833135), trial(1, 0.9756944180, 0.9930555821)
    assert second.value != first.value
    for search in (lower, higher):
        assert ranked(search, [second, first])[0] is first


def test_the_best_so_far_counts_whole_runs_alone(lower, higher):
    trials = [trial(0, 0.1, steps=20), trial(1, 0.5), trial(2, np.nan), trial(3, 0.7), trial(4, 0.3)]
    assert best_so_far(higher, trials) == [None, 0.5, 0.5, 0.7, 0.7]
    assert best_so_far(lower, trials) == [None, 0.5, 0.5, 0.5, 0.3]


def test_values_at_an_end_of_their_range_are_named(lower):
    assert [at_edges(lower.space, {"learning_rate": rate}) for rate in (1e-3, 1.3e-3, 1.5e-3, 0.1, 0.9)] == [
        ["learning_rate"],
        ["learning_rate"],
        [],
        [],
        ["learning_rate"],
    ]


def test_a_final_has_fresh_seeds_all_steps_and_as_many_runs_as_a_round(lower):
    (final,) = finals_of([lower], [[*MIXED, trial(5, 0.4, 0.4)]], 3)
    assert [one.point for one in final.finalists] == [1, 4, 5]
    assert final.points == {0: MIXED[1].values, 1: MIXED[4].values, 2: {"learning_rate": 0.1 / 6}}
    assert final.search.seeds == (9, 10, 11, 12)
    assert not final.search.halving
    assert final.search.round_size * len(final.search.seeds) == lower.round_size * len(lower.seeds)
    assert final.identity["finalists"] == [1, 4, 5]


def test_all_finals_have_equally_many_finalists_and_seeds(lower):
    few, many, none = [trial(0, 0.5, 0.5), trial(1, 0.4, 0.4)], [trial(i, 0.1, 0.2) for i in range(9)], [MIXED[3]]
    finals = finals_of([lower, lower, lower], [few, many, none], 4)
    assert [len(final.finalists) for final in finals] == [2, 2]
    assert {final.search.seeds for final in finals} == {tuple(range(9, 15))}
    assert finals_of([lower], [none], 4) == []


def test_the_fresh_seeds_choose(lower, higher):
    for search, expected in ((lower, 4), (higher, 1)):
        (final,) = finals_of([search], [[MIXED[1], MIXED[4]]], 2)
        order = [one.point for one in final.finalists]
        # Trial 1 was better with the first seeds where less is better; now it is worse, and the other way round.
        again = [trial(place, *[{1: 0.9, 4: 0.1}[point]] * 6) for place, point in enumerate(order)]
        chosen = chosen_of([final], [again])
        assert chosen is not None
        assert chosen.trial.point == expected
        assert chosen.again.value == pytest.approx({1: 0.9, 4: 0.1}[expected])
        assert (chosen.search, chosen.seeds) == (search, final.search.seeds)
    assert chosen_of([], []) is None
