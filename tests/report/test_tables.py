"""What the tables of results, costs, measures and recipes say is what the file says, in units one reads."""

import numpy as np
import pytest
from report.test_page import Page

from jaxlab.report import check
from jaxlab.report.cost_table import costs
from jaxlab.report.measures_table import expectations, reliability
from jaxlab.report.provenance import Place
from jaxlab.report.recipe_tables import recipes, tuning_runs
from jaxlab.report.results import studies_of
from jaxlab.report.tables import final_table, pairs
from jaxlab.report.units import percent, quantity


def place_of(results):
    return Place(studies_of(check(results))[0])


class Rows(Page):
    """The texts of a table's cells, row by row."""

    def __init__(self, text: str) -> None:
        self.rows: list[list[str]] = []
        super().__init__(text)

    def handle_starttag(self, tag, attrs):
        super().handle_starttag(tag, attrs)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data


def row(markup, name):
    """The cells of the row of this name; of the head, where there is no such row."""
    head, *body = Rows(markup).rows
    return next((cells for cells in body if cells[0] == name), head)


def test_costs(study):
    table = costs(place_of(study(arms=2, board="one-knob", lost={"sgd": 2})))
    assert row(table, "momentum")[2:7] == ["2.47 ms", "2.5 MFLOP", "2.5 GFLOP", "42,310", "338 kB (8 B)"]
    sgd = row(table, "sgd")
    assert sgd[2:7] == ["1.23 ms", "1.25 MFLOP", "1.25 GFLOP", "42,310", "338 kB (8 B)"]
    assert sgd[1].startswith("(")
    assert "a run has 1,000 steps" in table


def test_costs_of_a_file_with_the_least(study):
    results = study(arms=2)
    results["arms"][0]["cost"] = {
        "seconds_tuning": 61.5,
        "seconds_report": 2.0,
        "compile_seconds": 0.5,
        "state_bytes_per_param": 4.0,
    }
    table = costs(place_of(results))
    assert row(table, "")[2:] == ["State (a parameter)", "Compiling", "All runs"]
    assert row(table, "sgd")[2:] == ["(4 B)", "500 ms", "63.5 s"]


def test_state_is_what_was_counted(study):
    results = study(arms=1, board="one-knob")
    # A factored state is small for large matrices alone: the recipe's word is of those.
    results["arms"][0]["cost"] |= {"params": 8970, "state_bytes": 35_888, "state_bytes_per_param": 0.0078}
    assert row(costs(place_of(results)), "sgd")[6] == "35.9 kB (4 B)"


def test_a_cost_that_one_arm_lacks_is_a_dash(study):
    results = study(arms=2, board="one-knob")
    results["arms"][0]["cost"]["flops_per_step"] = None
    assert row(costs(place_of(results)), "sgd")[3:5] == ["\N{EN DASH}"] * 2
    assert row(costs(place_of(results)), "momentum")[3:5] == ["2.5 MFLOP", "2.5 GFLOP"]


MEASURES = {
    "divergence": {"lost": 3, "runs": 29, "rate": 3 / 29, "interval": [0.0219, 0.2735]},
    "sensitivity": {"two_sided": 0.0123, "right": None},
    "best_of": [0.9, 0.95],
    "steps_to_target": {"target": 0.97, "steps": [200, None, 1250], "median": 1250.0, "interval": [200.0, None]},
    "study": {"seed_sd": 0.0031, "search_sd": 0.0123, "interval": [0.95, 0.99]},
}


def test_reliability(study):
    results = study(arms=2)
    results["arms"][1]["measures"] = MEASURES
    table = reliability(place_of(results))
    assert row(table, "")[-2:] == ["Steps to 97.00% on validation data", "Runs that arrived"]
    expected = ["3 of 29 (2% to 27%)", "1.23", "\N{EN DASH}", "1,250 (200 to never)", "2 of 3"]
    assert row(table, "momentum")[1:] == expected
    assert row(table, "sgd")[1:] == ["\N{EN DASH}"] * 5
    assert "costs, in points," in str(table)


def test_reliability_shows_what_there_is(study):
    results = study(arms=2)
    assert reliability(place_of(results)) is None
    results["arms"][0]["measures"] = {"divergence": MEASURES["divergence"], "steps_to_target": None}
    assert row(reliability(place_of(results)), "") == ["Arm", "Diverged, of all runs"]


