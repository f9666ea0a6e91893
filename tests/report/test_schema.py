"""The checker against types it must tell apart."""

from typing import Any, Literal, TypedDict

import pytest

from jaxlab.report.schema import problems


class Point(TypedDict):
    x: float
    tags: list[str]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, float),
        (None, float | None),
        ({"x": 1.5, "tags": []}, Point),
        ({"a": [{"x": 0, "tags": ["b"]}]}, dict[str, list[Point]]),
        ("up", Literal["up", "down"]),
        (object, Any),
    ],
)
def test_what_fits(value, kind):
    assert problems(value, kind) == []


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (True, float, "x is True: accepted is a number"),
        (True, int, "x is True: accepted is a whole number"),
        (1.0, int, "x is 1.0: accepted is a whole number"),
        ("a", float | None, "x is 'a': accepted is a number or null"),
        ("left", Literal["up", "down"], "x is 'left': accepted is 'up' or 'down'"),
        (3, list[int], "x is 3: accepted is a list"),
        (3, dict[str, int], "x is 3: accepted is an object"),
        ({"x": 1.0}, Point, "x.tags is missing"),
        ({"x": 1.0, "tags": [1]}, Point, "x.tags[0] is 1: accepted is a text"),
        ("y" * 99, int, f"x is '{'y' * 56}...: accepted is a whole number"),
    ],
)
def test_what_does_not(value, kind, expected):
    assert problems(value, kind, "x") == [expected]
