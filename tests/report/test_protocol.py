"""The protocol says what the results say, also where they do not flatter."""

from report.test_plots import large

from jaxlab.report import check
from jaxlab.report.protocol import protocol
from jaxlab.report.results import studies_of
from jaxlab.report.shown import MANY


def words(results):
    return dict(protocol(studies_of(results)[0]))


def test_a_fair_study(study):
    said = words(check(study(margin=0.002)))
    assert (
        "same budget: 8 values of its learning rate, each trained with selection seeds 0 to 2, 24 runs"
        in said["Tuning"]
    )
    assert "for 1,000 steps with report seeds 1000 to 1004, seeds that tuning never saw" in said["Report"]
    assert "Holm's correction over all 21 pairs" in said["Comparison"]
    assert "differ by less than 0.20 points are equivalent" in said["Comparison"]


def test_seeds_used_twice_are_told(study):
    results = check(study(arms=2))
    for arm in results["arms"]:
        arm["report"]["seeds"] = [2, 3, 4, 5, 6]
    assert "of which seed 2 had ALSO served the tuning" in words(results)["Report"]


def test_unequal_budgets_and_edges_are_told(study):
    results = check(study(arms=2))
    tuning = results["arms"][1]["tuning"]
    tuning["values"], tuning["validation"], tuning["at_edge"] = tuning["values"][:3], tuning["validation"][:3], True
    said = words(results)["Tuning"]
    assert "DIFFERENT budgets, 9 to 24 runs" in said
    assert "Not tuned: momentum (learning rate), chosen at the edge of what was tried" in said


def test_many_arms_at_an_edge_are_counted(study):
    results = large(study)
    for arm in results["arms"]:
        arm["tuning"]["edges"] = ["learning_rate"]
    said = words(results)["Tuning"]
    assert said.count("(learning rate)") == MANY
    assert "and 3 others, chosen at the edge of what was tried" in said


def test_what_a_file_may_tell_is_told(study):
    said = words(check(study(board="one-knob")))
    assert "24 runs in all. All other numbers are as published." in said["Tuning"]
    assert said["Power"] == (
        "With 5 seeds and 21 pairs, a true difference of 4.12 standard deviations of the paired differences, here "
        "about 1.23 points from the spread between the tuning's runs, is found with 80% power. A smaller one may stay "
        "undecided."
    )
    assert said["Program"] == (
        "The runs of an arm are trained together as one population on 2 cpu devices, 8 at a time (the fastest of a "
        "trial: all at once 2.1 ms a step, one after the other 4.8 ms a step, 8 at a time 1.75 ms a step). Executables "
        "compiled in all: 9."
    )


def test_a_full_board(study):
    results = study(arms=2, board="full")
    tuning = results["arms"][1]["tuning"]
    tuning["edges"], tuning["widened"] = ["learning_rate", "weight_decay"], 2
    results["power"]["difference"], results["program"]["trial"], results["program"]["layout"] = None, None, "vmap"
    said = words(check(results))
    assert (
        "trials, each a value of every learning rate, b1, b2, weight decay or smoothing that it has"
        in (words(check(study(arms=2, board="full")))["Tuning"])
    )
    assert "the last ones went beyond it: of momentum (2)" in said["Tuning"]
    assert "Not tuned: momentum (learning rate and weight decay)" in said["Tuning"]
    assert "paired differences, is found" in said["Power"]
    assert "all at once (as asked for)" in said["Program"]


def test_a_file_with_the_least_says_no_more(study):
    assert list(words(check(study(arms=2)))) == ["Task", "Tuning", "Report", "Comparison", "Diverged runs"]


def test_one_arm(study):
    assert words(check(study(arms=1)))["Comparison"].startswith("There is one arm")
