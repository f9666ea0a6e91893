"""Several studies in a sentence."""

import pytest

from jaxlab.verdict import over_studies


def pair(a, b, verdict):
    return {"a": a, "b": b, "verdict": verdict}


ARMS = ["adam", "lion", "sgd"]


def test_who_is_nowhere_beaten_leads():
    first = (ARMS, [pair("adam", "sgd", "better"), pair("lion", "sgd", "undecided"), pair("adam", "lion", "undecided")])
    second = (ARMS, [pair("sgd", "adam", "worse"), pair("lion", "sgd", "better"), pair("lion", "adam", "equivalent")])
    assert over_studies([first, second]) == (
        "Over 2 studies adam and lion are nowhere shown to be worse than another optimizer. sgd is beaten in 2."
    )


def test_where_everybody_is_beaten_the_fewest_defeats_lead():
    first = (ARMS, [pair("adam", "sgd", "better"), pair("lion", "sgd", "better")])
    second = (ARMS, [pair("sgd", "adam", "better"), pair("lion", "sgd", "worse")])
    third = (ARMS, [pair("sgd", "adam", "worse")])
    assert over_studies([first, second, third], "schedule") == (
        "Over 3 studies every schedule is beaten somewhere: adam and lion are in 1, the fewest."
    )


def test_nothing_is_said_of_nothing():
    with pytest.raises(ValueError, match="studies is empty"):
        over_studies([])
