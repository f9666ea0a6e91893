"""The compiled step beside the one that a good JAX engineer would write by hand, in XLA's own count and in time.

Run: python -m benchmarks.hand_written [--models NAMES] [--parts] [--rounds 200] [--json FILE]

Two pairs, each of which does the same work for the same model, loss and Adam:

- plain: gradient, update, application, loss. jaxlab: ``make_train_step(..., skip_nonfinite=False, norms=False)``.
- safe: that, and the norms of gradient, update and parameters are reported, and a step of which the loss or one of
  them is not finite changes nothing. jaxlab: the defaults.

MLPs on a batch of 256 and GPTs on 1,024 and 512 tokens: more than a thousand operations for each parameter, so that
gradients are most of the work. ``--parts`` adds what norms and skipping cost, each alone. All contestants step the
same parameters and moments in turn, so that memory holds them once. On two quiet cores it takes about four minutes.

A step that may be skipped writes nothing until all is known, so its temporary memory is as large as the state. A
program that is called step by step asks the system for that memory anew each time. With glibc on Linux,
GLIBC_TUNABLES=glibc.malloc.hugetlb=1 makes that cheap.
"""

import abc
import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree
from rich.console import Console
from rich.table import Table

from benchmarks.side_by_side import Contestant, arguments, median_interval, race, save
from jaxlab.core.cost import program_cost
from jaxlab.models import GPT, MLP, pure
from jaxlab.optimizers import adam
from jaxlab.train import TrainState, init_state, make_train_step

RATE, B1, B2, EPS = 1e-4, 0.9, 0.999, 1e-8
SECONDS = 12.0
"""What the rounds of one model should take together, beyond the least number of them."""
LEAST_ROUNDS = 8
COUNTS = ("flops", "bytes_accessed", "temp_bytes")

Loss = Callable[[PyTree, dict[str, Array], Any], tuple[Array, dict[str, Array]]]


class Case(NamedTuple):
    """A model, its loss and the shapes of its batch."""

    init: Callable[[Array], PyTree]
    loss: Loss
    batch: Callable[[Array], dict[str, Array]]


class Memory(NamedTuple):
    """What a hand-written step keeps."""

    params: PyTree
    m: PyTree
    v: PyTree
    count: Any


def mlp(width: int, layers: int, examples: int) -> Case:
    """Equal layers and a square loss."""
    model = pure(lambda rngs: MLP((width,) * (layers + 1), rngs=rngs))

    def loss(params: PyTree, batch: dict[str, Array], key: Any) -> tuple[Array, dict[str, Array]]:
        return jnp.mean((model.apply(params, batch["x"]) - batch["y"]) ** 2), {}

    def batch(key: Array) -> dict[str, Array]:
        x, y = jax.random.normal(key, (2, examples, width))
        return {"x": x, "y": y}

    return Case(model.init, loss, batch)


def gpt(width: int, layers: int, heads: int, sequences: int, length: int = 128) -> Case:
    """A vocabulary of bytes."""
    model = pure(lambda rngs: GPT(256, width=width, layers=layers, heads=heads, rngs=rngs))

    def loss(params: PyTree, batch: dict[str, Array], key: Any) -> tuple[Array, dict[str, Array]]:
        logits = model.apply(params, batch["tokens"][:, :-1])
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, batch["tokens"][:, 1:])), {}

    def batch(key: Array) -> dict[str, Array]:
        return {"tokens": jax.random.randint(key, (sequences, length + 1), 0, 256)}

    return Case(model.init, loss, batch)


MODELS: dict[str, Callable[[], Case]] = {
    "mlp-1m": partial(mlp, 512, 4, 256),
    "mlp-8m": partial(mlp, 1024, 8, 256),
    "mlp-100m": partial(mlp, 4096, 6, 256),
    "gpt-1m": partial(gpt, 128, 5, 4, 8),
    "gpt-8m": partial(gpt, 336, 6, 6, 4),
}


def plain(loss_fn: Loss, memory: Memory, batch: dict[str, Array], rate: Array) -> tuple[Memory, dict[str, Array]]:
    """A step by hand."""
    loss, _, _, after = _stepped(loss_fn, memory, batch, rate)
    return after, {"loss": loss}


def safe(loss_fn: Loss, memory: Memory, batch: dict[str, Array], rate: Array) -> tuple[Memory, dict[str, Array]]:
    """A step by hand that reports norms and is skipped where something is not finite."""
    loss, grads, updates, after = _stepped(loss_fn, memory, batch, rate)
    norms = {"grad_norm": _norm(grads), "update_norm": _norm(updates), "param_norm": _norm(after.params)}
    good = reduce(jnp.logical_and, map(jnp.isfinite, (loss, *norms.values())))
    return jax.tree.map(lambda new, old: jnp.where(good, new, old), after, memory), {"loss": loss, **norms}


