"""What is said of searches is said of the trials that were asked for, not of those placed beside the best."""

import numpy as np
import pytest

from experiments import measures
from jaxlab import tasks, verdict
from jaxlab.optimizers import Recipe
from jaxlab.sweep import Outcome, recipe_arm
from jaxlab.sweep.outcome import Cost
from jaxlab.sweep.tuning import choose

# Four rates were asked for. Of the two that were then tried beside the best of them, one is the best of all.
RATES = [1e-4, 1e-3, 1e-2, 1e-1, 5e-3, 2e-2]
VALIDATION = np.array([[0.70, 0.72], [0.80, 0.82], [0.90, 0.91], [0.75, np.nan], [0.93, 0.92], [0.94, 0.95]])
TEST = np.array([0.93, 0.95, 0.94])


def measured(asked=None):
    arm = recipe_arm("sgd", tasks.get("breast_cancer"), Recipe("sgd"), {"learning_rate": RATES})
    tuning = choose({"learning_rate": RATES}, (0, 1), VALIDATION, higher_is_better=True, asked=asked)
    curves = np.full((3, 2), 0.9)
    return measures.of_arm(Outcome(arm, tuning, TEST, (1, 2), curves, curves, Cost(), Cost(), "vmap", None))


def test_the_best_of_k_draws_from_the_trials_that_were_asked_for():
    # Of 0.71, 0.81, 0.905 and one that diverged: all pairs and all triples by hand; one trial may be the lost one.
    pairs = (3 * 0.905 + 2 * 0.81 + 0.71) / 6
    assert measured(asked=4)["best_of"] == [None, pytest.approx(pairs), pytest.approx(0.88125), pytest.approx(0.905)]
    assert len(measured()["best_of"]) == 6
    assert measured()["best_of"][-1] == pytest.approx(0.945)


def test_another_search_draws_from_the_trials_that_were_asked_for():
    found = measured(asked=4)["study"]
    expected = verdict.study_variance(VALIDATION[:4], TEST, higher_is_better=True)
    assert (found["search_sd"], found["interval"]) == (expected.search_sd, expected.interval)
    assert found["search_sd"] > 2.0 * measured()["study"]["search_sd"]


def test_failures_are_counted_in_all_runs():
    assert measured(asked=4)["divergence"]["runs"] == 15
