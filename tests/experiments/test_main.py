"""The list of experiments: complete, each with a question, and the README's the same."""

import re
import subprocess
import sys
from pathlib import Path

from experiments.__main__ import questions

ROOT = Path(__file__).parents[2]


def test_every_experiment_asks_a_question():
    assert {"compare", "linear_regression", "misprints", "second_order", "train"} <= set(questions())
    for name, question in questions().items():
        assert question.endswith("?"), name


def test_the_command_prints_them():
    done = subprocess.run(
        [sys.executable, "-m", "experiments"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    for name in questions():
        assert f"experiments.{name}" in done.stdout


def test_the_readme_lists_them_all():
    listed = re.findall(r"^\| `python -m experiments\.(\w+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(questions())
