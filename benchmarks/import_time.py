"""How long the transforms take to import, beside ``import optax``: at most 1.15 times.

Run: python benchmarks/import_time.py [--pairs 15]

Each round starts one fresh process for each import, in an order that alternates, and gives one ratio, so
that what else the machine does falls on both. Printed are medians with their quartiles. A process times the
import alone, without the interpreter's own start.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile

TARGET = 1.15
TRANSFORMS = "jaxlab.losses, jaxlab.modifiers, jaxlab.optimizers, jaxlab.regularizers, jaxlab.schedules"
TIMED = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def seconds(modules: str, folder: str) -> float:
    """The time that an import takes in a fresh process which runs in the given folder."""
    command = [sys.executable, "-c", TIMED.format(modules)]
    # With its bytecode kept, as every user's installation keeps it after the first import.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return float(subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True, text=True).stdout)


def spread(values: list[float], unit: str) -> str:
    """A median and quartiles, to read."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.3f}{unit} (quartiles {low:.3f} to {high:.3f})"


def main() -> None:
    """Measures and prints; the exit code is 1 where the median ratio misses the target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15, help="rounds, at least 2")
    pairs = parser.parse_args().pairs
    if pairs < 2:
        parser.error(f"--pairs = {pairs}: accepted is a whole number of at least 2")

    imports = {"optax": "optax", "jaxlab": TRANSFORMS}
    times: dict[str, list[float]] = {name: [] for name in imports}
    with tempfile.TemporaryDirectory() as folder:
        for modules in imports.values():  # compiles the bytecode and fills the disk's cache
            seconds(modules, folder)
        for i in range(pairs):
            for name in imports if i % 2 else reversed(imports):
                times[name].append(seconds(imports[name], folder))

    ratios = [ours / theirs for ours, theirs in zip(times["jaxlab"], times["optax"], strict=True)]
    for name, values in times.items():
        print(f"import {name:7} {spread(values, ' s')}")
    print(f"paired ratio   {spread(ratios, '')}, {pairs} pairs; the target is at most {TARGET}")
    sys.exit(statistics.median(ratios) > TARGET)


if __name__ == "__main__":
    main()
