"""Which arms "all" stands for, why others are none, and what the page says of those that fall short."""

import numpy as np
import pytest

from experiments import roster
from jaxlab import optimizers, tasks
from jaxlab.optimizers import OptimizerInfo, get


@pytest.fixture(scope="module")
def digits():
    return tasks.get("digits_mlp")


def test_all_is_every_optimizer_that_can_train_the_task(digits):
    arms, left_out = roster.expand(["all"], digits, "cosine")
    assert set(arms) | set(left_out) == set(optimizers.names())
    assert arms == [name for name in optimizers.names() if name not in left_out]
    assert set(left_out) == {"newton", "gauss_newton"}
    assert left_out["newton"].startswith("8970 parameters, accepted are at most 4096")
    assert "the loss has no residuals" in left_out["gauss_newton"]


def test_every_optimizer_can_train_a_line():
    arms, left_out = roster.expand(["all"], tasks.get("line"), "cosine")
    assert (arms, left_out) == (list(optimizers.names()), {})


def test_names_come_once_and_in_the_order_asked_for(digits):
    assert roster.expand(["lion", "adam", "lion"], digits, "cosine") == (["lion", "adam"], {})
    arms, _ = roster.expand(["lion", "all", "adam"], digits, "cosine")
    assert arms[0] == "lion"
    assert len(arms) == len(set(arms))


@pytest.mark.parametrize(
    ("names", "schedule", "match"),
    [
        (["adm"], "cosine", "'adm'"),
        (["all", "newton"], "cosine", "'newton' on task 'digits_mlp': 8970 parameters"),
        (["adam"], "cosin", "'cosin'"),
    ],
)
def test_what_cannot_be_an_arm_is_refused(digits, names, schedule, match):
    with pytest.raises(ValueError, match=match):
        roster.expand(names, digits, schedule)


def an_arm(name, test, tuning=None):
    mean = float(np.mean(test)) if test else None
    lost = 3 - len(test)
    report = {"test": [*test, *[None] * lost], "mean": mean, "diverged": lost}
    return {"name": name, "optimizer": name, "tuning": tuning, "report": report}


def a_tuning(*, chosen=0.1, at_edge=False, validation=((0.9, 0.9), (0.8, 0.8))):
    return {"parameter": "learning_rate", "chosen": chosen, "at_edge": at_edge, "validation": validation}


def a_study(*arms, target=0.97, higher=True):
    task = {"name": "digits_mlp", "metric": "accuracy", "unit": "fraction correct"}
    task |= {"target": target, "higher_is_better": higher}
    return {"task": task, "arms": list(arms)}


def test_arms_below_the_target_are_told_with_what_is_seen_and_known(monkeypatch):
    known = OptimizerInfo("adam", get("adam").factory, "", {}, caveat="Made for something else.")
    monkeypatch.setattr(roster, "get", lambda name: known if name == "adam" else get(name))
    edge = a_tuning(at_edge=True, validation=((0.9, None), (0.8, 0.8)))
    study = a_study(
        an_arm("adam", [0.9, 0.91, 0.89], a_tuning()),
        an_arm("sgd", [0.97, 0.97, 0.98], a_tuning()),
        an_arm("yogi", [0.99, 0.99], a_tuning()),
        an_arm("lion", [0.9], edge),
        an_arm("muon", []),
    )
    (section,) = roster.sections([study], {"digits_mlp": {}})
    assert section["title"] == "Below the target on digits_mlp"
    (table,) = section["tables"]
    assert "target of 97.00%" in table["title"]
    assert table["columns"][1] == "test accuracy"
    seen = {name: (mean, words, known) for name, mean, words, known in table["rows"]}
    assert list(seen) == ["adam", "yogi", "lion", "muon"]
    assert seen["adam"] == ("90.00%", "report runs from 89.00% to 91.00%", "Made for something else.")
    assert seen["yogi"] == ("99.00%", "1 of 3 report runs diverged; report runs from 99.00% to 99.00%", None)
    assert seen["lion"][1] == (
        "its best learning rate, 0.1, is the last it tried; 1 of 4 tuning runs diverged; 2 of 3 report runs diverged; "
        "report runs from 90.00% to 90.00%"
    )
    assert seen["muon"][:2] == ("\N{EN DASH}", "3 of 3 report runs diverged")


def test_of_a_loss_the_larger_falls_short():
    arms = an_arm("adam", [0.1, 0.1, 0.1]), an_arm("sgd", [0.3, 0.3, 0.3])
    (section,) = roster.sections([a_study(*arms, target=0.2, higher=False)], {})
    assert [row[0] for row in section["tables"][0]["rows"]] == ["sgd"]


def test_nothing_is_said_where_all_arrive_or_nobody_knows_where():
    fine, poor = an_arm("adam", [0.98, 0.99, 0.98]), an_arm("sgd", [0.1, 0.1, 0.1])
    assert roster.sections([a_study(fine)], {"digits_mlp": {}}) == []
    assert roster.sections([a_study(poor, target=None)], {}) == []


def test_who_is_left_out_is_told_why():
    (section,) = roster.sections([], {"digits_mlp": {"newton": "too many parameters"}, "line": {}})
    assert section["title"] == "Not compared on digits_mlp"
    assert section["tables"][0]["rows"] == [["newton", "too many parameters"]]
