"""The variance of the whole study: exact where a resampled maximum is, and near the truth over many studies."""

import math

import numpy as np
import pytest
from scipy import stats

from jaxlab.verdict.intervals import t_interval
from jaxlab.verdict.study_variance import study_variance

REPORT = [0.94, 0.95, 0.93, 0.94, 0.96]


def test_one_seed_is_the_bootstrap_of_a_maximum():
    # The best of n drawn from n is the i-th best with probability ((n-i+1)/n)^n - ((n-i)/n)^n.
    values = np.random.default_rng(0).normal(size=8)
    i = np.arange(1, 9)
    weights = ((9 - i) / 8.0) ** 8 - ((8 - i) / 8.0) ** 8
    best_first = np.sort(values)[::-1]
    found = study_variance(values[:, None], REPORT, True, draws=20_000)
    mean = weights @ best_first
    assert found.scores.mean() == pytest.approx(mean, abs=0.02)
    assert found.search_sd == pytest.approx(math.sqrt(weights @ (best_first - mean) ** 2), rel=0.03)
    shares = [(found.scores == x).mean() for x in best_first]
    np.testing.assert_allclose(shares, weights, atol=0.02)


def test_seeds_are_drawn_together_for_all_trials():
    # Trial 0 is better by a hair on both seeds, so it is chosen whenever it is drawn, whatever seeds are.
    found = study_variance([[0.901, 0.101], [0.9, 0.1]], REPORT, True, draws=20_000)
    assert (found.scores == np.mean([0.901, 0.101])).mean() == pytest.approx(0.75, abs=0.01)


def test_seeds_are_drawn_again():
    trials = np.array([[1.0, 0.0, 0.4], [0.0, 1.0, 0.2]])
    found = study_variance(trials, REPORT, True, draws=20_000)
    # Every way to draw 3 seeds from 3, with its probability, decides for one trial or the other.
    counts = np.array([(i, j, 3 - i - j) for i in range(4) for j in range(4 - i)])
    chance = stats.multinomial.pmf(counts, 3, [1 / 3] * 3)
    first_wins = chance @ (counts @ (trials[0] - trials[1]) > 0.0)
    # With probability a quarter each, both draws are of one trial.
    assert (found.scores == trials[0].mean()).mean() == pytest.approx(0.25 + 0.5 * first_wins, abs=0.01)


@pytest.mark.parametrize("trials", [4, 16])
def test_gaussian_tails_come_out_at_two_thirds(trials):
    x = np.linspace(-8.0, 8.0, 4001)
    density = trials * stats.norm.pdf(x) * stats.norm.cdf(x) ** (trials - 1)  # of the largest
    mean = np.trapezoid(x * density, x)
    true = math.sqrt(np.trapezoid((x - mean) ** 2 * density, x))
    studies = np.random.default_rng(1).normal(size=(300, trials, 1))
    found = _root_mean_square(studies)
    assert 0.6 < found / true < 0.8


@pytest.mark.parametrize("trials", [4, 16])
def test_a_rounded_top_comes_out_large(trials):
    # Quality falls with the square of the distance to the optimum; the nearest of n uniform distances is Beta(1, n).
    moments = [stats.beta(1, trials).moment(k) for k in (2, 4)]
    true = math.sqrt(moments[1] - moments[0] ** 2)
    studies = -(np.random.default_rng(2).uniform(size=(300, trials, 1)) ** 2)
    assert 1.1 < _root_mean_square(studies) / true < 1.8


def _root_mean_square(studies):
    spreads = [study_variance(study, REPORT, True, draws=200).search_sd for study in studies]
    return np.linalg.norm(spreads) / math.sqrt(len(spreads))


