"""A population of training runs, hyperparameter points times seeds, as one compiled program."""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Unpack

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from jaxlab.core import hyper
from jaxlab.sweep import layout as layouts
from jaxlab.sweep import memory as bytes_of
from jaxlab.sweep.arrange import Plan, arrange, groups_by_shape, in_layout
from jaxlab.sweep.beginning import Begin, initial, outline
from jaxlab.sweep.crew import Crew
from jaxlab.sweep.devices import member_mesh
from jaxlab.sweep.fingerprint import fingerprint, given_identity
from jaxlab.sweep.members import members_of
from jaxlab.sweep.placed import bytes_there, placed, shared_of
from jaxlab.sweep.program import Program
from jaxlab.sweep.record import Record
from jaxlab.sweep.saving import Saving, name_of
from jaxlab.tasks import as_task
from jaxlab.train import data as examples_of
from jaxlab.train.state import Build, TrainState
from jaxlab.train.step import StepOptions
from jaxlab.train.stopwatch import Stopwatch

Progress = Callable[[int, int], None]
"""Called as ``progress(steps_done, steps)`` when a stretch of steps is complete."""
Stop = Callable[[int, dict[str, np.ndarray]], Any]
"""Called as ``stop(step, validation)``; returns a mask ``[members]`` of those to end now."""


