"""A population of training runs, hyperparameter points times seeds, as one compiled program."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Unpack

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Key, PyTree

from jaxlab.core import hyper
from jaxlab.sweep.devices import member_mesh
from jaxlab.tasks import as_task
from jaxlab.train import data as examples_of
from jaxlab.train.evaluate import diverged, evaluate
from jaxlab.train.run import run_keys, scan_steps, training_batch, validation_indices
from jaxlab.train.state import Build, TrainState, init_state
from jaxlab.train.step import StepOptions, step_fn
from jaxlab.train.stopwatch import Stopwatch

LAYOUTS = ("vmap", "map")
Progress = Callable[[int, int], None]
"""Called as ``progress(steps_done, steps)`` when a stretch of steps is complete."""


@dataclasses.dataclass(frozen=True)
class History:
    """What a population did. Members are in the order they were given.

    Attributes:
      steps: where it was evaluated.
      train_loss: the mean training loss of the steps since the evaluation before.
      validation: every metric of the task, ``loss`` among them, on each member's validation examples.
      test: the same after the last step on the test set, where that was asked for; empty otherwise.
      skipped: steps of each member that were not finite.
      compile_seconds: spent in tracing and compiling, 0 where the programs existed.
      run_seconds: spent in training and evaluation.
      states: the members' last states, leaves with a leading axis of members (``step`` without).
    """

    steps: np.ndarray
    train_loss: Float[np.ndarray, "members evaluations"]
    validation: Mapping[str, Float[np.ndarray, "members evaluations"]]
    test: Mapping[str, Float[np.ndarray, " members"]]
    skipped: np.ndarray
    compile_seconds: float
    run_seconds: float
    states: TrainState


def run_population(
    task: Any,
    build: Build,
    hyperparams: Mapping[str, Any],
    keys: Key[Array, " members"],
    *,
    steps: int | None = None,
    eval_every: int | None = None,
    batch_size: int | None = None,
    test: bool = False,
    layout: str = "vmap",
    capacity: int = 1,
    progress: Progress | None = None,
    **options: Unpack[StepOptions],
) -> History:
    """Trains every member from its key with its hyperparameters, all in one program.

    A member's key decides its initial parameters, its split of the pool into training and validation, and
    its batches: members with equal keys see the same ones, whatever trains them. Members are spread over
    the local devices; within a device they are vectorised (or take turns). Data are shared. The step
    counter is outside the members, one for all.

    Args:
      task: a :class:`~jaxlab.tasks.Task`, or any object with ``init``, ``loss`` and ``data``.
      build: ``hyperparams -> GradientTransformation``, such as ``Recipe("adamw").build``.
      hyperparams: numbers with a leading axis ``[members]``; a plain number is every member's.
      keys: typed keys, one a member.
      steps: by default the task's.
      eval_every: evaluate after so many steps, and after the last; by default after the last alone.
      batch_size: by default the task's.
      test: also evaluate on the test set, once, after the last step: to report, never to choose.
      layout: ``"vmap"``, or ``"map"`` to train a device's members one after the other: better where a
        member alone fills the device.
      capacity: places in the program, if more than there are members: a population that is as large as
        an earlier one of equal structure needs no compilation of its own. Spare places cost time.
      progress: told of every evaluation.
      options: of the training step, see :func:`~jaxlab.train.step.make_train_step`; a task has no model
        state, so ``has_state`` is none of them.

    Returns:
      The :class:`History`. A member that diverges (:func:`~jaxlab.train.evaluate.diverged`) shows NaN in
      every metric from there on, and does not disturb the others.

    Raises:
      TypeError, ValueError: axes that do not agree, counts below 1, whatever ``build`` refuses of any
        member; before anything is compiled.

    >>> import jaxlab
    >>> recipe = jaxlab.optimizers.Recipe("sgd")
    >>> history = run_population("line", recipe.build, {"learning_rate": np.array([0.01, 0.1])},
    ...                          jax.random.split(jax.random.key(0), 2), steps=100)
    >>> history.validation["mse"].shape
    (2, 1)
    """
    task = as_task(task)
    steps = hyper.integer("steps", task.steps if steps is None else steps, at_least=1)
    every = hyper.integer("eval_every", steps if eval_every is None else eval_every, at_least=1)
    batch_size = hyper.integer("batch_size", task.batch_size if batch_size is None else batch_size, at_least=1)
    hyper.one_of("layout", layout, LAYOUTS)
    capacity = hyper.integer("capacity", capacity, at_least=1)
    examples_of.check_length(steps, batch_size)
    if options.get("has_state"):
        raise ValueError("has_state = True: accepted is False, tasks are pure models")
    if batch_size % hyper.integer("accumulate", options.get("accumulate", 1), at_least=1):
        raise ValueError(
            f"accumulate = {options.get('accumulate')}: accepted is a divisor of the batch size, {batch_size}"
        )
    training, validation = examples_of.split_sizes(examples_of.count(task.data), task.validation_fraction)
    if not validation:
        raise ValueError(f"task {task.name!r}: validation_fraction = 0: accepted is a number in (0, 1)")
    members, points = _members(hyperparams, keys, build)

    program = Program(
        loss=task.loss,
        build=build,
        mesh=member_mesh(max(members, capacity)),
        layout=layout,
        batch_size=batch_size,
        training=training,
        options=tuple(sorted(options.items())),
    )
    # Every device trains equally many: the first members stand in for those that are missing.
    devices = program.mesh.size
    places = np.arange(-(-max(members, capacity) // devices) * devices) % members
    params, keys = _initial(task.init, keys)
    points, keys, params = jax.tree.map(lambda leaf: leaf[places], (points, keys, params))

    clock = Stopwatch()
    states = clock.run(program.start(), params, points, keys)
    data, held_out = jax.device_put((task.data, task.test), NamedSharding(program.mesh, PartitionSpec()))
    marks, losses, results = [], [], []
    skipped, lost = np.zeros(members, int), np.zeros(members, bool)
    while not marks or marks[-1] < steps:
        done = marks[-1] if marks else 0
        length = min(every, steps - done)
        states, loss, metrics = clock.run(program.stretch(length), states, data)
        marks.append(done + length)
        losses.append(np.asarray(loss)[:members])
        before, skipped = skipped, np.asarray(states.skipped)[:members]
        lost = diverged(np.asarray(metrics["loss"])[:members], skipped - before, length)
        results.append({name: np.where(lost, np.nan, np.asarray(value)[:members]) for name, value in metrics.items()})
        if progress is not None:
            progress(marks[-1], steps)
    scores = clock.run(program.score(), states.params, held_out) if test else {}
    states = jax.tree.map(lambda leaf: leaf[:members] if leaf.ndim else leaf, states)
    return History(
        steps=np.array(marks),
        train_loss=np.stack(losses, axis=1),
        validation={name: np.stack([result[name] for result in results], axis=1) for name in results[0]},
        test={name: np.where(lost, np.nan, np.asarray(value)[:members]) for name, value in scores.items()},
        skipped=skipped,
        compile_seconds=clock.compiling,
        run_seconds=clock.running,
        states=states,
    )


@dataclasses.dataclass(frozen=True)
class Program:
    """What is static of a population. Equal programs share what was compiled."""

    loss: Callable[..., Any]
    build: Build
    mesh: Mesh
    layout: str
    batch_size: int
    training: int
    options: tuple[tuple[str, Any], ...]

    def start(self) -> Any:
        """``(params, hyperparams, keys) -> states``, jitted."""
        return _start(self)

    def stretch(self, steps: int) -> Any:
        """``(states, data) -> (states, mean loss, validation metrics)``, jitted; takes the states as its own."""
        return _stretch(self, steps)

    def score(self) -> Any:
        """``(parameters, test) -> metrics``, jitted."""
        return _score(self.loss, self.mesh)


# One clock for all members: the step is not batched, so a condition on it stays a branch.
_AXES: dict[str, Any] = dict.fromkeys(TrainState._fields, 0) | {"step": None}
_MEMBERS_AXES = TrainState(**_AXES)


def _initial(init: Callable[..., Any], keys: Array) -> tuple[PyTree, Array]:
    """Initial parameters and run keys, one key after the other: compiled once, whatever the population's size."""
    words, which = np.unique(jax.random.key_data(keys), axis=0, return_inverse=True)
    start = _start_of_one(init)
    each = [start(key) for key in jax.random.wrap_key_data(jnp.asarray(words), impl=jax.random.key_impl(keys))]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves)[which.reshape(-1)], *each)


