"""One plan: a GPT's training step under a layout on a slice, compiled for it, and what it takes of each chip."""

import dataclasses
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxlab import aot
from jaxlab.models.gpt import SCANNED, STACKED
from jaxlab.models.language import LanguageLoss
from jaxlab.models.sizes import GPTShape
from jaxlab.optimizers import Recipe
from jaxlab.sharding import Layout, make_mesh
from jaxlab.train import TrainState, abstract_state, make_train_step
from jaxlab.train.laid_out import LaidOut

LEARNING_RATE = {"learning_rate": 1e-3}
"""Data of the step, so no figure depends on it."""
POLICY = "bfloat16"
RESERVED = 2**28
"""Bytes of a chip that its own software takes. For chips that are not here the compiler compares temporaries alone with
the rest, so that a program which it accepts is held against all of it once more, arguments and all."""


@dataclasses.dataclass(frozen=True)
class Training:
    """What is to be trained, wherever.

    Attributes:
      shape: the sizes of the model.
      optimizer: a registered one; Muon and its kin multiply in bfloat16.
      batch: sequences of a step, on all chips together.
      context: tokens of a sequence.
      chunk_size: of the loss (:class:`~jaxlab.models.language.LanguageLoss`).
    """

    shape: GPTShape
    optimizer: str
    batch: int
    context: int
    chunk_size: int | None = None

    @property
    def recipe(self) -> Recipe:
        """The optimizer, told what stacked layers are, if it is one of matrices."""
        static = {"layouts": STACKED, "compute_dtype": "bfloat16"}
        takes = Recipe(self.optimizer).info.static
        return Recipe(self.optimizer, static=tuple((name, value) for name, value in static.items() if name in takes))

    @property
    def model_flops(self) -> float:
        """Operations of a step that count as useful, on all chips together."""
        return float(self.shape.flops_per_token(self.context)) * self.batch * self.context


class Choice(NamedTuple):
    """How to train it.

    Attributes:
      slice: such as ``"v5e:4x4"``.
      mesh: such as ``"data=2,fsdp=8"``.
      zero: the stage.
      remat: what the backward pass makes again (:data:`~jaxlab.models.remat.REMATS`).
      accumulate: micro-batches of a step.
    """

    slice: str
    mesh: str
    zero: int
    remat: str
    accumulate: int

    @property
    def name(self) -> str:
        """In a line, without the slice."""
        micro = f", {self.accumulate} micro-batches" if self.accumulate > 1 else ""
        return f"{self.mesh}, ZeRO {self.zero}, remat {self.remat}{micro}"


def layout_of(training: Training, choice: Choice, devices: Any) -> Layout:
    """The layout.

    Raises:
      ValueError: of :class:`~jaxlab.sharding.Layout`, and where a mesh axis divides not what it cuts.
    """
    mesh = make_mesh(choice.mesh, devices=devices)
    model = training.shape.model(scan=True)
    rules = model.tensor_rules() if mesh.shape.get("tensor", 1) > 1 else ()
    if training.shape.kv_heads % mesh.shape.get("tensor", 1):
        raise ValueError(
            f"layout = {choice.mesh!r}: accepted are sizes of tensor that divide the model's {training.shape.kv_heads} "
            "heads of keys and values"
        )
    layout = Layout(mesh, rules, zero=choice.zero, scanned=SCANNED)
    layout.shardings(jax.eval_shape(model.init, jax.random.key(0)))
    parts = mesh.shape.get("data", 1) * mesh.shape.get("fsdp", 1) * choice.accumulate
    if training.batch % parts:
        raise ValueError(
            f"batch = {training.batch}: accepted are multiples of {parts}, the devices among which {choice.mesh} cuts "
            f"it, times {choice.accumulate} micro-batches"
        )
    return layout


def state_of(training: Training, layout: Layout) -> TrainState:
    """The state of the run, without its numbers."""
    model = training.shape.model(scan=True)
    build = training.recipe.build
    return abstract_state(model.init, build, LEARNING_RATE, key=jax.random.key(0), layout=layout, policy=POLICY)


def batch_of(training: Training, layout: Layout) -> Any:
    """A batch, without its numbers."""
    tokens = jax.ShapeDtypeStruct((training.batch, training.context), jnp.int32)
    return layout.abstract_batch({"x": tokens, "y": tokens})


def lowered(training: Training, choice: Choice, layout: Layout) -> Any:
    """The real step, traced and ready to be compiled."""
    loss = LanguageLoss(training.shape.model(scan=True, remat=choice.remat), chunk_size=training.chunk_size)
    build = training.recipe.build
    step = make_train_step(loss, build, policy=POLICY, accumulate=choice.accumulate, layout=layout)
    assert isinstance(step, LaidOut)
    return step.lower(state_of(training, layout), batch_of(training, layout))


def compiled(training: Training, choice: Choice) -> dict[str, Any]:
    """The plan's entry of results.json, after compiling it for the slice."""
    layout = layout_of(training, choice, aot.devices_of(choice.slice))
    began = time.perf_counter()
    found = aot.compile_for(lowered(training, choice, layout))
    seconds = time.perf_counter() - began
    if not isinstance(found, aot.Misfit):
        found = aot.read(found, layout.mesh, aot.slice_of(choice.slice).chip)
    return entry_of(training, choice, found, layout.mesh) | {"compile_seconds": seconds}


def entry_of(training: Training, choice: Choice, program: aot.Program | aot.Misfit, mesh: Mesh) -> dict[str, Any]:
    """What a compiler said, as plain data: of each chip, and of the whole slice where it says so."""
    where = aot.slice_of(choice.slice)
    about = {**choice._asdict(), "name": choice.name, "chips_memory": where.chip.memory, "devices": where.devices}
    if isinstance(program, aot.Misfit):
        return {**about, "fits": False, **program._asdict()}
    useful = training.model_flops / where.devices
    seconds = program.time.seconds
    return {
        **about,
        "fits": program.memory.peak <= where.chip.memory - RESERVED,
        "memory": {**program.memory._asdict(), "peak": program.memory.peak},
        "flops": program.flops,
        "model_flops": useful,
        "bytes": program.bytes,
        "collectives": [
            {**one._asdict(), "seconds": one.sent / aot.rate(one, mesh, where.chip)} for one in program.collectives
        ],
        "time": {**program.time._asdict(), "seconds": seconds, "bound": program.time.bound},
        "tokens_per_second": training.batch * training.context / seconds,
        "mfu": useful / seconds / where.chip.peak_flops,
        "exact": program.exact,
    }