def test_a_target_that_few_seeds_reach(study):
    results = study(arms=1)
    missed = {"target": 0.97, "steps": [200, None, None], "median": None, "interval": [0.0, None]}
    results["arms"][0]["measures"] = {"steps_to_target": missed}
    assert row(reliability(place_of(results)), "sgd")[1:] == ["never", "1 of 3"]


def test_expectations(study):
    results = study(arms=3)
    for found, p in zip(results["comparisons"], (0.1, 0.2, 0.3), strict=True):
        found |= {"p_better": p, "p_better_interval": [p / 2, 2 * p]}
    results["arms"][1]["measures"] = MEASURES
    table = expectations(place_of(results))
    # Pairs: sgd - momentum, sgd - rmsprop, momentum - rmsprop; the ranking: momentum, rmsprop, sgd.
    assert row(table, "")[1] == "Beats momentum on a fresh seed"
    expected = ["beats rmsprop: 30% (15% to 60%)", "0.31", "1.23", "95.00% to 99.00%"]
    assert row(table, "momentum")[1:] == expected
    assert row(table, "rmsprop")[1] == "70% (40% to 85%)"
    assert row(table, "sgd")[1] == "10% (5% to 20%)"
    assert row(pairs(place_of(results)), "momentum \N{MINUS SIGN} sgd")[-1] == "90% (80% to 95%)"
    assert "fresh seed" not in pairs(place_of(study(arms=3)))
    assert expectations(place_of(study(arms=2))) is None


def test_no_interval_goes_beyond_what_the_metric_can_be(study):
    shown = {}
    for loss in (False, True):
        results = study(arms=1, loss=loss)
        variance = {"seed_sd": 0.02, "search_sd": 0.04, "interval": [-0.1, 1.25]}
        results["arms"][0]["measures"] = {"study": variance}
        shown[loss] = row(expectations(place_of(results)), "sgd")[-1]
    assert shown == {False: "0.00% to 100.00%", True: "\N{MINUS SIGN}0.1000 to 1.250"}


def test_an_arm_at_an_edge_is_not_tuned(study):
    results = study(arms=2, board="full")
    results["arms"][0]["tuning"]["edges"] = ["b1"]
    results["arms"][1]["tuning"]["edges"] = []
    table = final_table(place_of(results))
    assert row(table, "sgd")[-1].endswith("not tuned")
    assert "b1 at the edge of what was tried" in table
    assert "not tuned" not in row(table, "momentum")[-1]


def test_recipes_of_several_hyperparameters(study):
    results = study(arms=2, board="full")
    arm = results["arms"][1]
    arm["tuning"]["widened"] = 2
    table = recipes(place_of(results))
    momentum = row(table, "momentum")
    assert momentum[2] == "8 (2 beyond)"
    points = arm["tuning"]["points"]
    best = list(points["learning_rate"]).index(arm["tuning"]["chosen"])
    assert f"b2 = {points['b2'][best]:.3g}" in momentum[3]
    assert f"{points['b1'].min():.3g} to {points['b1'].max():.3g}" in momentum[4]
    assert momentum[5] == "warmup_steps=50, total_steps=1000"
    assert f"b1={points['b1'][0]:.3g}" in tuning_runs(place_of(results))


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (999.6, "B", "1 kB"),
        (1e12, "FLOP", "1 TFLOP"),
        (2.5e-7, "s", "250 ns"),
        (12.34, "s", "12.3 s"),
        (1.0, "B", "1 B"),
        (3e22, "FLOP", "3e+04 EFLOP"),
    ],
)
def test_quantities(value, unit, said):
    assert quantity(value, unit) == said


def test_quantities_keep_three_digits():
    for value in 10.0 ** np.random.default_rng(0).uniform(-9, 18, 200):
        number, unit = quantity(float(value), "B").split(" ")
        factor = {"n": 1e-9, "\N{MICRO SIGN}": 1e-6, "m": 1e-3, "": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
        factor |= {"P": 1e15, "E": 1e18}
        assert 1.0 <= float(number) < 1000.0
        assert float(number) * factor[unit.removesuffix("B")] == pytest.approx(value, rel=0.0051)


def test_shares_that_are_nearly_all_or_nothing():
    assert [percent(x) for x in (0.0049, 0.005, 0.5, 0.9951)] == ["0.5%", "0.5%", "50%", "99.5%"]