def test_both_spreads_are_in_the_interval():
    validation = np.random.default_rng(3).normal(0.9, 0.02, (8, 2))
    found = study_variance(validation, REPORT, True, level=0.9)
    assert found.seed_sd == pytest.approx(np.std(REPORT, ddof=1))
    assert found.search_sd == pytest.approx(found.scores.std())
    error = np.linalg.norm([np.std(REPORT, ddof=1) / math.sqrt(5), found.scores.std()])
    expected = stats.t(4, np.mean(REPORT), error).interval(0.9)
    assert found.interval == pytest.approx(expected)
    assert found.interval[0] < t_interval(REPORT, 0.9)[0]


def test_one_trial_is_no_search():
    found = study_variance([[0.9, 0.8]], REPORT, True)
    assert (found.search_sd, found.lost) == (0.0, 0.0)
    assert found.interval == pytest.approx(t_interval(REPORT))


def test_a_loss_is_an_accuracy_turned_round():
    validation = np.random.default_rng(4).normal(size=(6, 3))
    up, down = study_variance(validation, REPORT, True), study_variance(-validation, REPORT, False)
    np.testing.assert_array_equal(up.scores, -down.scores)
    assert (up.search_sd, up.interval) == (down.search_sd, down.interval)


def test_the_same_every_time():
    validation = np.random.default_rng(5).normal(size=(6, 3))
    one, two = (study_variance(validation, REPORT, True) for _ in range(2))
    assert one.search_sd == two.search_sd
    assert one.search_sd != study_variance(validation, REPORT, True, seed=1).search_sd


def test_searches_that_find_nothing_are_lost():
    found = study_variance([[0.9], [None], [math.nan], [math.inf]], REPORT, True, draws=20_000)
    assert found.lost == pytest.approx(0.75**4, abs=0.01)
    assert np.isnan(found.scores).mean() == pytest.approx(found.lost)
    # Every search that finds anything finds the same; but a third of them find nothing, so nothing is bounded.
    assert found.search_sd == 0.0
    assert found.interval == (-math.inf, math.inf)
    nothing = study_variance([[None], [None]], REPORT, True)
    assert (nothing.search_sd, nothing.lost, nothing.interval) == (None, 1.0, (-math.inf, math.inf))


def test_a_trial_is_not_chosen_on_a_seed_that_it_lost_and_lost_if_chosen_elsewhere():
    # The first trial is best where it finishes: chosen if drawn at all (3/4) and the second seed never is (1/4).
    found = study_variance([[2.0, None], [0.5, 0.5]], REPORT, True, draws=20_000)
    lost_draw = 0.25 * 0.75  # one trial alone, and its lost seed is drawn: nothing finishes
    assert found.lost == pytest.approx(0.75 * 0.25 + lost_draw, abs=0.01)
    assert set(found.scores[np.isfinite(found.scores)]) == {0.5}


def test_report_runs_without_a_spread():
    assert study_variance([[0.9]], [0.9], True).seed_sd is None
    found = study_variance([[0.9], [0.8]], [0.9, None, 0.8], True)
    assert found.seed_sd is None
    assert found.search_sd == pytest.approx(found.scores.std())
    assert found.interval == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("validation", "report", "options", "error", "message"),
    [
        ([], REPORT, {}, ValueError, "validation has rows of"),
        ([[]], REPORT, {}, ValueError, "validation has rows of"),
        ([[1.0], [1.0, 2.0]], REPORT, {}, ValueError, r"validation has rows of \[1, 2\] values"),
        ([[1.0]], [], {}, ValueError, "report is empty"),
        ([[1.0], ["x"]], REPORT, {}, TypeError, r"validation\[1\] has the value 'x'"),
        ([[1.0]], [True], {}, TypeError, "report has the value True"),
        ([[1.0]], REPORT, {"level": 95}, ValueError, "level = 95"),
        ([[1.0]], REPORT, {"draws": 1}, ValueError, "draws = 1"),
    ],
)
def test_bad_input(validation, report, options, error, message):
    with pytest.raises(error, match=message):
        study_variance(validation, report, True, **options)