def _stepped(
    loss_fn: Loss, memory: Memory, batch: dict[str, Array], rate: Array
) -> tuple[Array, PyTree, PyTree, Memory]:
    (loss, _), grads = jax.value_and_grad(loss_fn, has_aux=True)(memory.params, batch, None)
    count = memory.count + 1
    m = jax.tree.map(lambda m, g: B1 * m + (1 - B1) * g, memory.m, grads)
    v = jax.tree.map(lambda v, g: B2 * v + (1 - B2) * g**2, memory.v, grads)
    first, second = 1 - B1**count, 1 - B2**count
    updates = jax.tree.map(lambda m, v: -rate * (m / first) / (jnp.sqrt(v / second) + EPS), m, v)
    return loss, grads, updates, Memory(jax.tree.map(jnp.add, memory.params, updates), m, v, count)


def _norm(tree: PyTree) -> Array:
    return jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)))


class Program(abc.ABC):
    """A compiled step."""

    def __init__(self, case: Case, key: Array) -> None:
        self.case, self.params = case, jax.eval_shape(case.init, key)
        self.batch = jax.eval_shape(case.batch, key)

    @abc.abstractmethod
    def contestant(self, shared: list[Memory], batch: dict[str, Array]) -> Contestant:
        """A step at a call: it takes the shared memory and leaves the new one there."""

    def counted(self) -> dict[str, Any]:
        """XLA's figures."""
        cost = program_cost(self.compiled)
        return {**{of: getattr(cost, of) for of in COUNTS}, "compile_seconds": self.compile_seconds}

    def _compile(self, program: Any, *shapes: Any) -> None:
        began = time.perf_counter()
        self.compiled = program.lower(*shapes).compile()
        self.compile_seconds = time.perf_counter() - began


class ByHand(Program):
    """One of the two functions above."""

    def __init__(self, step: Callable[..., Any], case: Case, key: Array) -> None:
        super().__init__(case, key)
        number = jax.ShapeDtypeStruct((), jnp.float32)
        memory = Memory(self.params, self.params, self.params, number)
        self._compile(jax.jit(partial(step, case.loss), donate_argnums=0), memory, self.batch, number)

    def contestant(self, shared: list[Memory], batch: dict[str, Array]) -> Contestant:
        """A step at a call."""
        rate = jnp.float32(RATE)

        def work() -> None:
            shared[0], _ = jax.block_until_ready(self.compiled(shared[0], batch, rate))

        return work


class Ours(Program):
    """jaxlab's."""

    def __init__(self, case: Case, key: Array, *, skip_nonfinite: bool = True, norms: bool = True) -> None:
        super().__init__(case, key)
        self.key = key
        state = jax.eval_shape(self._state, self.params)
        step: Any = make_train_step(case.loss, self._build, skip_nonfinite=skip_nonfinite, norms=norms)
        self._compile(step, state, self.batch)

    @staticmethod
    def _build(hyperparams: dict[str, Array]) -> optax.GradientTransformation:
        return adam(hyperparams["learning_rate"], B1, B2, EPS)

    def _state(self, params: PyTree) -> TrainState:
        return init_state(params, self._build, {"learning_rate": RATE}, key=self.key)

    def contestant(self, shared: list[Memory], batch: dict[str, Array]) -> Contestant:
        """A step at a call. Between the calls the arrays are in the shared memory, which moves nothing."""
        held = [self._state({})]

        def work() -> None:
            state, memory = held[0], shared[0]
            first = state.opt_state[0]
            moments = first.slots._replace(m=memory.m, v=memory.v)
            opt_state = (first._replace(slots=moments), *state.opt_state[1:])
            state = state._replace(params=memory.params, opt_state=opt_state)
            state, _ = jax.block_until_ready(self.compiled(state, batch))
            slots = state.opt_state[0].slots
            shared[0], held[0] = Memory(state.params, slots.m, slots.v, memory.count), state

        return work


PAIRS = {"plain": ("plain, by hand", "plain, jaxlab"), "safe": ("safe, by hand", "safe, jaxlab")}
PROGRAMS: dict[str, Callable[[Case, Array], Program]] = {
    "plain, by hand": partial(ByHand, plain),
    "plain, jaxlab": partial(Ours, skip_nonfinite=False, norms=False),
    "norms alone, jaxlab": partial(Ours, skip_nonfinite=False),
    "skipping alone, jaxlab": partial(Ours, norms=False),
    "safe, by hand": partial(ByHand, safe),
    "safe, jaxlab": Ours,
}
PARTS = ("norms alone, jaxlab", "skipping alone, jaxlab")
AGAIN = "plain, by hand, again"


