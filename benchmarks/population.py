"""Sweeps: a population in one program, beside runs one after the other.

Run: python -m benchmarks.population [--rounds 12] [--json FILE]
PyTorch takes part where it is installed (fused AdamW, eager), with the number of threads that it is
fastest with.

Three races. A sweep: 32 learning rates, 1,000 steps of the digits MLP each, by AdamW. The population trains all 32,
evaluates each on its validation set at the end, and all that counts; the loops train a few of the 32 in their turn,
never evaluate, and their time is scaled to 32. Small transformers: 8 of them for 50 steps, as a population whose
layout a trial chose, and one compiled run after the other. A conditional: a transform that refreshes a QR
decomposition every 10 steps, told the time by the population's one clock, and counting in its own state, where the
condition is each member's and both branches run.

Compilation, and the trial of layouts, are excluded and stated. The third race takes part where ``PJRT_NPROC`` is above
the number of cores.
"""

import dataclasses
import importlib.util
import os
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array
from rich.console import Console

from benchmarks.loops import SETTINGS, best_threads, optax_loop, timed, torch_loop
from benchmarks.side_by_side import Contestant, arguments, race, save, show, summary
from jaxlab import tasks
from jaxlab.models import GPT, pure
from jaxlab.optimizers import Recipe
from jaxlab.sweep import History, run_population, seed_keys, use_every_core
from jaxlab.tasks.prediction import NextToken
from jaxlab.train import init_run, make_run

RATES = np.geomspace(1e-4, 1e-2, 32).tolist()
STEPS = 1_000
OF_OPTAX, OF_TORCH = RATES[::8], RATES[::16]
MEMBERS, GPT_STEPS = 8, 50
EVERY, REFRESHES = 10, 20

SMALL = pure(lambda rngs: GPT(256, width=32, layers=2, heads=2, rngs=rngs))


def population(last: list[History], task: tasks.Task, build: Any, rates: Any, steps: int, layout: Any) -> Contestant:
    """One call trains and evaluates all members; its history is left in ``last``."""
    numbers = {"learning_rate": np.array(rates), **SETTINGS}

    def work() -> None:
        last[:] = [run_population(task, build, numbers, seed_keys([0] * len(rates)), steps=steps, layout=layout)]

    return work


def one_by_one(task: tasks.Task, rates: Any, steps: int) -> Contestant:
    """The same members, each by a compiled run of its own, which all share."""
    build, init = Recipe("adamw").build, jax.jit(task.init)
    run = make_run(
        task.loss, build, batch_size=task.batch_size, steps=steps, validation_fraction=task.validation_fraction
    )

    def work() -> None:
        for rate in rates:
            state = init_run(init, build, {"learning_rate": rate, **SETTINGS}, key=jax.random.key(0))
            jax.block_until_ready(run(state, task.data))

    return work


class Basis(NamedTuple):
    """The state of :func:`refreshing`: its own count of steps, and an orthogonal basis."""

    count: Array
    basis: Array


def refreshing(rate: Any, *, own_count: bool) -> optax.GradientTransformationExtraArgs:
    """Gradient descent that also keeps a basis of the first 64 x 64 gradient, renewed by QR every 10 steps."""

    def matrix(grads: Any) -> Array:
        return next(leaf for leaf in jax.tree.leaves(grads) if leaf.shape == (64, 64))

    def init(params: Any) -> Basis:
        return Basis(jnp.zeros((), jnp.int32), jnp.eye(64))

    def renewed(basis: Array, gradient: Array) -> Array:
        return jnp.linalg.qr(basis + gradient)[0]

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Basis]:
        time = state.count if own_count else extra["step"]
        basis = jax.lax.cond(time % EVERY == 0, renewed, lambda basis, _: basis, state.basis, matrix(updates))
        return jax.tree.map(lambda g: -rate * g, updates), Basis(state.count + 1, basis)

    return optax.GradientTransformationExtraArgs(init, update)


def told_the_time(numbers: dict[str, Any]) -> optax.GradientTransformationExtraArgs:
    """The condition is on the population's clock."""
    return refreshing(numbers["learning_rate"], own_count=False)


def counting(numbers: dict[str, Any]) -> optax.GradientTransformationExtraArgs:
    """The condition is on the member's state."""
    return refreshing(numbers["learning_rate"], own_count=True)


