"""The log of one run: metrics as lines of JSON, shown as they come."""

import json
import time
from pathlib import Path

import numpy as np
from rich.console import Console


class Log:
    """Metrics as lines of JSON, shown as they come."""

    def __init__(self, path: Path, console: Console, steps: int) -> None:
        self.path, self.console, self.steps = path, console, steps
        self.records: list[dict[str, float]] = []
        self.began = time.perf_counter()

    def go_back_to(self, step: int) -> None:
        """Forgets what was logged after a step: the run goes on from there."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        records = [json.loads(line) for line in lines]
        self.records = [
            {name: np.nan if value is None else value for name, value in record.items()}
            for record in records
            if record["step"] <= step
        ]
        self.path.write_text("".join(map(line_of, self.records)))
        self.console.print(f"goes on after step {step}")

    def add(self, step: int, metrics: dict[str, float]) -> None:
        """Writes and shows one record."""
        self.records.append({"step": step, **metrics})
        with self.path.open("a") as file:
            file.write(line_of(self.records[-1]))
        self.console.print(f"step {step:>6}/{self.steps}  {shown(metrics)}  {time.perf_counter() - self.began:.0f} s")


def line_of(record: dict[str, float]) -> str:
    """One line of JSON, which knows no NaN."""
    return json.dumps({name: value if np.isfinite(value) else None for name, value in record.items()}) + "\n"


def shown(numbers: dict[str, float]) -> str:
    """Numbers on one line."""
    return "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
