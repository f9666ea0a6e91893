"""The findings for people: a table where rich is installed, else lines; what to do below, uncut, to be copied."""

import importlib
import importlib.util
import json
import sys
from collections.abc import Iterator
from itertools import groupby

from jaxlab.doctor.finding import BAD, NOTE, OK, Finding, works

SCHEMA = "jaxlab.doctor/1"
HEADINGS = {
    "versions": "Versions",
    "devices": "Devices",
    "checks": "Does it work?",
    "optional": "Optional",
    "troubles": "Worth knowing",
}
MARKS = {OK: "ok", NOTE: "!", BAD: "X"}


def as_json(findings: list[Finding]) -> str:
    """For machines: whether training would work, and every finding."""
    found = {"schema": SCHEMA, "works": works(findings), "findings": [finding._asdict() for finding in findings]}
    return json.dumps(found, indent=2)


def write(findings: list[Finding]) -> None:
    """To the terminal."""
    if importlib.util.find_spec("rich") is None:
        sys.stdout.write("\n".join(plain(findings)) + "\n")
    else:
        importlib.import_module("jaxlab.doctor.coloured").write(findings)


def plain(findings: list[Finding]) -> Iterator[str]:
    r"""Lines of text.

    >>> print(*plain([Finding("versions", "jax", BAD, "missing", "pip install 'jax>=0.7.2'")]), sep="\n")
    Versions
      X   jax           missing
    <BLANKLINE>
    What to do
      jax: pip install 'jax>=0.7.2'
    <BLANKLINE>
    Training would not work here: jax missing.
    """
    for part, group in groupby(findings, lambda finding: finding.part):
        yield HEADINGS[part]
        for finding in group:
            yield f"  {MARKS[finding.state]:3} {finding.name:13} {finding.text}"
        yield ""
    yield from to_do(findings)
    yield conclusion(findings)


def to_do(findings: list[Finding]) -> Iterator[str]:
    """What is advised, a line each."""
    advised = [finding for finding in findings if finding.advice]
    if advised:
        yield "What to do"
        yield from (f"  {finding.name}: {finding.advice}" for finding in advised)
        yield ""


def conclusion(findings: list[Finding]) -> str:
    """The answer in one sentence."""
    if works(findings):
        devices = next(iter(f.text.partition(";")[0] for f in findings if f.part == "devices"), "")
        return f"Training would work here, on {devices}."
    worst = next(finding for finding in findings if finding.state == BAD)
    return f"Training would not work here: {worst.name} {worst.text}."