def small_gpt() -> tasks.Task:
    """2,048 stretches of 64 bytes of Python's library, 64 of them to validate, for two blocks of width 32."""
    task = tasks.get("bytes_gpt")
    return dataclasses.replace(
        task,
        name="small_gpt",
        data=jax.tree.map(lambda leaf: leaf[::16], task.data),
        init=SMALL.init,
        loss=NextToken(SMALL.apply),
        batch_size=16,
    )


def compete(
    title: str, builders: dict[str, Callable[[], Contestant]], rounds: int, shares: dict[str, float] | None = None
) -> dict[str, Any]:
    """One race of the first contestant against each other one: its tables and figures.

    Args:
      title: says what all do.
      builders: as in :func:`~benchmarks.side_by_side.race`.
      rounds: how many.
      shares: what part of the work a contestant does, where it is not the whole: its time is scaled.
    """
    parts = dict.fromkeys(builders, 1.0) | (shares or {})
    first = {name: timed(build()) for name, build in builders.items()}
    seconds = {name: [spent / parts[name] for spent in each] for name, each in race(builders, rounds).items()}
    ours, *others = builders
    races = {other: summary({name: seconds[name] for name in (ours, other)}, other) for other in others}
    for other, figures in races.items():
        show(title, figures, other)
    compiling = {name: first[name] - parts[name] * statistics.median(seconds[name]) for name in builders}
    spent = ", ".join(f"{name} {value:.1f} s" for name, value in compiling.items())
    Console(width=120).print(f"the first call took longer, by compilation and trial: {spent}\n")
    return {"what": title, "parts_timed": parts, "figures": races, "compile_seconds": compiling}


def main() -> None:
    """Runs the races and prints their tables."""
    chosen = arguments(__doc__, rounds=12)
    use_every_core()
    digits, gpt, adamw = tasks.get("digits_mlp"), small_gpt(), Recipe("adamw").build
    content: dict[str, Any] = {"benchmark": "population", "devices": len(jax.devices())}

    last: list[History] = []
    builders = {
        "population": partial(population, last, digits, adamw, RATES, STEPS, "auto"),
        "optax loop": partial(optax_loop, digits, OF_OPTAX, STEPS),
    }
    shares = {"optax loop": len(OF_OPTAX) / len(RATES)}
    if importlib.util.find_spec("torch"):
        threads = best_threads(digits)
        name = f"torch eager, threads: {threads}"
        builders[name] = partial(torch_loop, digits, OF_TORCH, STEPS, threads)
        shares[name] = len(OF_TORCH) / len(RATES)
    title = f"{len(RATES)} learning rates, {STEPS} steps of {digits.name}, batch size {digits.batch_size}"
    content["sweep"] = compete(title, builders, chosen.rounds, shares) | chosen_layout(last)

    builders = {
        "population": partial(population, last, gpt, adamw, RATES[-MEMBERS:], GPT_STEPS, "auto"),
        "one by one": partial(one_by_one, gpt, RATES[-MEMBERS:], GPT_STEPS),
    }
    title = f"{MEMBERS} transformers of width 32, {GPT_STEPS} steps, batch size {gpt.batch_size}"
    content["transformers"] = compete(title, builders, chosen.rounds) | chosen_layout(last)

    # jaxlib's batched LAPACK calls wait for threads of the pool whose threads make them: with one device a core all
    # would wait, for ever. Spare threads end that, and make the other races slower.
    if int(os.environ.get("PJRT_NPROC", "0")) <= (os.cpu_count() or 1):
        Console().print("the race of the conditional needs spare threads: PJRT_NPROC above the number of cores")
        save(chosen.json, content)
        return
    rates, steps = RATES[:MEMBERS], EVERY * REFRESHES
    builders = {
        "one clock": partial(population, last, digits, told_the_time, rates, steps, "vmap"),
        "each member counts": partial(population, last, digits, counting, rates, steps, "vmap"),
    }
    title = f"QR of 64 x 64 every {EVERY} steps, {MEMBERS} perceptrons, {steps} steps"
    content["conditional"] = compete(title, builders, chosen.rounds)
    save(chosen.json, content)


def chosen_layout(last: list[History]) -> dict[str, Any]:
    """What the trial found."""
    (history,) = last
    return {"layout": history.layout, "trial": history.trial}


if __name__ == "__main__":
    main()
