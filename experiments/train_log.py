"""The log of one run: metrics as lines of JSON, shown as they come."""

import time
from pathlib import Path

from rich.console import Console

from experiments.log_lines import kept, line_of


class Log:
    """Metrics as lines of JSON, shown as they come."""

    def __init__(self, path: Path, console: Console, steps: int) -> None:
        self.path, self.console, self.steps = path, console, steps
        self.records: list[dict[str, float]] = []
        self.began = time.perf_counter()

    def go_back_to(self, step: int) -> None:
        """Forgets what was logged after a step: the run goes on from there."""
        self.records = kept(self.path, step)
        self.console.print(f"goes on after step {step}")

    def add(self, step: int, metrics: dict[str, float]) -> None:
        """Writes and shows one record."""
        self.records.append({"step": step, **metrics})
        with self.path.open("a") as file:
            file.write(line_of(self.records[-1]))
        self.console.print(f"step {step:>6}/{self.steps}  {shown(metrics)}  {time.perf_counter() - self.began:.0f} s")


def shown(numbers: dict[str, float]) -> str:
    """Numbers on one line."""
    return "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
