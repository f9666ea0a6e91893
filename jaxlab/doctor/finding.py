"""What the doctor says of one thing."""

from collections.abc import Mapping
from typing import Any, NamedTuple

OK, NOTE, BAD = "ok", "note", "bad"
STATES = (OK, NOTE, BAD)


class Finding(NamedTuple):
    """One line of the doctor's.

    Attributes:
      part: the heading it stands under.
      name: what was looked at.
      state: ``"ok"``; ``"note"``, worth knowing; ``"bad"``, training would not work.
      text: what was found.
      advice: what to do; a command is exact.
      data: the numbers in the text, for machines.
    """

    part: str
    name: str
    state: str
    text: str
    advice: str = ""
    data: Mapping[str, Any] = {}


def works(findings: list[Finding]) -> bool:
    """Would training work?

    >>> works([Finding("versions", "jax", OK, "0.10.2"), Finding("checks", "bfloat16", NOTE, "0.1 TFLOP/s")])
    True
    """
    return all(finding.state != BAD for finding in findings)
