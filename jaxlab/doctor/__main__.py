"""Would training work on this machine, and what is amiss?

    python -m jaxlab.doctor
    python -m jaxlab.doctor --json

Versions, devices and their memory, small real checks (a training step, all devices together, bfloat16, a checkpoint),
what is optional and missing, and common troubles, each with what to do. The exit code is 0 if training would work. It
takes about ten seconds; where one process alone may have the devices, as on a TPU, run it before the others.
"""

import argparse
import sys

from jaxlab.doctor.examine import TIMEOUT, examine
from jaxlab.doctor.finding import works
from jaxlab.doctor.show import as_json, write


def main(arguments: list[str] | None = None) -> int:
    """Examines, shows, and returns the exit code."""
    parser = argparse.ArgumentParser(
        "python -m jaxlab.doctor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds for the checks of the devices")
    options = parser.parse_args(arguments)
    if not options.timeout > 0:
        parser.error(f"--timeout = {options.timeout}: accepted are seconds above 0")
    findings = examine(options.timeout)
    if options.json:
        sys.stdout.write(as_json(findings) + "\n")
    else:
        write(findings)
    return 0 if works(findings) else 1


if __name__ == "__main__":
    sys.exit(main())
