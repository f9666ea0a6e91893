"""The compiled pieces of a population: start, advance, validate, score.

Each is one function of all members that are on the devices, jitted once for equal static parts. Members are
spread over the devices by ``shard_map``; none talks to another. The clock is one unbatched number outside the
members, so a condition on it (``step % 10 == 0``) stays a branch, where a batched one would become a select that
computes both sides.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

from jaxlab.core import hyper, parts
from jaxlab.modifiers import averages, evaluation_params
from jaxlab.sweep import memory
from jaxlab.sweep.beginning import Beginning
from jaxlab.train import data as examples_of
from jaxlab.train.evaluate import BATCH, evaluate
from jaxlab.train.given import given
from jaxlab.train.run import training_batch, validation_indices
from jaxlab.train.state import Build, TrainState, init_state
from jaxlab.train.step import step_fn
from jaxlab.train.stopwatch import Stopwatch

MEMBER, SHARED = PartitionSpec("members"), PartitionSpec()
# One clock for all members: it has no axis and no place.
_AXES: dict[str, Any] = dict.fromkeys(TrainState._fields, 0) | {"step": None}
_SPECS: dict[str, Any] = dict.fromkeys(TrainState._fields, MEMBER) | {"step": SHARED}
AXES, STATES = TrainState(**_AXES), TrainState(**_SPECS)


@dataclasses.dataclass(frozen=True)
class Program:
    """What is static of a population. Equal programs share what was compiled.

    Attributes:
      loss: the task's.
      build: ``hyperparams -> GradientTransformation``.
      mesh: the devices, one axis ``members``.
      width: how many members of a device are vectorised together, the others taking turns; None: all.
      batch_size, training: examples of a step, and of the pool's training part.
      options: of the training step, sorted.
    """

    loss: Callable[..., Any]
    build: Build
    mesh: Mesh
    width: int | None
    batch_size: int
    training: int
    options: tuple[tuple[str, Any], ...]

    def start(self) -> Any:
        """``(params, hyperparams, keys) -> states``, jitted."""
        options = dict(self.options)
        return _start(self.build, self.mesh, options.get("policy"), options.get("rounding", "nearest"))

    def advance(self) -> Any:
        """``(states, shared, steps) -> (states, mean training loss)``, jitted; takes the states as its own.

        The number of steps is traced: one executable serves stretches of every length.
        """
        return _advance(self)

    def validate(self) -> Any:
        """``(to_evaluate(states), keys, shared) -> metrics`` on each member's validation examples, jitted."""
        return _validate(self.loss, self.mesh, self.width, self.training)

    def score(self, pool: int) -> Any:
        """``(to_evaluate(states), shared) -> metrics`` on its data, the test set.

        Jitted; ``pool`` is how many examples the pool has.
        """
        return _score(self.loss, self.mesh, self.width, pool - self.training)


class Shared(NamedTuple):
    """What all members read and none changes: examples, and the parameters that are frozen or None."""

    data: PyTree
    frozen: PyTree


class Pieces(NamedTuple):
    """A program compiled for so many places, and the bytes of a device that it needs."""

    advance: Any
    validate: Any
    bytes: int


def compile_pieces(program: Program, places: int, beginning: Beginning, shared: Shared, clock: Stopwatch) -> Pieces:
    """The executables for a number of places on all devices; nothing runs, no array is needed.

    Args:
      beginning: of members, however many: shapes are read.
      shared: the task's, likewise.
    """
    _, states = shapes(program, places, beginning)
    shared, steps = _placed(program, shared, SHARED), _placed(program, np.int32(0), SHARED)
    advance = clock.compile(program.advance(), states, shared, steps)
    validate = clock.compile(program.validate(), to_evaluate(states), states.key, shared)
    # States and data stay where they are when members are validated.
    resident, stretch = memory.of_program(advance)
    return Pieces(advance, validate, resident + max(stretch, memory.of_program(validate)[1]))


def compile_start(program: Program, places: int, beginning: Beginning, clock: Stopwatch) -> int:
    """Compiles the start for a number of places; returns the bytes of a device that it needs."""
    return sum(memory.of_program(clock.compile(program.start(), *shapes(program, places, beginning)[0])))


def shapes(program: Program, places: int, beginning: Beginning) -> tuple[Beginning, TrainState]:
    """What the start takes and returns for a number of places: shapes, dtypes and shardings."""
    seats = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((places, *leaf.shape[1:]), leaf.dtype), beginning)
    seats = _placed(program, seats, MEMBER)
    states = jax.eval_shape(program.start(), *seats)
    clockless = _placed(program, states._replace(step=None), MEMBER)
    return seats, clockless._replace(step=_placed(program, states.step, SHARED))


def _placed(program: Program, tree: Any, spec: Any) -> Any:
    sharding = NamedSharding(program.mesh, spec)
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree)


