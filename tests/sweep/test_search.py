"""A search in rounds: the same points whoever proposes them, nothing lost and nothing twice; training stands aside."""

import dataclasses
import threading

import numpy as np
import pytest

from jaxlab import tasks
from jaxlab.core.space import LogUniform, OneMinusLog
from jaxlab.optimizers import Recipe
from jaxlab.sweep import search as engine
from jaxlab.sweep.ranking import ranked
from jaxlab.sweep.search import Search, Trial, trials_of
from jaxlab.sweep.storage import Storage


@pytest.fixture(scope="module")
def search():
    return Search(
        task=tasks.get("line"),
        recipe=Recipe("momentum"),
        space={"learning_rate": LogUniform(1e-3, 1.0), "momentum": OneMinusLog(0.5, 0.99)},
        hyperparams={},
        seeds=(0, 1),
        steps=40,
        batch_size=8,
        round_size=4,
    )


@pytest.fixture
def trained(monkeypatch):
    """What was trained together; a trial's scores follow from its values alone."""
    together = []

    def train(self, points, *, layout, folder, progress):
        together.append(list(points))
        progress(self.steps, self.steps)
        cost = {"seconds": 1.0, "compile_seconds": 0.5, "compilations": 1.0, "member_steps": 80}
        return [
            Trial(point, dict(values), np.log10(values["learning_rate"]) ** 2 + np.array([0.0, 0.1]), 40, cost, layout)
            for point, values in points.items()
        ]

    monkeypatch.setattr(Search, "train", train)
    return together


def stage_of(search, storage):
    return storage.stage("search", search.identity, search.space)


def all_values(stage):
    return [trial.values for trial in trials_of(stage)]


def test_a_search_ends_with_all_its_trials_and_the_best_is_chosen(search, trained):
    stage = stage_of(search, Storage())
    while search.work(stage, 10):
        pass
    trials = trials_of(stage)
    assert [trial.point for trial in trials] == list(range(10))
    assert trained == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert ranked(search, trials)[0].value == min(trial.value for trial in trials)


@pytest.mark.parametrize("sampler", engine.SAMPLERS)
def test_a_search_proposes_the_same_points_again_and_another_seed_others(search, trained, sampler):
    def searched(**changes):
        one = dataclasses.replace(search, sampler=sampler, **changes)
        stage = stage_of(one, Storage())
        while one.work(stage, 8):
            pass
        return all_values(stage)

    assert searched() == searched()
    assert searched() != searched(seed=1)
    values = searched()
    assert len({tuple(one.values()) for one in values}) == 8
    assert all(1e-3 <= one["learning_rate"] <= 1.0 and 0.5 <= one["momentum"] <= 0.99 for one in values)


def test_tpe_learns_from_the_rounds_before(search, trained):
    """A bowl in the logarithm of the rate with its bottom at the upper end: later rounds lie closer to it."""
    stage = stage_of(search, Storage())
    while search.work(stage, 48):
        pass
    rates = np.log10([values["learning_rate"] for values in all_values(stage)])
    assert rates[-16:].mean() > rates[:8].mean() + 0.3


def test_a_round_of_which_a_part_was_told_is_trained_whole_and_the_rest_is_told(search, trained, tmp_path):
    whole = stage_of(search, Storage())
    search.work(whole, 4)
    expected = all_values(whole)
    url = f"sqlite:///{tmp_path / 'study.db'}"
    with stage_of(search, Storage(url)) as stage:
        search.work(stage, 2)  # points 0 and 1: as if its process had died before it told the others
    trained.clear()
    with stage_of(search, Storage(url)) as stage:
        assert [trial.point for trial in search.work(stage, 4)] == [2, 3]
        assert trained == [[0, 1, 2, 3]]
        assert all_values(stage) == expected


def test_what_is_claimed_and_not_told_is_given_back(search, trained, monkeypatch, tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"

    def killed(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Search, "train", killed)
        interrupted = stage_of(search, Storage(url))
        with pytest.raises(KeyboardInterrupt):
            search.work(interrupted, 4)
    assert interrupted.running() == {}
    with stage_of(search, Storage(url)) as stage:
        assert [trial.point for trial in search.work(stage, 4)] == [0, 1, 2, 3]


def test_who_finds_a_round_taken_takes_the_next(search, trained, tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    with stage_of(search, Storage(url)) as one, stage_of(search, Storage(url)) as other:
        proposed = search.proposals(0, {}, {})
        assert one.claim(proposed) == [0, 1, 2, 3]
        assert [trial.point for trial in search.work(other, 8)] == [4, 5, 6, 7]
        assert search.work(other, 8) == []


def test_together_nothing_is_lost_and_nothing_done_twice(search, trained, tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    told = []

    def worker():
        with stage_of(search, Storage(url)) as stage:
            while len(stage.finished()) < 16:
                told.extend(trial.point for trial in search.work(stage, 16))

    stage_of(search, Storage(url))
    workers = [threading.Thread(target=worker) for _ in range(2)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    assert sorted(told) == list(range(16))


def test_later_rounds_keep_the_layout_of_the_first(search, trained):
    storage = Storage()
    search.work(stage_of(search, storage), 4)
    other = dataclasses.replace(search, layout="map")
    stage = stage_of(other, storage)
    other.work(stage, 8)
    assert {trial.layout for trial in trials_of(stage)} == {"vmap"}


def test_a_search_of_another_identity_is_refused(search):
    storage = Storage()
    stage_of(search, storage).claim(search.proposals(0, {}, {}))
    with pytest.raises(ValueError, match="steps = 40, here it is 50"):
        stage_of(dataclasses.replace(search, steps=50), storage)


def test_another_part_of_the_data_for_validation_is_another_search(search):
    other = dataclasses.replace(search, task=dataclasses.replace(search.task, validation_fraction=0.25))
    assert other.identity != search.identity
    assert {"higher_is_better", "validation_fraction"} <= search.identity.keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps = 0"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"evaluations": 0}, "evaluations = 0"),
        ({"round_size": 0}, "round_size = 0"),
        ({"seed": -1}, "seed = -1"),
        ({"sampler": "tpee"}, "did you mean 'tpe'"),
        ({"space": {"learning_rate": LogUniform(1e-3, 1.0), "momentun": LogUniform(0.1, 0.9)}}, "momentun"),
        ({"space": {"learning_rate": LogUniform(1e-3, 1.0), "momentum": LogUniform(0.1, 1.9)}}, "momentum = 1.9"),
        ({"steps": 2**31, "batch_size": 4}, r"fewer than 2\*\*32 examples"),
    ],
)
def test_bad_input_is_refused(search, change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(search, **change)
