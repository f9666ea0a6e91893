"""results.json: what is accepted, what is refused and in which words."""

import json
import math

import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.report import SCHEMA, check, load, save
from jaxlab.report.results import plain


@pytest.fixture
def two(study):
    return study(arms=2, lost={"sgd": 1})


def test_what_is_saved_is_what_is_loaded(two, tmp_path):
    save(two, tmp_path / "results.json")
    assert load(tmp_path / "results.json") == load(tmp_path) == check(two)


def test_the_file_is_strict_json_of_the_schema(two, tmp_path):
    save(two, tmp_path / "results.json")

    def refuse(token):
        raise AssertionError(token)

    found = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert found["schema"] == SCHEMA == "jaxlab.results/1"


def test_numbers_that_are_not_finite_become_null(two):
    found = check(two)
    sgd = found["arms"][0]
    assert sgd["report"]["test"][0] is None
    assert sgd["report"]["mean"] is None
    assert sgd["report"]["interval"] == [None, None]
    assert None in sgd["tuning"]["validation"][-1]
    assert found["comparisons"][0]["difference"] is None


def test_plain_keeps_values_and_types():
    given = {"f": np.float32(0.5), "i": np.int64(3), "b": np.bool_(True), "a": jnp.arange(2), "t": (1, [math.inf])}
    found = plain(given)
    assert found == {"f": 0.5, "i": 3, "b": True, "a": [0, 1], "t": [1, [None]]}
    assert [type(found[key]) for key in "fib"] == [float, int, bool]


def set_at(data, path, value):
    *parents, last = path
    for key in parents:
        data = data[key]
    data[last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["schema"], "jaxlab.results/2", "results.schema is 'jaxlab.results/2': accepted is 'jaxlab.results/1'"),
        (["verdict"], None, r"results\.verdict is None: accepted is a text"),
        (["task", "metric"], 3, r"results\.task\.metric is 3: accepted is a text"),
        (["task", "higher_is_better"], 1, r"results\.task\.higher_is_better is 1: accepted is true or false"),
        (["task", "target"], "high", r"results\.task\.target is 'high': accepted is a number or null"),
        (["seconds"], [1], r"results\.seconds is \[1\]: accepted is an object"),
        (["arms"], {}, r"results\.arms is \{\}: accepted is a list"),
        (["arms"], [], r"results\.arms is empty"),
        (
            ["arms", 1, "report", "test", 2],
            "0.9",
            r"arms\[1\]\.report\.test\[2\] is '0.9': accepted is a number or null",
        ),
        (["arms", 1, "report", "seeds", 0], 0.5, r"arms\[1\]\.report\.seeds\[0\] is 0.5: accepted is a whole number"),
        (["arms", 1, "report", "seeds", 0], 7, r"arms\[1\]\.report\.seeds differ from the first arm's"),
        (
            ["arms", 1, "report", "test"],
            [0.5],
            r"arms\[1\]\.report\.test has 1 entries: accepted are 5, one for each seed",
        ),
        (["arms", 1, "report", "diverged"], 3, r"arms\[1\]\.report\.diverged is 3"),
        (
            ["arms", 0, "curves", "steps"],
            [1],
            r"arms\[0\]\.curves\.validation\[\.\.\.\] has 20 entries: accepted are 1",
        ),
        (["arms", 0, "tuning", "values"], [0.1], r"arms\[0\]\.tuning\.validation has 8 entries: accepted are 1"),
        (["arms", 0, "colour"], "red", r"arms\[0\]\.colour is unknown: accepted are name, optimizer"),
        (["arms", 0, "name"], "momentum", "results.arms names 'momentum' twice"),
        (
            ["comparisons", 0, "verdict"],
            "best",
            r"comparisons\[0\]\.verdict is 'best': accepted is 'better' or 'worse'",
        ),
        (["comparisons", 0, "a"], "adam", r"comparisons\[0\] names 'adam': accepted are sgd, momentum"),
        (["comparisons", 0, "interval"], [0.0], r"comparisons\[0\]\.interval has 1 entries: accepted are 2"),
    ],
)
def test_what_does_not_fit_is_named(two, tmp_path, path, value, message):
    data = json.loads(json.dumps(check(two)))
    set_at(data, path, value)
    with pytest.raises(ValueError, match=message):
        save(data, tmp_path / "results.json")
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_named(two):
    data = json.loads(json.dumps(check(two)))
    del data["arms"][0]["report"]["mean"]
    with pytest.raises(ValueError, match=r"results\.arms\[0\]\.report\.mean is missing"):
        check(data)


def test_many_problems_are_cut_short(two):
    with pytest.raises(ValueError, match=r"and 6 more$"):
        check({"schema": SCHEMA, "wrong": 1})


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is no JSON"), ("[]", "holds list"), ('{"schema": "other"}', "results.schema is 'other'")],
)
def test_a_file_that_is_none_of_ours(tmp_path, text, message):
    (tmp_path / "results.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=f"results.json.*{message}"):
        load(tmp_path)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "results.json")