class ToEvaluate(NamedTuple):
    """What an evaluation reads of members: averages that optimizers keep, if any, parameters, and hyperparameters."""

    averages: PyTree
    params: PyTree
    hyperparams: PyTree


def to_evaluate(states: TrainState) -> ToEvaluate:
    """What an evaluation reads of these."""
    return ToEvaluate(averages(states.opt_state), states.params, states.hyperparams)


def put(mesh: Mesh, tree: PyTree, specs: Any) -> PyTree[Array]:
    """The arrays on the devices: ``MEMBER`` spreads the leading axis, ``SHARED`` gives every device all."""
    return jax.device_put(tree, jax.tree.map(functools.partial(NamedSharding, mesh), specs))


@functools.lru_cache(maxsize=64)
def _start(build: Build, mesh: Mesh, policy: Any, rounding: str) -> Any:
    def one(params: PyTree, hyperparams: PyTree, key: Array) -> TrainState:
        return init_state(params, build, hyperparams, key=key, policy=policy, rounding=rounding)

    return jax.jit(_spread(mesh, jax.vmap(one, out_axes=AXES), (MEMBER, MEMBER, MEMBER), STATES))


@functools.lru_cache(maxsize=64)
def _advance(program: Program) -> Any:
    step = step_fn(program.loss, program.build, **dict(program.options))
    batch_of = functools.partial(training_batch, training=program.training, batch_size=program.batch_size)

    def stretch(states: TrainState, shared: Shared, steps: Array) -> tuple[TrainState, Array]:
        def body(_: Array, carry: tuple[TrainState, Array]) -> tuple[TrainState, Array]:
            state, total = carry
            # What is frozen is no member's: it comes along for the step alone.
            state, metrics = step(state._replace(frozen=shared.frozen), batch_of(state, shared.data))
            return state._replace(frozen=None), total + metrics["loss"]

        def member(rest: TrainState) -> tuple[TrainState, Array]:
            begin = rest._replace(step=states.step), jnp.zeros((), hyper.arithmetic_dtype())
            state, total = jax.lax.fori_loop(0, steps, body, begin)
            return state._replace(step=None), total / steps

        after, loss = _each(member, program.width, states._replace(step=None))
        return after._replace(step=states.step + steps), loss

    spread = _spread(program.mesh, stretch, (STATES, SHARED, SHARED), (STATES, MEMBER))
    return jax.jit(spread, donate_argnums=0)


@functools.lru_cache(maxsize=64)
def _validate(loss: Callable[..., Any], mesh: Mesh, width: int | None, training: int) -> Any:
    def validate(seen: ToEvaluate, keys: Array, shared: Shared) -> dict[str, Array]:
        def member(one: tuple[ToEvaluate, Array]) -> dict[str, Array]:
            chosen = validation_indices(one[1], pool=examples_of.count(shared.data), training=training)
            return _evaluate(loss, one[0], shared, chosen)

        return _each(member, width, (seen, keys))

    return jax.jit(_spread(mesh, validate, (MEMBER, MEMBER, SHARED), MEMBER))


@functools.lru_cache(maxsize=64)
def _score(loss: Callable[..., Any], mesh: Mesh, width: int | None, validation: int) -> Any:
    def score(seen: ToEvaluate, shared: Shared) -> dict[str, Array]:
        # No more examples at a time than validation took: so many are known to fit the memory.
        members = jax.tree.leaves(seen)[0].shape[0]
        examples = min(BATCH, validation) * (width or members)
        turns = -(-members * min(BATCH, examples_of.count(shared.data)) // examples)
        width_now = max(1, -(-members // turns))
        return _each(lambda member: _evaluate(loss, member, shared), width_now, seen)

    return jax.jit(_spread(mesh, score, (MEMBER, SHARED), MEMBER))


def _evaluate(
    loss: Callable[..., Any], seen: ToEvaluate, shared: Shared, chosen: Array | None = None
) -> dict[str, Array]:
    """A member's metrics on some of the examples, or on all."""
    params = evaluation_params(seen.averages, seen.params)
    whole = params if shared.frozen is None else parts.merged(params, shared.frozen)
    return evaluate(given(loss, seen.hyperparams), whole, shared.data, chosen)


def _each(function: Callable[[Any], Any], width: int | None, members: PyTree) -> Any:
    """The function of every member, ``width`` of them at a time."""
    if width == 1:
        return jax.lax.map(function, members)
    if width is None or width >= jax.tree.leaves(members)[0].shape[0]:
        return jax.vmap(function)(members)
    return jax.lax.map(function, members, batch_size=width)


def _spread(mesh: Mesh, function: Callable[..., Any], in_specs: Any, out_specs: Any) -> Callable[..., Any]:
    return jax.shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)
