"""A thousand steps of the digits MLP: one compiled program, a Python loop over an optax step, PyTorch.

Run: python -m benchmarks.whole_run [--rounds 12] [--json FILE]
PyTorch takes part where it is installed (fused AdamW, eager), with the number of threads that it is
fastest with.

All train the same network with the same batch size by AdamW at one constant rate. Each counts what a run counts:
fresh parameters, drawing and cutting its batches, its steps. Compilation is excluded, and printed apart.
"""

import importlib.util
import os
import time
from functools import partial
from typing import Any

import jax
import numpy as np
import optax
from rich.console import Console

from benchmarks.side_by_side import Contestant, arguments, race, save, show, summary
from jaxlab import tasks
from jaxlab.optimizers import Recipe
from jaxlab.train import init_run, make_run

STEPS = 1_000
SETTINGS: dict[str, Any] = {"b1": 0.9, "b2": 0.999, "eps": 1e-8, "weight_decay": 1e-2}
RATE = 1e-3


def whole_run(task: tasks.Task) -> Contestant:
    """jaxlab: the run is one program, batches drawn inside it."""
    build = Recipe("adamw").build
    run = make_run(task.loss, build, batch_size=task.batch_size, steps=STEPS)
    numbers = {"learning_rate": RATE, **SETTINGS}

    def work() -> None:
        state = init_run(task.init, build, numbers, key=jax.random.key(0))
        jax.block_until_ready(run(state, task.data))

    return work


def optax_loop(task: tasks.Task) -> Contestant:
    """The usual loop: a jitted step, batches cut on the host from a shuffled index."""
    tx = optax.adamw(RATE, **SETTINGS)

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(params: Any, state: Any, batch: Any) -> tuple[Any, Any, Any]:
        (loss, _), grads = jax.value_and_grad(task.loss, has_aux=True)(params, batch, None)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    data = jax.tree.map(np.asarray, task.data)  # cutting rows on the host is faster than on the device, here

    def work() -> None:
        params = task.init(jax.random.key(0))
        state = tx.init(params)
        for rows in batches(task):
            params, state, _ = step(params, state, jax.tree.map(lambda leaf: leaf[rows], data))  # noqa: B023
        jax.block_until_ready(params)

    return work


def best_threads(task: tasks.Task) -> int:
    """The number of threads that PyTorch is fastest with, by a short trial."""
    trials = {threads: torch_loop(task, threads, steps=50) for threads in (1, os.cpu_count() or 1)}
    return min(trials, key=lambda threads: min(timed(trials[threads]) for _ in range(3)))


def torch_loop(task: tasks.Task, threads: int, steps: int = STEPS) -> Contestant:
    """PyTorch eager with its fused optimizer."""
    import torch  # noqa: PLC0415 - optional

    x, y = (torch.tensor(np.asarray(leaf)) for leaf in (task.data["x"], task.data["y"]))
    x, y = x.reshape(len(x), -1).float(), y.long()
    widths = [kernel.shape for kernel in jax.tree.leaves(task.init(jax.random.key(0))) if kernel.ndim == 2]

    def work() -> None:
        torch.set_num_threads(threads)
        layers = [layer for shape in widths for layer in (torch.nn.Linear(*shape), torch.nn.ReLU())]
        model = torch.nn.Sequential(*layers[:-1])
        betas = (SETTINGS["b1"], SETTINGS["b2"])
        options = {"lr": RATE, "eps": SETTINGS["eps"], "weight_decay": SETTINGS["weight_decay"]}
        optimizer = torch.optim.AdamW(model.parameters(), betas=betas, fused=True, **options)
        for rows in batches(task)[:steps]:
            chosen = torch.from_numpy(rows)
            loss = torch.nn.functional.cross_entropy(model(x[chosen]), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return work


def batches(task: tasks.Task) -> Any:
    """Shuffled rows, epoch after epoch."""
    rng, examples = np.random.default_rng(0), len(jax.tree.leaves(task.data)[0])
    epochs = -(-STEPS * task.batch_size // examples)
    order = np.concatenate([rng.permutation(examples) for _ in range(epochs)])
    return order[: STEPS * task.batch_size].reshape(STEPS, task.batch_size)


def main() -> None:
    """Runs the race and prints a table."""
    chosen = arguments(__doc__, rounds=12)
    task = tasks.get("digits_mlp")
    builders = {"optax loop": partial(optax_loop, task), "jaxlab whole run": partial(whole_run, task)}
    first = {name: timed(build()) for name, build in builders.items()}
    if importlib.util.find_spec("torch"):
        threads = best_threads(task)
        builders[f"torch eager, threads: {threads}"] = partial(torch_loop, task, threads)
    seconds = race(builders, chosen.rounds)
    figures = summary(seconds, "jaxlab whole run")
    show(f"{STEPS} steps of {task.name}, batch size {task.batch_size}", figures, "jaxlab whole run")
    compiling = {name: first[name] - figures[name]["milliseconds"]["median"] / 1e3 for name in first}
    Console().print(f"compilation, excluded above: { ({name: f'{value:.1f} s' for name, value in compiling.items()}) }")
    content = {"benchmark": "whole_run", "steps": STEPS, "figures": figures, "compile_seconds": compiling}
    save(chosen.json, content)


def timed(work: Contestant) -> float:
    """Seconds of a first call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
