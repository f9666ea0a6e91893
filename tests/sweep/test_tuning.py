"""What is chosen, where a second look goes, and what is called not tuned."""

import numpy as np
import pytest

from jaxlab import tasks
from jaxlab.core.space import OneMinusLog
from jaxlab.optimizers import Recipe
from jaxlab.sweep import tune
from jaxlab.sweep.tuning import best_row, check_points, choose, scale_of, second_look


def chosen(values, scores, **options):
    return choose({"learning_rate": values}, [0], np.array(scores)[:, None], higher_is_better=True, **options)


def test_a_grid_is_sorted_with_its_scores():
    found = chosen([1.0, 0.01, 0.1], [0.2, 0.3, 0.9])
    assert found.values == (0.01, 0.1, 1.0)
    assert found.validation[:, 0].tolist() == [0.3, 0.9, 0.2]
    assert found.chosen == {"learning_rate": 0.1}
    assert not found.edges


@pytest.mark.parametrize(("scores", "edges"), [([3, 2, 1], True), ([1, 2, 3], True), ([1, 3, 2], False)])
def test_the_best_at_an_end_is_not_tuned(scores, edges):
    assert bool(chosen([0.1, 0.2, 0.4], scores).edges) is edges


def test_a_single_value_has_no_ends():
    assert chosen([0.1], [1.0]).edges == ()


def test_what_lies_outside_the_first_values_is_counted():
    found = chosen([0.1, 0.2, 0.4, 0.8], [1, 2, 3, 2], asked=3)
    assert (found.widened, found.edges) == (1, ())


def test_of_several_hyperparameters_trials_keep_their_order_and_the_first_is_judged():
    points = {"learning_rate": [0.3, 0.1, 0.2], "b1": [0.9, 0.5, 0.7]}
    found = choose(points, [0, 1], np.array([[1.0, 2.0], [4.0, 0.0], [2.0, 3.0]]), higher_is_better=True)
    assert found.chosen == {"learning_rate": 0.2, "b1": 0.7}
    assert found.points == {"learning_rate": (0.3, 0.1, 0.2), "b1": (0.9, 0.5, 0.7)}
    assert found.edges == ()


@pytest.mark.parametrize(
    ("values", "best", "count", "expected"),
    [
        ([0.01, 0.1, 1.0], 0, 2, [0.0001, 0.001]),
        ([0.01, 0.1, 1.0], 2, 1, [10.0]),
        ([1.0, 4.0, 16.0], 1, 2, [2.0, 8.0]),
        ([1.0, 8.0, 64.0], 1, 3, [2.0, 4.0, 8.0 * 8**0.5]),
        ([0.0, 1.0, 2.0], 1, 2, [0.5, 1.5]),
        ([0.0, 1.0, 2.0], 2, 2, [3.0, 4.0]),
    ],
)
def test_a_second_look_goes_where_the_first_points_to_on_the_values_scale(values, best, count, expected):
    np.testing.assert_allclose(second_look(scale_of(values), values, best, count), expected, rtol=1e-11)


def test_a_second_look_at_betas_halves_the_distance_from_one():
    found = second_look(OneMinusLog(0.9, 0.999), [0.9, 0.99, 0.999], 2, 1)
    np.testing.assert_allclose(found, [0.9999], rtol=1e-11)


def test_a_diverged_seed_loses_to_any_mean():
    assert best_row(np.array([[9.0, np.nan], [0.1, 0.2]]), higher_is_better=True) == 1
    assert best_row(np.array([[9.0, np.nan], [np.inf, np.nan]]), higher_is_better=True) == 0


def test_points_that_are_not_equally_many_are_refused():
    with pytest.raises(ValueError, match=r"points have .*accepted are equally many"):
        check_points({"learning_rate": [0.1, 0.2], "b1": [0.9]})
    with pytest.raises(ValueError, match=r"points = \{\}"):
        check_points({})


def test_a_population_is_tuned_on_validation_alone():
    line = tasks.get("line")
    found = tune(line, Recipe("sgd"), {"learning_rate": [1e9, 0.1, 1e-4]}, [0, 1], steps=30)
    assert found.values == (1e-4, 0.1, 1e9)
    assert found.chosen == {"learning_rate": 0.1}
    assert not found.history.test
    assert np.isnan(found.validation[2]).all()
    with pytest.raises(ValueError, match="learning_rate = \\[\\]"):
        tune(line, Recipe("sgd"), {"learning_rate": []}, [0])
    with pytest.raises(ValueError, match="seeds = \\[\\]"):
        tune(line, Recipe("sgd"), {"learning_rate": [0.1]}, [])
