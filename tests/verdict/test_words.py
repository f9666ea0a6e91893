"""Sentences say what the numbers say, the better arm first."""

import math
import re

import pytest

from jaxlab.verdict.compare import Comparison, comparisons
from jaxlab.verdict.measure import MINUS, Measure
from jaxlab.verdict.superiority import Superiority, p_better
from jaxlab.verdict.words import chance, overall, sentence

ACCURACY = Measure("accuracy", "fraction correct", higher_is_better=True)
LOSS = Measure("loss", "nats", higher_is_better=False)
NAN = math.nan
ADAM = [0.971, 0.975, 0.969, 0.973, 0.972]
ADAMW = [0.972, 0.974, 0.971, 0.973, 0.971]
SGD = [0.951, 0.957, 0.948, 0.953, 0.950]


def said(arms, measure=ACCURACY, **options):
    found = comparisons(arms, measure.higher_is_better, **options)
    return overall(arms, found, measure)


def test_a_worse_arm_is_told_from_the_better_ones_side():
    found = Comparison("sgd", "adam", 0.25, (0.1, 0.4), 0.001, 0.003, "worse", None)
    assert sentence(found, LOSS) == (
        f"adam is better than sgd on test loss: {MINUS}0.250 nats "
        f"(95% interval {MINUS}0.400 to {MINUS}0.100 nats, corrected p = 0.003)."
    )


def test_undecided_says_how_many_seeds():
    found = Comparison("adam", "adamw", 0.001, (-0.002, 0.004), 0.4, 0.9, "undecided", 12)
    assert sentence(found, ACCURACY, level=0.9).endswith("corrected p = 0.90); needs about 12 more seeds.")
    assert "(90% interval" in sentence(found, ACCURACY, level=0.9)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([NAN] * 5, SGD, "b is better than a on test accuracy: more runs of a diverged."),
        ([NAN, *ADAM[1:]], SGD, "a against b is undecided on test accuracy: runs diverged."),
        (SGD, SGD, "a and b gave the same test accuracy on every seed."),
        ([0.5], [0.4], "a against b is undecided on test accuracy: +10.00 points (corrected p = 1)."),
    ],
)
def test_degenerate_pairs(a, b, expected):
    [found] = comparisons({"a": a, "b": b}, higher_is_better=True)
    assert sentence(found, ACCURACY) == expected


def test_equivalent():
    [found] = comparisons({"adam": ADAM, "adamw": ADAMW}, higher_is_better=True, margin=0.01)
    assert sentence(found, ACCURACY).startswith("adam and adamw are equivalent on test accuracy: ")


def test_best_of_all():
    text = said({"sgd": SGD, "adam": ADAM, "worst": [x - 0.1 for x in SGD]})
    assert text.startswith("adam is best on test accuracy with 97.20%: better than both others. The nearest is sgd, ")


def test_nobody_is_best():
    text = said({"sgd": SGD, "adam": ADAM, "adamw": ADAMW})
    assert text.startswith(
        "No optimizer is shown to be best: adamw leads on test accuracy with 97.22%, but adam may be as good. "
        "It is better than sgd. To tell adamw from adam needs about "
    )


def test_equivalence_is_a_reason_not_to_choose():
    text = said({"adam": ADAM, "adamw": ADAMW}, margin=0.01)
    assert "but adam is equivalent to it." in text


def test_long_lists_are_cut():
    arms = {f"arm{i}": [x + 0.0001 * i * (-1) ** j for j, x in enumerate(ADAM)] for i in range(9)}
    assert " and 5 others may be as good" in said(arms)


def test_forty_arms_are_one_sentence_with_few_names():
    offsets = [0.00005 * i for i in range(20)] + [0.01 + 0.001 * i for i in range(20)]
    wiggle = [1.0, -1.0, 0.5, -0.7, 0.3]
    arms = {
        f"arm{i}": [x - offset + 0.0001 * w * (-1) ** i * (i % 5) for x, w in zip(ADAM, wiggle, strict=True)]
        for i, offset in enumerate(offsets)
    }
    first, *rest = said(arms).split(". ")
    assert first.startswith("No optimizer is shown to be best: arm0 leads on test accuracy with 97.20%, but ")
    assert first.endswith("others may be as good")
    assert len(re.findall(r"arm\d+", first)) <= 5
    assert len(re.findall(r"arm\d+", " ".join(rest))) <= 6


def test_one_seed():
    assert said({"a": [0.5], "b": [0.6]}).startswith("One seed cannot decide. b is ahead on test accuracy with 60.00%;")


def test_one_arm():
    assert said({"a": [0.5, 0.6]}).startswith("a reaches a test accuracy of 55.00% (95% interval ")
    assert said({"a": [0.5]}) == "a reaches a test accuracy of 50.00%. There is nothing to compare it with."


def test_all_diverged():
    assert said({"a": [NAN, None], "b": [NAN, NAN]}).startswith("Every run of every optimizer diverged")


def test_the_best_lost_runs_too():
    text = said({"a": [NAN, *ADAM[1:]], "b": [NAN] * 5})
    assert "over the 4 of 5 runs that did not diverge" in text


def test_the_others_diverged():
    text = said({"a": ADAM, "b": [NAN] * 5})
    assert text == "a is best on test accuracy with 97.20%: better than b, whose runs diverged."


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (p_better(SGD, ADAM, True), "b beats a on 100% of seeds (95% interval 48% to 100%)."),
        (p_better(SGD, SGD, True), "a beats b on 50% of seeds (95% interval 0% to 100%)."),
        (Superiority(0.9, (0.554, 0.9975)), "a beats b on 90% of seeds (95% interval 55% to 99.8%)."),
        (Superiority(0.1, (0.0025, 0.446)), "b beats a on 90% of seeds (95% interval 55% to 99.8%)."),
    ],
)
def test_chance_of_the_likelier_arm(found, expected):
    assert chance("a", "b", found) == expected
