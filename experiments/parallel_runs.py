"""One model under one layout: what it trains to, what each device holds and sends, how long a step takes."""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from benchmarks.side_by_side import race
from experiments.parallel_least import least_sent
from experiments.parallel_models import Subject
from jaxlab.core import hyper
from jaxlab.precision import Policy
from jaxlab.sharding import Layout
from jaxlab.sharding.collectives import Collective, bytes_sent, collectives
from jaxlab.train import init_state, make_train_step
from jaxlab.train.laid_out import LaidOut
from jaxlab.train.state import Build, TrainState

TOLERANCE = 1e-9
"""Of every parameter, and of loss and gradient norm over their size. A step with Adam moves a parameter by 1e-3."""
OF_THE_MODEL = ("parameters", "optimizer state", "gradients")
HYPERPARAMS = {"learning_rate": 1e-3}


@dataclasses.dataclass(frozen=True)
class Training:
    """What every layout trains with."""

    build: Build
    hyperparams: Mapping[str, Any]
    policy: Policy
    seed: int


@dataclasses.dataclass(frozen=True)
class Ends:
    """Where a run came to: its parameters, loss and gradient norm of each step, and how long its step compiled."""

    params: list[np.ndarray]
    path: np.ndarray
    seconds: float


@dataclasses.dataclass(frozen=True)
class Figures:
    """What a layout costs, on each device and for each step.

    Attributes:
      size: parameters of the model.
      memory: bytes by kind: parameters, optimizer state, gradients, batch, temporaries (gradients among them).
      sent: collectives of the compiled step.
      least: bytes that this layout cannot but send.
      seconds: that compiling took.
      work: takes one step.
    """

    size: int
    memory: dict[str, float]
    sent: tuple[Collective, ...]
    least: float
    seconds: float
    work: Callable[[], None]

    @property
    def kept(self) -> float:
        """Bytes that grow with the model alone, those of single layers apart."""
        return sum(self.memory[kind] for kind in OF_THE_MODEL)

    @property
    def kept_each(self) -> float:
        """Of :attr:`kept`, for each parameter of the model."""
        return self.kept / self.size

    @property
    def peak(self) -> float:
        """Bytes of all that the step needs at a time."""
        return sum(self.memory[kind] for kind in ("parameters", "optimizer state", "batch", "temporaries"))

    @property
    def bytes_sent(self) -> float:
        """All kinds together."""
        return bytes_sent(self.sent)


@dataclasses.dataclass(frozen=True)
class Found:
    """A layout, by its text: how far its parameters end from one device's, whether that is equal, what it costs."""

    text: str
    layout: Layout
    difference: float
    equal: bool
    figures: Figures


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Arithmetic in float64 meanwhile."""
    before = hyper.arithmetic_dtype() == np.float64
    jax.config.update("jax_enable_x64", True)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)


def first_parameters(subject: Subject, seed: int) -> PyTree:
    """The first ones, the same under every layout, in the arithmetic's precision."""
    return jax.jit(subject.model.init)(jax.random.key(seed))


@dataclasses.dataclass(frozen=True)
class Start:
    """A compiled step, and what it begins with."""

    state: TrainState
    batch: PyTree
    compiled: jax.stages.Compiled
    seconds: float


def begin(subject: Subject, layout: Layout, training: Training, params: PyTree) -> Start:
    """Lays everything out and compiles the step."""
    state = init_state(
        params,
        training.build,
        training.hyperparams,
        key=jax.random.key(training.seed),
        policy=training.policy,
        layout=layout,
    )
    step = make_train_step(subject.loss, training.build, policy=training.policy, layout=layout)
    assert isinstance(step, LaidOut)
    batch, began = layout.put_batch(subject.batch), time.perf_counter()
    compiled = step.lower(state, batch).compile()
    return Start(state, batch, compiled, time.perf_counter() - began)


def train(subject: Subject, layout: Layout, training: Training, params: PyTree, steps: int) -> Ends:
    """A few steps on the batch, in float64 whatever the policy.

    In float32 layouts add in different orders, and Adam divides what is left of a gradient that should be zero by its
    own size: a parameter then moves by a whole learning rate, one way or the other. That is noise, and hides whether
    two programs are the same function. In float64 the noise is a billion times smaller, and a real difference is not.
    """
    start = begin(subject, layout, dataclasses.replace(training, policy=Policy()), params)
    state, path = start.state, []
    with jax.set_mesh(layout.mesh):
        for _ in range(steps):
            state, metrics = start.compiled(state, start.batch)
            path.append([float(metrics["loss"]), float(metrics["grad_norm"])])
    return Ends([np.asarray(leaf) for leaf in jax.tree.leaves(state.params)], np.array(path), start.seconds)


def difference(ends: Ends, base: Ends) -> tuple[float, bool]:
    """The largest of any parameter's, and whether it and those of the paths lie within the tolerance."""
    largest = max(float(np.max(np.abs(a - b))) for a, b in zip(ends.params, base.params, strict=True))
    along = float(np.max(np.abs(ends.path - base.path) / np.abs(base.path)))
    return largest, largest <= TOLERANCE and along <= TOLERANCE


def measure(subject: Subject, layout: Layout, training: Training, params: PyTree) -> Figures:
    """Compiles the step and reads what it costs."""
    start = begin(subject, layout, training, params)
    held = [start.state]

    def work() -> None:
        with jax.set_mesh(layout.mesh):
            held[0] = jax.block_until_ready(start.compiled(held[0], start.batch)[0])

    return Figures(
        size=sum(leaf.size for leaf in jax.tree.leaves(params)),
        memory=memory_of(start, layout),
        sent=collectives(start.compiled, layout.mesh),
        least=least_sent(subject, layout, training.policy),
        seconds=start.seconds,
        work=work,
    )


def memory_of(start: Start, layout: Layout) -> dict[str, float]:
    """Bytes on each device, by kind. Gradients are counted as if all were there at a time, as they are added up."""
    params, rest = start.state.params, start.state._replace(params=())
    shared = layout.shardings(params, stage=2)
    numbers = jax.tree.map(lambda p, at: math.prod(at.shard_shape(p.shape)), params, shared)
    analysis = start.compiled.memory_analysis()
    assert analysis is not None
    return {
        "parameters": on_device(params),
        "optimizer state": on_device(rest),
        "gradients": 4.0 * sum(jax.tree.leaves(numbers)),
        "batch": on_device(start.batch),
        "temporaries": float(analysis.temp_size_in_bytes),
    }


def on_device(values: PyTree) -> float:
    """Bytes of a device's parts of some arrays."""
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(values)
    )


def times(figures: Mapping[str, Figures], rounds: int) -> dict[str, list[float]]:
    """Seconds of a step under each layout, round by round."""
    return race({name: lambda one=one: one.work for name, one in figures.items()}, rounds)