@functools.lru_cache(maxsize=64)
def _start_of_one(init: Callable[..., Any]) -> Any:
    def start(key: Array) -> tuple[PyTree, Array]:
        params_key, run_key = run_keys(key)
        return init(params_key), run_key

    return jax.jit(start)


@functools.lru_cache(maxsize=64)
def _start(program: Program) -> Any:
    def one(params: PyTree, hyperparams: PyTree, key: Array) -> TrainState:
        policy = dict(program.options).get("policy")
        return init_state(params, program.build, hyperparams, key=key, policy=policy)

    members = jax.vmap(one, out_axes=_MEMBERS_AXES)
    return jax.jit(_spread(program.mesh, members, in_specs=(_MEMBER, _MEMBER, _MEMBER), out_specs=_STATES))


@functools.lru_cache(maxsize=64)
def _stretch(program: Program, steps: int) -> Any:
    step = step_fn(program.loss, program.build, **dict(program.options))
    batch_of = functools.partial(training_batch, training=program.training, batch_size=program.batch_size)

    def validate(state: TrainState, data: PyTree) -> dict[str, Array]:
        chosen = validation_indices(state.key, pool=examples_of.count(data), training=program.training)
        return evaluate(program.loss, state.params, data, chosen)

    def one_by_one(states: TrainState, data: PyTree) -> Any:
        def member(rest: TrainState) -> Any:
            state, metrics = scan_steps(step, batch_of, steps)(rest._replace(step=states.step), data)
            return state._replace(step=None), jnp.mean(metrics["loss"]), validate(state, data)

        after, loss, metrics = jax.lax.map(member, states._replace(step=None))
        return after._replace(step=states.step + steps), loss, metrics

    def together(states: TrainState, data: PyTree) -> Any:
        def one(state: TrainState) -> tuple[TrainState, Array]:
            state, metrics = step(state, batch_of(state, data))
            return state, metrics["loss"]

        def body(states: TrainState, _: None) -> tuple[TrainState, Array]:
            return jax.vmap(one, in_axes=(_MEMBERS_AXES,), out_axes=(_MEMBERS_AXES, 0))(states)

        states, losses = jax.lax.scan(body, states, length=steps)
        metrics = jax.vmap(validate, in_axes=(_MEMBERS_AXES, None))(states, data)
        return states, jnp.mean(losses, axis=0), metrics

    spread = _spread(
        program.mesh,
        together if program.layout == "vmap" else one_by_one,
        in_specs=(_STATES, PartitionSpec()),
        out_specs=(_STATES, _MEMBER, _MEMBER),
    )
    return jax.jit(spread, donate_argnums=0)


