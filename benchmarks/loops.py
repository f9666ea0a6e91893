"""The loops that a run of jaxlab is raced against: an optax step called from Python, and PyTorch eager.

Both train the task's perceptron by AdamW with one learning rate after the other, count what a run counts (fresh
parameters, drawing and cutting the batches, the steps), and wait for the end of each run.
"""

import os
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
import optax

from benchmarks.side_by_side import Contestant
from jaxlab import tasks

SETTINGS: dict[str, Any] = {"b1": 0.9, "b2": 0.999, "eps": 1e-8, "weight_decay": 1e-2}


def optax_loop(task: tasks.Task, rates: Sequence[float], steps: int) -> Contestant:
    """The usual loop: a jitted step, batches cut on the host from a shuffled index. The rate is traced: one compile."""
    init = jax.jit(task.init)

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(params: Any, state: Any, batch: Any, rate: Any) -> tuple[Any, Any, Any]:
        (loss, _), grads = jax.value_and_grad(task.loss, has_aux=True)(params, batch, None)
        updates, state = optax.adamw(rate, **SETTINGS).update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    data = jax.tree.map(np.asarray, task.data)  # cutting rows on the host is faster than on the device, here

    def work() -> None:
        for rate in rates:
            params, number = init(jax.random.key(0)), np.float32(rate)
            state = optax.adamw(rate, **SETTINGS).init(params)
            for rows in batches(task, steps):
                batch = jax.tree.map(lambda leaf: leaf[rows], data)  # noqa: B023
                params, state, _ = step(params, state, batch, number)
            jax.block_until_ready(params)

    return work


def torch_loop(task: tasks.Task, rates: Sequence[float], steps: int, threads: int) -> Contestant:
    """PyTorch eager with its fused optimizer."""
    import torch  # noqa: PLC0415 - optional

    x, y = (torch.tensor(np.asarray(leaf)) for leaf in (task.data["x"], task.data["y"]))
    x, y = x.reshape(len(x), -1).float(), y.long()
    widths = [kernel.shape for kernel in jax.tree.leaves(task.init(jax.random.key(0))) if kernel.ndim == 2]
    options = {
        "betas": (SETTINGS["b1"], SETTINGS["b2"]),
        "eps": SETTINGS["eps"],
        "weight_decay": SETTINGS["weight_decay"],
    }

    def work() -> None:
        torch.set_num_threads(threads)
        for rate in rates:
            layers = [layer for shape in widths for layer in (torch.nn.Linear(*shape), torch.nn.ReLU())]
            model = torch.nn.Sequential(*layers[:-1])
            optimizer = torch.optim.AdamW(model.parameters(), lr=rate, fused=True, **options)
            for rows in batches(task, steps):
                chosen = torch.from_numpy(rows)
                loss = torch.nn.functional.cross_entropy(model(x[chosen]), y[chosen])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    return work


def best_threads(task: tasks.Task) -> int:
    """The number of threads that PyTorch is fastest with, by a short trial."""
    trials = {threads: torch_loop(task, [1e-3], 50, threads) for threads in (1, os.cpu_count() or 1)}
    return min(trials, key=lambda threads: min(timed(trials[threads]) for _ in range(3)))


def batches(task: tasks.Task, steps: int) -> Any:
    """Shuffled rows, epoch after epoch."""
    rng, examples = np.random.default_rng(0), len(jax.tree.leaves(task.data)[0])
    epochs = -(-steps * task.batch_size // examples)
    order = np.concatenate([rng.permutation(examples) for _ in range(epochs)])
    return order[: steps * task.batch_size].reshape(steps, task.batch_size)


def timed(work: Contestant) -> float:
    """Seconds of a call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
