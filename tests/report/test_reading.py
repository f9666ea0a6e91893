"""What plots and page read is what the results say, from either side."""

import pytest

from jaxlab import verdict
from jaxlab.report import check
from jaxlab.report.reading import at_edges, between, chosen_trial, finished_mean, first_range, measure_of, ranked


def test_a_comparison_is_read_from_either_side(study):
    results = check(study(lost={"lion": 5}))
    opposite = {"better": "worse", "worse": "better", "undecided": "undecided"}
    for found in results["comparisons"]:
        assert between(results, found["a"], found["b"]) == found
        other = between(results, found["b"], found["a"])
        assert other is not None
        assert (other["a"], other["b"]) == (found["b"], found["a"])
        assert other["verdict"] == opposite[found["verdict"]]
        low, high = found["interval"]
        if found["difference"] is None or low is None or high is None:
            assert other["difference"] is None
            assert other["interval"] == [None, None]
        else:
            assert other["difference"] == -found["difference"]
            assert other["interval"] == [-high, -low]
        assert [other[key] for key in ("p", "p_holm", "seeds_needed")] == [
            found["p"],
            found["p_holm"],
            found["seeds_needed"],
        ]


def test_no_comparison(study):
    results = check(study(arms=2))
    assert between(results, "sgd", "sgd") is None


def test_chances_are_read_from_either_side(study):
    results = study(arms=2, board="one-knob")
    found = results["comparisons"][0] | {"p_better": 0.8, "p_better_interval": [0.25, 0.99]}
    results["comparisons"] = [found]
    results = check(results)
    assert between(results, "sgd", "momentum") == results["comparisons"][0]
    other = between(results, "momentum", "sgd")
    assert other is not None
    assert other.get("p_better") == pytest.approx(0.2)
    assert other.get("p_better_interval") == pytest.approx([0.01, 0.75])


def test_the_chosen_trial_is_the_one_that_was_reported(study):
    arm = study(arms=2, board="full")["arms"][1]
    points = {"learning_rate": [0.1, 0.1, 0.2], "b1": [0.9, 0.99, 0.99]}
    arm["tuning"] |= {"values": points["learning_rate"], "points": points, "chosen": 0.1}
    arm["hyperparams"] = {"learning_rate": 0.1, "b1": 0.99}
    assert chosen_trial(arm) == 1


def test_edges_of_old_and_new_files(study):
    tuning = study(arms=1)["arms"][0]["tuning"]
    assert at_edges(tuning | {"at_edge": False}) == []
    assert at_edges(tuning | {"at_edge": True}) == ["learning_rate"]
    assert at_edges(tuning | {"at_edge": True, "edges": ["b1"]}) == ["b1"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [([1.0, 3.0], (1.0, 3.0)), ([2.0, 5.0], (2.0, 5.0)), ([2.0, 4.0], (2.0, 4.0)), ([1.0, 5.0], None)],
)
def test_the_range_that_a_search_began_with(study, asked, expected):
    tuning = study(arms=1)["arms"][0]["tuning"] | {"values": [3.0, 2.0, 1.0, 4.0, 5.0], "widened": 2}
    assert first_range(tuning | {"asked": asked}) == expected
    assert first_range(tuning) is None  # nothing is guessed


def test_a_range_has_two_ends(study):
    results = study(arms=1)
    results["arms"][0]["tuning"]["asked"] = [1.0]
    with pytest.raises(ValueError, match=r"tuning\.asked has 1 entries: accepted are 2"):
        check(results)


def test_ranks_and_means(study):
    results = check(study(arms=3, lost={"momentum": 2, "rmsprop": 5}))
    assert [arm["name"] for arm in ranked(results)] == ["sgd", "momentum", "rmsprop"]
    sgd, momentum, rmsprop = results["arms"]
    assert finished_mean(sgd) == sgd["report"]["mean"]
    finished = [x for x in momentum["report"]["test"] if x is not None]
    assert finished_mean(momentum) == pytest.approx(sum(finished) / 3)
    assert finished_mean(rmsprop) is None
    assert measure_of(results) == verdict.Measure("accuracy", "fraction correct", higher_is_better=True)
