"""Looks at everything: packages here, devices in a process of their own."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jaxlab.doctor import installed
from jaxlab.doctor.finding import BAD, NOTE, Finding
from jaxlab.doctor.troubles import remedy, troubles

PROBE = "from jaxlab.doctor import probe; probe.main()"
TIMEOUT = 240
"""Seconds for all checks of the devices; those of a large TPU slice take long to start."""


def examine(timeout: float = TIMEOUT) -> list[Finding]:
    """Everything that the doctor finds, in the order of the page.

    The devices are asked by another process: where one process alone may have them (a TPU), ask before this one does.

    Args:
      timeout: seconds for the checks of the devices.

    Raises:
      ValueError: a timeout that is not above 0.
    """
    if not timeout > 0:
        raise ValueError(f"timeout = {timeout!r}: accepted are seconds above 0")
    found = [*_part("versions", installed.versions), *_devices(timeout), *_part("optional", installed.optional)]
    devices = next((finding.data for finding in found if finding.part == "devices" and "backend" in finding.data), {})
    return [*found, *_part("troubles", lambda: troubles(os.environ, installed.version_of, devices))]


def _part(name: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    """What a part finds, or its own failure."""
    try:
        return look()
    except (OSError, LookupError, TypeError, ValueError) as error:
        return [Finding(name, "doctor", NOTE, f"could not look: {type(error).__name__}: {error}")]


def _devices(timeout: float) -> list[Finding]:
    """What the probe finds; if it ends or hangs, at which check, and what it said last."""
    # Also where only this process knows the way to jaxlab.
    home = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", f"import sys; sys.path.append({home!r}); {PROBE}"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout, check=False)
        out, err, ended = ran.stdout, ran.stderr, f"ended with code {ran.returncode}" if ran.returncode else ""
    except subprocess.TimeoutExpired as error:
        out, err = (part.decode(errors="replace") if part else "" for part in (error.stdout, error.stderr))
        ended = f"did not answer within {timeout:g} s"
    except OSError as error:
        out, err, ended = "", str(error), "did not start"
    lines = list(_lines(out))
    found = [Finding(**line) for line in lines if "begins" not in line]
    if ended:
        # Whatever a check is worth, no training is safe where one ends the process or blocks it.
        part, name = next((line["begins"] for line in reversed(lines) if "begins" in line), ("devices", "devices"))
        found.append(Finding(part, name, BAD, f"the process of this check {ended}{_last(err)}"))
    return [finding._replace(advice=finding.advice or remedy(finding.text, installed.version_of)) for finding in found]


def _lines(text: str) -> Iterator[dict[str, Any]]:
    """The probe's lines. Drivers write to the same place."""
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                yield json.loads(line)
            except ValueError:
                continue


def _last(text: str) -> str:
    """The last thing that an ended process said."""
    said = [line.strip() for line in text.splitlines() if re.search(r"\w", line)]
    # A process that XLA ends says why on a line of its own, before a trace of addresses.
    fatal = [line for line in said if re.match(r"F\d{4} |\w*(Error|Exception)\b", line)]
    return f": {(fatal or said)[-1][:300]}" if said else ""
