"""A whole run, or a stretch of one, as a single compiled program: steps scanned, epochs in the graph."""

from collections.abc import Callable
from typing import Any, Unpack

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int32, Key, PyTree

from jaxlab.core import hyper
from jaxlab.precision import Phased, Phases, Policy
from jaxlab.sharding.layout import Layout, check_layout
from jaxlab.train import data as examples_of
from jaxlab.train.laid_out import LaidOut, abstract, create
from jaxlab.train.objective import LossFn, Metrics
from jaxlab.train.state import Build, TrainState, blueprint, check_key, init_state
from jaxlab.train.step import StepFn, StepOptions, step_fn

RunFn = Callable[[TrainState, PyTree], tuple[TrainState, Metrics]]


def make_run(
    loss_fn: LossFn,
    build: Build,
    *,
    batch_size: int,
    steps: int,
    total_steps: int | None = None,
    validation_fraction: float = 0.0,
    layout: Layout | None = None,
    **options: Unpack[StepOptions],
) -> RunFn:
    """A jitted stretch of ``steps`` training steps on data that fit the device: ``run(state, data)``.

    Batches are drawn inside the program by the state's key and step, every example once an epoch, so a
    run cut into stretches, or resumed from a checkpoint between two, ends with the same bits.

    Args:
      loss_fn, build, layout, options: as in :func:`~jaxlab.train.step.make_train_step`.
      batch_size: examples a step.
      steps: how many steps a call takes (static).
      total_steps: how many the whole run will take, if more than ``steps``: checked against the 32 bits in
        which examples are counted.
      validation_fraction: the part of the data, drawn by the state's key, that is kept from training.

    Returns:
      ``(state, data) -> (state, metrics)``: ``data`` is any tree of arrays with a leading axis of
      examples, every metric has a leading axis ``[steps]``. The state is donated, the data are not.

    Raises:
      TypeError, ValueError: counts below 1, or so many examples that 32 bits do not count them.

    >>> import jaxlab
    >>> loss = lambda params, batch, key: (jnp.mean((batch - params) ** 2), {})
    >>> build = lambda h: jaxlab.optimizers.sgd(h)
    >>> state = jaxlab.train.init_state(jnp.zeros(()), build, 0.05, key=jax.random.key(0))
    >>> run = make_run(loss, build, batch_size=2, steps=100)
    >>> state, metrics = run(state, jnp.arange(4.0))
    >>> int(state.step), metrics["loss"].shape
    (100, (100,))
    """
    hyper.integer("steps", steps, at_least=1)
    hyper.integer("batch_size", batch_size, at_least=1)
    examples_of.check_length(total_steps or steps, batch_size)
    policy = options.get("policy")
    if isinstance(policy, Phases):

        def stretch(policy: Policy, steps: int) -> RunFn:
            return make_run(
                loss_fn,
                build,
                batch_size=batch_size,
                steps=steps,
                total_steps=total_steps,
                validation_fraction=validation_fraction,
                layout=layout,
                **{**options, "policy": policy},
            )

        return Phased(policy, stretch, steps)
    step = step_fn(loss_fn, build, layout=layout, **options)

    def batch_of(state: TrainState, data: PyTree) -> PyTree:
        training, _ = examples_of.split_sizes(examples_of.count(data), validation_fraction)
        return training_batch(state, data, training=training, batch_size=batch_size)

    run = scan_steps(step, batch_of, steps)
    if layout is None:
        return jax.jit(run, donate_argnums=0)
    return LaidOut(run, layout, lambda data: layout.put(data, layout.everywhere))