def measure(case: Case, rounds: int, parts: bool) -> dict[str, Any]:
    """The programs counted and timed, the first against itself, too: the machine's noise."""
    key = jax.random.key(0)
    programs = {name: program(case, key) for name, program in PROGRAMS.items() if parts or name not in PARTS}
    params = jax.jit(case.init)(key)
    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    zeros = jax.jit(partial(jax.tree.map, jnp.zeros_like))
    shared, batch = [Memory(params, zeros(params), zeros(params), jnp.zeros(()))], case.batch(key)
    del params
    builders = {name: partial(program.contestant, shared, batch) for name, program in programs.items()}
    builders[AGAIN] = builders["plain, by hand"]
    steps = [build() for build in builders.values()]
    for step in steps:
        step()
    began = time.perf_counter()
    for step in steps:
        step()
    # Each works twice in a round.
    rounds = min(rounds, max(LEAST_ROUNDS, int(SECONDS / (2 * (time.perf_counter() - began)))))
    seconds = race(builders, rounds)
    figures: dict[str, Any] = {name: program.counted() for name, program in programs.items()}
    figures[AGAIN] = {}
    for name, times in seconds.items():
        figures[name]["milliseconds"] = 1e3 * statistics.median(times)
        figures[name]["time_over_plain"] = _over(times, seconds["plain, by hand"])
    pairs = {}
    for pair, (hand, ours) in PAIRS.items():
        over = {of: figures[ours][of] / figures[hand][of] for of in COUNTS}
        # Among themselves: whoever works after a step with large temporaries finds its memory given back.
        alone = race({hand: builders[hand], ours: builders[ours]}, rounds)
        pairs[pair] = {**over, "time": _over(alone[ours], alone[hand])}
    return {"parameters": size, "rounds": rounds, "programs": figures, "jaxlab_over_by_hand": pairs}


def _over(times: list[float], base: list[float]) -> dict[str, Any]:
    ratios = [a / b for a, b in zip(times, base, strict=True)]
    return {"median": statistics.median(ratios), "interval": median_interval(ratios)}


def _within(pair: dict[str, Any]) -> bool:
    """Whether a pair meets the bar: counts within 1%, and 1.02 of the time is not excluded."""
    counts = max(pair["flops"], pair["bytes_accessed"])
    return counts <= 1.01 and pair["time"]["interval"][0] <= 1.02


def show(model: str, figures: dict[str, Any]) -> None:
    """Prints one model's tables."""
    size = figures["parameters"]
    table = Table(title=f"{model}: {size:,} parameters; a step, for each parameter", title_justify="left")
    for column in ("", "operations", "bytes", "temporary bytes", "compiling, s", "ms", "time over plain by hand"):
        table.add_column(column, justify="left" if not column else "right")
    for name, one in figures["programs"].items():
        table.add_row(
            name,
            *(f"{one[of] / size:.1f}" if of in one else "" for of in COUNTS),
            f"{one['compile_seconds']:.1f}" if "compile_seconds" in one else "",
            f"{one['milliseconds']:.3g}",
            _words(one["time_over_plain"]),
        )
    console = Console(width=120)
    console.print(table)
    for pair, over in figures["jaxlab_over_by_hand"].items():
        console.print(
            f"{pair}: jaxlab over by hand: operations {over['flops']:.3f}, bytes {over['bytes_accessed']:.3f}, "
            f"time {_words(over['time'])}: {'within' if _within(over) else 'NOT within'} 1.01, 1.01, 1.02"
        )


def _words(ratio: dict[str, Any]) -> str:
    return "{:.2f} ({:.2f}-{:.2f})".format(ratio["median"], *ratio["interval"])


def options(parser: argparse.ArgumentParser) -> None:
    """What this benchmark alone is asked."""
    parser.add_argument("--models", nargs="+", choices=MODELS, default=tuple(MODELS), metavar="NAME")
    parser.add_argument("--parts", action="store_true", help="also norms alone and skipping alone")


def main() -> None:
    """Measures each model and prints its tables."""
    chosen = arguments(__doc__, 200, options)
    content: dict[str, Any] = {}
    for model in chosen.models:
        content[model] = measure(MODELS[model](), chosen.rounds, chosen.parts)
        show(model, content[model])
        save(chosen.json, {"benchmark": "hand_written", "figures": content})


if __name__ == "__main__":
    main()
