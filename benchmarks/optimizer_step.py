"""The step of every optimizer, beside the traffic that it must make, optax's and PyTorch's counterparts.

Run: python -m benchmarks.optimizer_step [--optimizers NAMES] [--models NAMES] [--peers NAMES] [--rounds 20]
[--json FILE]. PyTorch takes part where it is installed, with as many threads as cores. On 600 leaves optax's lbfgs and
momo_adam take many minutes and gigabytes to compile: leave optax out for them.

Two models: one large leaf, where memory is the limit, and 600 small ones, where the program's overhead is. The floor
moves as many bytes as the optimizer must, in large arrays, and computes next to nothing: parameters and state are read
and written, gradients read. Whatever follows the loss gets one that costs next to nothing.
Each optimizer takes part twice: its ratio to itself is what the machine's noise alone makes. An optimizer that
refreshes something every few steps is timed over the steps as they come; the median is of an ordinary one.
"""

import argparse
import math
import statistics
import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from rich.console import Console
from rich.table import Table

from benchmarks import peers
from benchmarks.side_by_side import Contestant, arguments, median_interval, race, save
from jaxlab import optimizers
from jaxlab.core.cost import bytes_of
from jaxlab.optimizers.describe import stand_ins

MODELS = {"one leaf of 2048 x 1024": [(2048, 1024)], "600 leaves of 32 x 32": [(32, 32)] * 600}
PEERS = ("optax", "PyTorch")
SECONDS = 1.0
"""What the timed rounds of one optimizer on one model should take together."""


class Stepper:
    """A transform's training step on donated parameters and state, compiled once for all who run it."""

    def __init__(
        self, tx: optax.GradientTransformation, shapes: list[tuple[int, ...]], extra: tuple[str, ...] | None = None
    ) -> None:
        """Compiles it. Of the extra arguments ``update`` is given all, or those named."""
        self.tx, self.shapes, self.extra = optax.with_extra_args_support(tx), shapes, extra
        params = {f"leaf_{i}": jax.ShapeDtypeStruct(shape, jnp.float32) for i, shape in enumerate(shapes)}
        began = time.perf_counter()
        state = jax.eval_shape(self.tx.init, params)
        key, count = jax.eval_shape(lambda: (jax.random.key(0), jnp.zeros((), jnp.int32)))
        self.compiled = jax.jit(self._step, donate_argnums=(0, 1)).lower(params, state, params, key, count).compile()
        self.compile_seconds = time.perf_counter() - began
        self.parameters, self.state_bytes = bytes_of(params) // 4, bytes_of(state)

    def _step(self, params: Any, state: Any, grads: Any, key: Any, count: Any) -> tuple[Any, Any]:
        known = {"value": 0.5, "grad": grads, "key": key, "step": count, **stand_ins(grads)}
        extra = {name: known[name] for name in self.extra or known}
        updates, state = self.tx.update(grads, state, params, **extra)
        return optax.apply_updates(params, updates), state

    def contestant(self) -> Contestant:
        """Fresh arrays, and one step at a call."""
        params, grads = leaves(self.shapes, 0), leaves(self.shapes, 1)
        # The step's number is data, as in a training step.
        key, count = jax.random.key(2), jnp.zeros((), jnp.int32)
        # Copies: some of optax's states are the parameters themselves, which must not be donated twice.
        held = [params, jax.tree.map(jnp.copy, self.tx.init(params))]

        def work() -> None:
            held[:] = jax.block_until_ready(self.compiled(*held, grads, key, count))

        return work