def init_run(
    init: Callable[[Array], PyTree],
    build: Build,
    hyperparams: PyTree,
    *,
    key: Key[Array, ""],
    model_state: PyTree[Array] = (),
    layout: Layout | None = None,
    **options: Any,
) -> TrainState:
    """The state before a run's first step, all of it decided by one key.

    Args:
      init: ``key -> params``.
      build, hyperparams, model_state, options: as in :func:`~jaxlab.train.state.init_state`.
      key: initial parameters, split of the data, order of the batches and noise follow from it.
      layout: then each device makes its own part of the parameters and of the state; none is ever whole on one.
    """
    _check_init(init, key)
    params_key, run_key = run_keys(key)
    if layout is None:
        return init_state(init(params_key), build, hyperparams, key=run_key, model_state=model_state, **options)
    make, places_of = blueprint(build, hyperparams, key=run_key, layout=layout, **options)
    # An argument, not a constant of the program; and a copy, for what a program hands through stays the caller's.
    model_state = layout.put(jax.tree.map(jnp.copy, model_state), layout.everywhere)
    return create(lambda key, state: make(init(key), state), places_of, layout, params_key, model_state)


def abstract_state(
    init: Callable[[Array], PyTree],
    build: Build,
    hyperparams: PyTree,
    *,
    key: Key[Array, ""],
    layout: Layout,
    model_state: PyTree[Any] = (),
    **options: Any,
) -> TrainState:
    """The state of :func:`init_run` as shapes, dtypes and layouts, without an array: nothing is computed.

    With :meth:`~jaxlab.sharding.Layout.abstract_batch` a step is compiled for devices that are not here,
    ``make_train_step(..., layout=layout).lower(state, batch).compile()``, and a checkpoint finds its places.

    Args:
      init, build, hyperparams, key, layout, options: as in :func:`init_run`.
      model_state: likewise; shapes and dtypes will do.

    >>> import jaxlab
    >>> layout = jaxlab.sharding.Layout("data=-1")
    >>> build = jaxlab.optimizers.Recipe("adam").build
    >>> init = lambda key: jax.random.normal(key, (8, 3))
    >>> state = abstract_state(init, build, {"learning_rate": 0.1}, key=jax.random.key(0), layout=layout)
    >>> state.params.shape, state.params.sharding.is_fully_replicated
    ((8, 3), True)
    """
    _check_init(init, key)
    check_layout(layout)
    params_key, run_key = run_keys(key)
    make, places_of = blueprint(build, hyperparams, key=run_key, layout=layout, **options)
    return abstract(lambda key, state: make(init(key), state), places_of, params_key, model_state)


def _check_init(init: Any, key: Any) -> None:
    check_key(key)
    if not callable(init):
        raise TypeError(
            f"init is a {type(init).__name__}: accepted is a function of a key that returns parameters; init_state "
            "takes parameters"
        )


def run_keys(key: Key[Array, ""]) -> tuple[Key[Array, ""], Key[Array, ""]]:
    """A seed's key as the key of the initial parameters and that of all else."""
    params_key, run_key = jax.random.split(key)
    return params_key, run_key


def scan_steps(step: StepFn, batch_of: Callable[[TrainState, PyTree], PyTree], steps: int) -> RunFn:
    """``steps`` steps of a pure step function, each on the batch that its state asks for."""

    def run(state: TrainState, data: PyTree) -> tuple[TrainState, Metrics]:
        def body(state: TrainState, _: None) -> tuple[TrainState, Metrics]:
            return step(state, batch_of(state, data))

        return jax.lax.scan(body, state, length=steps)

    return run


def training_batch(state: TrainState, data: PyTree, *, training: int, batch_size: int) -> PyTree:
    """The batch of a state's step when the state's key also splits ``data`` into training and validation.

    Args:
      data: the pool.
      training: how many of the pool's examples train (see :func:`~jaxlab.train.data.split_sizes`).
    """
    index = examples_of.batch_indices(state.key, state.step, examples=training, batch_size=batch_size)
    pool = examples_of.count(data)
    # Without validation there is nothing to split off, and no need to shuffle twice.
    chosen = index if training == pool else examples_of.split_indices(state.key, index, pool=pool)
    return examples_of.take(data, chosen)


def validation_indices(key: Array, *, pool: int, training: int) -> Int32[Array, " n"]:
    """Which examples of the pool the key keeps from training."""
    return examples_of.split_indices(key, jnp.arange(training, pool, dtype=jnp.int32), pool=pool)