@dataclasses.dataclass(frozen=True)
class History:
    """What a population did. Members are in the order they were given.

    Attributes:
      steps: where it was evaluated.
      train_loss: the mean training loss of the steps since the evaluation before; NaN after the member's end.
      validation: every metric of the task, ``loss`` among them, on each member's validation examples; NaN
        where the member has diverged, and after its end.
      test: the same after the last step on the test set, where that was asked for; empty otherwise.
      skipped: steps of each member that were not finite.
      ended: the step that each member reached: all of them, or where it diverged or was stopped.
      compile_seconds: spent in tracing and compiling, and in the trial of layouts; about 0 where all existed.
      run_seconds: spent in training and evaluation.
      compilations: executables compiled.
      layout: how members of a device were trained: ``"vmap"``, ``"map"``, or how many together.
      trial: seconds a step of each layout, where a trial chose.
      memory_bytes: of a device, the most that was needed: arguments, results and temporaries.
      groups: how many groups the members were in at first, one group on the devices at a time.
      states: the members' last states on the host, NumPy arrays with a leading axis of members (``step`` without;
        keys are typed; frozen parameters, which are the task's, are not among them). Those of ended members are as they
        were then.
    """

    steps: np.ndarray
    train_loss: Float[np.ndarray, "members evaluations"]
    validation: Mapping[str, Float[np.ndarray, "members evaluations"]]
    test: Mapping[str, Float[np.ndarray, " members"]]
    skipped: Int[np.ndarray, " members"]
    ended: Int[np.ndarray, " members"]
    compile_seconds: float
    run_seconds: float
    compilations: int
    layout: layouts.Layout
    trial: Mapping[str, float] | None
    memory_bytes: int
    groups: int
    states: TrainState = dataclasses.field(repr=False)


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
    layout: layouts.Layout = "vmap",
    capacity: int = 1,
    memory: int | None = None,
    stop: Stop | None = None,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
    **options: Unpack[StepOptions],
) -> History:
    """Trains every member from its key with its hyperparameters, all in one program.

    A member's key decides its initial parameters, its split of the pool into training and validation, and
    its batches: members with equal keys see the same ones, whatever trains them. Members are spread over
    the local devices; within a device they are vectorised, or take turns. Data are shared. The step
    counter is outside the members, one for all.

    A member that diverges (:func:`~jaxlab.train.evaluate.diverged`) has ended: it shows NaN from there on. Where
    the living fit in half of the places, the places halve, and the living go on as they would have, up to rounding.

    Args:
      task: a :class:`~jaxlab.tasks.Task`, or any object with ``init``, ``loss`` and ``data``.
      build: ``hyperparams -> GradientTransformation``, such as ``Recipe("adamw").build``.
      hyperparams: numbers with a leading axis ``[members]``; a plain number is every member's.
      keys: typed keys, one a member.
      steps: by default the task's.
      eval_every: evaluate after so many steps, and after the last; by default after the last alone.
      batch_size: by default the task's.
      test: also evaluate on the test set, once, after the last step: to report, never to choose.
      layout: ``"vmap"``: a device's members together; ``"map"``: one after the other, better where a member
        alone fills the device; a whole number: so many together, these groups one after the other; ``"auto"``:
        what is fastest in a short trial of the program itself, remembered for the process.
      capacity: places in the program, if more than there are members: a population that is as large as
        an earlier one of equal structure needs no compilation of its own. Spare places cost time.
      memory: bytes of a device that may be used; by default most of what is free. Members that do not fit
        together take turns in equal groups, those who wait on the host.
      stop: asked at every evaluation but the last which members to end: early stopping, successive halving. It
        is given the step and every metric, ``[members]``, NaN for those who have ended.
      checkpoint: a folder for the way, written at evaluations at least 30 seconds apart and removed at the end: a
        population that was killed or interrupted and is run again with the same arguments goes on from what was
        written last, with the same bits.
      progress: told of every evaluation.
      options: of the training step, see :func:`~jaxlab.train.step.make_train_step`; a task has no model
        state, so ``has_state`` is none of them.

    Returns:
      The :class:`History`. A member that ends does not disturb the others.

    Raises:
      TypeError, ValueError: axes that do not agree, counts below 1, whatever ``build`` refuses of any
        member, a member that does not fit the memory; before anything is compiled, but for a member whose
        temporaries do not fit: that is known once the program is compiled, before it runs.

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
    layouts.check(layout)
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
    members, points = members_of(hyperparams, keys, build)

    mesh = member_mesh(max(members, capacity))
    if memory is None:
        free = bytes_of.free(list(mesh.devices.flat))
        limit = None if free is None else free + bytes_there(task, mesh)
    else:
        limit = hyper.integer("memory", memory, at_least=1)
    program = Program(
        loss=task.loss,
        build=build,
        mesh=mesh,
        width=None,
        batch_size=batch_size,
        training=training,
        options=tuple(sorted(options.items())),
    )
    places = max(members, capacity)
    scored = task.test if test else None
    begin = Begin(task.init, task.start, task.frozen)
    shapes = outline(begin, points, keys)
    groups = groups_by_shape(program, shapes, shared_of(task), test=scored, limit=limit, places=places)

    def identity() -> dict[str, Any]:
        return {
            "task": task.name,
            "data": fingerprint(task.data),
            **given_identity(task),
            "validation_fraction": task.validation_fraction,
            "recipe": name_of(build),
            "hyperparams": {name: fingerprint(values) for name, values in points.items()},
            "keys": fingerprint(jax.random.key_data(keys)),
            "steps": steps,
            "eval_every": every,
            "batch_size": batch_size,
            "layout": layout,
            "capacity": capacity,
            "options": repr(program.options),
            "devices": f"{mesh.size} {mesh.devices.flat[0].platform}",
        }

    clock, marks = Stopwatch(), [*range(every, steps, every), steps]
    with contextlib.nullcontext() if checkpoint is None else Saving(checkpoint, identity()) as saving:
        shared, beginning = placed(task, mesh), initial(begin, points, keys, clock)
        if saving is None or saving.note is None:
            plan = arrange(
                program,
                beginning,
                shared,
                test=scored,
                layout=layout,
                limit=limit,
                places=places,
                groups=groups,
                clock=clock,
            )
        else:
            plan = Plan(*saving.note["plan"])
        crew = Crew(in_layout(program, plan.layout), clock, beginning, shared, plan.size, plan.groups)
        record = Record(members, marks)
        if saving is not None and saving.note is not None:
            _take_up(saving, saving.note, crew, record, stop)
        _train(crew, record, plan, stop, saving, progress)
        scores = crew.score(task.test) if test else {}
        states = crew.result()
    out = np.isnan(record.validation["loss"][:, -1])
    return History(
        steps=np.array(marks),
        train_loss=record.train_loss,
        validation=record.validation,
        test={name: np.where(out, np.nan, value) for name, value in scores.items()},
        skipped=record.skipped,
        ended=np.where(crew.live, steps, record.ended),
        compile_seconds=clock.compiling,
        run_seconds=clock.running,
        compilations=clock.compilations,
        layout=plan.layout,
        trial=plan.trial,
        memory_bytes=plan.bytes,
        groups=plan.groups,
        states=states,
    )


def _train(
    crew: Crew, record: Record, plan: Plan, stop: Stop | None, saving: Saving | None, progress: Progress | None
) -> None:
    """From evaluation to evaluation, until the last step or until nobody trains."""
    last = record.marks[-1]
    for column, mark in enumerate(record.marks):
        if mark <= crew.done:
            continue
        if not crew.live.any():
            break
        ending = record.add(column, mark - crew.done, crew.advance(mark - crew.done))
        if stop is not None and mark < last:
            ending |= _asked(stop, mark, record.at(column)) & crew.live
        if ending.any():
            record.end(ending, mark)
            crew.end(ending)
            if mark < last:
                crew.compact()
        if saving is not None and saving.due():
            crew.fetch()
            saving.write(mark, {"states": crew.states, **record.arrays()}, _note(crew, record, plan))
        if progress is not None:
            progress(mark, last)
    if progress is not None and crew.done < last:
        progress(last, last)


def _note(crew: Crew, record: Record, plan: Plan) -> dict[str, Any]:
    groups = [group.tolist() for group in crew.groups]
    return {"plan": list(plan), "size": crew.size, "groups": groups, "metrics": list(record.validation)}


def _take_up(saving: Saving, note: dict[str, Any], crew: Crew, record: Record, stop: Stop | None) -> None:
    """Puts crew and record where a checkpoint has them; a hook that remembers sees what it saw."""
    record.expect(note["metrics"])
    found = saving.restore({"states": crew.states, **record.arrays()})
    crew.take_up(found.pop("states"), saving.step, note["size"], note["groups"], found["ended"] == 0)
    record.load(found)
    for column, mark in enumerate(record.marks):
        if stop is not None and mark <= crew.done and mark < record.marks[-1]:
            _asked(stop, mark, record.at(column))


def _asked(stop: Stop, step: int, validation: dict[str, np.ndarray]) -> Bool[np.ndarray, " members"]:
    """Whom the hook ends, checked."""
    answer = np.asarray(stop(step, validation))
    members = validation["loss"].shape
    if answer.dtype != bool or answer.shape != members:
        raise TypeError(
            f"stop returned {answer.dtype} of shape {answer.shape} at step {step}: accepted is bool of shape {members}"
        )
    return answer