def floor(parameters: int, state_bytes: int) -> Contestant:
    """Reads and writes parameters and state, reads gradients, with two operations for each number.

    The state comes in arrays of the parameters' size, as most optimizers keep it: one array of all of it is slower.
    And so is one operation alone: XLA on a CPU vectorizes what it fuses.
    """
    copies, rest = divmod(state_bytes // 4, parameters)
    params, grads = (jnp.ones((parameters // 1024, 1024)) for _ in range(2))
    held = [params, [*(jnp.ones_like(params) for _ in range(copies)), jnp.ones(max(1, rest))]]

    @partial(jax.jit, donate_argnums=(0, 1))
    def moved(params: Any, state: Any, grads: Any) -> tuple[Any, Any]:
        return params - 1e-3 * grads, [0.5 * x + 1 for x in state]

    def work() -> None:
        held[:] = jax.block_until_ready(moved(*held, grads))

    return work


def leaves(shapes: list[tuple[int, ...]], seed: int) -> dict[str, Any]:
    """Random leaves of these shapes."""
    keys = jax.random.split(jax.random.key(seed), len(shapes))
    return {f"leaf_{i}": jax.random.normal(key, shape) for i, (key, shape) in enumerate(zip(keys, shapes, strict=True))}


def measure(name: str, shapes: list[tuple[int, ...]], rounds: int, beside: tuple[str, ...]) -> dict[str, Any]:
    """One optimizer on one model: times, and its speed against all others, paired round by round."""
    own = Stepper(optimizers.get(name).factory(peers.RATE), shapes)
    builders = {
        "jaxlab": own.contestant,
        "itself": own.contestant,
        "floor": partial(floor, own.parameters, own.state_bytes),
    }
    compile_seconds = {"jaxlab": own.compile_seconds}
    if name in peers.OPTAX and "optax" in beside:
        other = Stepper(peers.OPTAX[name](), shapes, peers.EXTRA)
        builders["optax"] = other.contestant
        compile_seconds["optax"] = other.compile_seconds
    if name in peers.TORCH and "PyTorch" in beside and peers.has_torch():
        builders["PyTorch"] = partial(peers.torch_step, name, shapes)
    # Each works twice in a round, and the slowest is seldom far from jaxlab.
    step = min(race({"jaxlab": own.contestant}, 2)["jaxlab"])
    repeats = min(20, max(1, math.ceil(5e-3 / step)))
    rounds = min(rounds, max(8, int(SECONDS / (2 * len(builders) * repeats * step))))
    seconds = race(builders, rounds, repeats)
    return {
        "floor_bytes": 3 * 4 * own.parameters + 2 * own.state_bytes,
        "rounds": rounds,
        "compile_seconds": compile_seconds,
        "milliseconds": {who: 1e3 * statistics.median(times) for who, times in seconds.items()},
        "speed_against": {who: ratio(seconds[who], seconds["jaxlab"]) for who in seconds if who != "jaxlab"},
    }


def ratio(theirs: list[float], own: list[float]) -> dict[str, Any]:
    """How many times as fast jaxlab is: above 1 is faster."""
    ratios = [a / b for a, b in zip(theirs, own, strict=True)]
    return {"median": statistics.median(ratios), "interval": median_interval(ratios)}


def left_out(name: str) -> str | None:
    """Why an optimizer takes no part, if it does not."""
    rows, columns = optimizers.get(name).measured_on
    if rows * columns < 100_000:
        return f"forms a matrix of parameters by parameters: {rows * columns:,} at most"
    return None


def show(model: str, figures: dict[str, Any]) -> None:
    """Prints one model's table."""
    table = Table(title=f"A step, {model}; ratios above 1: jaxlab is faster", title_justify="left")
    for column in ("", "compiling, s", "and optax, s", "a step, ms", "of the floor", "optax", "PyTorch", "itself"):
        table.add_column(column, justify="left" if not column else "right", no_wrap=True)
    for name, one in figures.items():
        times, compiling, speed = one["milliseconds"], one["compile_seconds"], one["speed_against"]
        table.add_row(
            name,
            f"{compiling['jaxlab']:.2f}",
            f"{compiling['optax']:.2f}" if "optax" in compiling else "",
            f"{times['jaxlab']:.3g}",
            f"{speed['floor']['median']:.0%}",
            *(words(speed.get(who)) for who in ("optax", "PyTorch", "itself")),
        )
    Console(width=132).print(table)


def words(speed: dict[str, Any] | None) -> str:
    """A ratio and its interval."""
    return "" if speed is None else "{:.2f} ({:.2f}-{:.2f})".format(speed["median"], *speed["interval"])


def options(parser: argparse.ArgumentParser) -> None:
    """What this benchmark alone is asked."""
    names = optimizers.names()
    parser.add_argument("--optimizers", nargs="+", choices=names, default=names, metavar="NAME", help="default: all")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS, metavar="PEER", help="optax, PyTorch")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=tuple(MODELS), metavar="MODEL")


def main() -> None:
    """Runs both models and prints a table each."""
    chosen = arguments(__doc__, 20, options)
    reasons = {name: reason for name in chosen.optimizers if (reason := left_out(name))}
    content: dict[str, Any] = {}
    for model in chosen.models:
        content[model] = {}
        for name in chosen.optimizers:
            if name not in reasons:
                content[model][name] = measure(name, MODELS[model], chosen.rounds, tuple(chosen.peers))
                # After each: all optimizers on many leaves take long to compile.
                save(chosen.json, {"benchmark": "optimizer_step", "figures": content, "left_out": reasons})
        show(model, content[model])
    for name, reason in reasons.items():
        print(f"{name} takes no part: it {reason}")


if __name__ == "__main__":
    main()
