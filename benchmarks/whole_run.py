"""A thousand steps of the digits MLP: one compiled program, a Python loop over an optax step, PyTorch.

Run: python -m benchmarks.whole_run [--rounds 12] [--json FILE]
PyTorch takes part where it is installed (fused AdamW, eager), with the number of threads that it is
fastest with.

All train the same network with the same batch size by AdamW at one constant rate. Each counts what a run counts:
fresh parameters, drawing and cutting its batches, its steps. Compilation is excluded, and printed apart.
"""

import importlib.util
from functools import partial

import jax
from rich.console import Console

from benchmarks.loops import SETTINGS, best_threads, optax_loop, timed, torch_loop
from benchmarks.side_by_side import Contestant, arguments, race, save, show, summary
from jaxlab import tasks
from jaxlab.optimizers import Recipe
from jaxlab.train import init_run, make_run

STEPS = 1_000
RATE = 1e-3


def whole_run(task: tasks.Task) -> Contestant:
    """jaxlab: the run is one program, batches drawn inside it."""
    build = Recipe("adamw").build
    init, run = jax.jit(task.init), make_run(task.loss, build, batch_size=task.batch_size, steps=STEPS)
    numbers = {"learning_rate": RATE, **SETTINGS}

    def work() -> None:
        state = init_run(init, build, numbers, key=jax.random.key(0))
        jax.block_until_ready(run(state, task.data))

    return work


def main() -> None:
    """Runs the race and prints a table."""
    chosen = arguments(__doc__, rounds=12)
    task = tasks.get("digits_mlp")
    builders = {"optax loop": partial(optax_loop, task, [RATE], STEPS), "jaxlab whole run": partial(whole_run, task)}
    first = {name: timed(build()) for name, build in builders.items()}
    if importlib.util.find_spec("torch"):
        threads = best_threads(task)
        builders[f"torch eager, threads: {threads}"] = partial(torch_loop, task, [RATE], STEPS, threads)
    seconds = race(builders, chosen.rounds)
    figures = summary(seconds, "jaxlab whole run")
    show(f"{STEPS} steps of {task.name}, batch size {task.batch_size}", figures, "jaxlab whole run")
    compiling = {name: first[name] - figures[name]["milliseconds"]["median"] / 1e3 for name in first}
    Console().print(f"compilation, excluded above: { ({name: f'{value:.1f} s' for name, value in compiling.items()}) }")
    content = {"benchmark": "whole_run", "steps": STEPS, "figures": figures, "compile_seconds": compiling}
    save(chosen.json, content)


if __name__ == "__main__":
    main()