@functools.lru_cache(maxsize=64)
def _score(loss: Callable[..., Any], mesh: Mesh) -> Any:
    def one_by_one(params: PyTree, test: PyTree) -> dict[str, Array]:
        return jax.lax.map(lambda member: evaluate(loss, member, test), params)

    return jax.jit(_spread(mesh, one_by_one, in_specs=(_MEMBER, PartitionSpec()), out_specs=_MEMBER))


_MEMBER = PartitionSpec("members")
_SPECS: dict[str, Any] = dict.fromkeys(TrainState._fields, _MEMBER) | {"step": PartitionSpec()}
_STATES = TrainState(**_SPECS)


def _spread(mesh: Mesh, function: Callable[..., Any], in_specs: Any, out_specs: Any) -> Callable[..., Any]:
    # No member talks to another: each device runs the function on its own.
    return jax.shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)


def _members(hyperparams: Mapping[str, Any], keys: Array, build: Build) -> tuple[int, dict[str, Array]]:
    """The number of members and their hyperparameters, checked on the host member by member."""
    typed = isinstance(keys, jax.Array) and jnp.issubdtype(keys.dtype, jax.dtypes.prng_key)
    if not typed or keys.ndim != 1 or not keys.size:
        raise TypeError(f"keys = {keys!r}: accepted are typed keys with one axis, jax.random.split(key, members)")
    members = keys.shape[0]
    points = {}
    for name, value in hyperparams.items():
        if np.ndim(value) and np.shape(value) != (members,):
            raise ValueError(
                f"hyperparameter {name} has shape {np.shape(value)}: "
                f"accepted is one number, or ({members},) as keys has"
            )
        points[name] = np.broadcast_to(np.asarray(value), (members,))
    for index in range(members):
        build(hyper.member(points, index))
    return members, hyper.canonical(points)
