"""What a program costs, compiling and running apart."""

import time
from typing import Any

import jax


class Stopwatch:
    """Runs jitted functions and keeps apart what was spent in compiling and in running."""

    def __init__(self) -> None:
        self.compiling = 0.0
        self.running = 0.0

    def run(self, function: Any, *arguments: Any) -> Any:
        """The function's result, computed."""
        start = time.perf_counter()
        compiled = function.lower(*arguments).compile()
        middle = time.perf_counter()
        result = jax.block_until_ready(compiled(*arguments))
        self.compiling += middle - start
        self.running += time.perf_counter() - middle
        return result
