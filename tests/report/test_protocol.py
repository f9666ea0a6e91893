"""The protocol says what the results say, also where they do not flatter."""

from jaxlab.report import check
from jaxlab.report.protocol import protocol
from jaxlab.report.results import studies_of


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
    assert "The choice of momentum lies on the edge of its grid" in said


def test_one_arm(study):
    assert words(check(study(arms=1)))["Comparison"].startswith("There is one arm")
