"""What the README says is there, is there."""

import pathlib
import re

import pytest

import jaxlab

README = (pathlib.Path(__file__).parents[1] / "README.md").read_text()


@pytest.mark.parametrize("part", ["optimizers", "modifiers", "schedules", "regularizers", "losses", "augment", "tasks"])
def test_every_name_is_listed_and_no_other(part):
    (listed,) = re.findall(rf"^\| `{part}` \| (.*) \|$", README, re.MULTILINE)
    assert tuple(listed.split(", ")) == getattr(jaxlab, part).names()


def test_its_python_compiles():
    for block in re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL):
        compile(block, "README.md", "exec")
