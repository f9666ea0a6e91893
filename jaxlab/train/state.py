"""All that a training run remembers between two steps."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding
from jaxtyping import Array, Float, Int32, Key, PyTree

from jaxlab.core import hyper, parts, tree
from jaxlab.precision.loss_scale import LossScaleState
from jaxlab.precision.loss_scaled import loss_scales
from jaxlab.precision.phases import Precision, check_exceptions, first_policy
from jaxlab.sharding.layout import Layout, check_layout
from jaxlab.train.laid_out import create

Build = Callable[[Any], optax.GradientTransformation]
"""Hyperparameters (a pytree of scalars, traced) to transform: the static half of a recipe."""

ROUNDINGS = ("nearest", "stochastic", "kahan")
"""How float32 results become parameters of lower precision."""


class Ema(NamedTuple):
    """An exponential moving average of the parameters, in float32, and its decay."""

    params: PyTree[Array]
    decay: Float[Array, ""]


class TrainState(NamedTuple):
    """The state of a run. Every leaf is a device array; the whole may be donated, saved, sharded.

    Attributes:
      step: steps taken, skipped ones included.
      params: the parameters that are trained, in the policy's dtype. In the places of those that are frozen is None.
      model_state: what a stateful model carries (batch statistics); an empty tuple otherwise.
      opt_state: the optimizer's.
      hyperparams: the recipe's numbers; :func:`set_hyperparams` changes them, and nothing is compiled again.
      key: the run's key; a step's key is this one folded with ``step``.
      ema: averaged parameters, or None. The step keeps them beside whatever optimizer;
        :func:`~jaxlab.modifiers.ema` keeps its own in ``opt_state``, where populations and parts of a tree have them,
        too. Evaluate :func:`~jaxlab.train.params_to_evaluate` of the state: it knows both.
      skipped: steps whose loss, gradient or update was not finite, and which changed nothing else.
      compensation: with Kahan rounding a tree like the parameters: what those below float32 could not hold, in
        their dtype, None for the others; without it None.
      loss_scale: what the loss is multiplied with, where the policy says so; otherwise None.
      frozen: the parameters that stay as they are, likewise with None in the places of the others; or None. The loss
        sees the whole tree (:func:`whole_params`), the optimizer those alone that are trained. They are saved and
        restored with the state.
    """

    step: Int32[Array, ""]
    params: PyTree[Array]
    model_state: PyTree[Array]
    opt_state: PyTree[Array]
    hyperparams: PyTree[Array]
    key: Key[Array, ""]
    ema: Ema | None
    skipped: Int32[Array, ""]
    compensation: PyTree | None = None
    loss_scale: LossScaleState | None = None
    frozen: PyTree[Array] | None = None


def whole_params(state: TrainState) -> PyTree[Array]:
    """All parameters of a run, trained and frozen ones: what its model is called with."""
    return state.params if state.frozen is None else parts.merged(state.params, state.frozen)


def init_state(
    params: PyTree[Array],
    build: Build,
    hyperparams: PyTree,
    *,
    key: Key[Array, ""],
    policy: Precision = None,
    model_state: PyTree[Array] = (),
    ema_decay: hyper.Scalar | None = None,
    rounding: str = "nearest",
    layout: Layout | None = None,
    frozen: parts.Which | None = None,
) -> TrainState:
    """The state before the first step.

    Everything is copied, so that a step which takes the state as its own never deletes the caller's
    arrays. With concrete hyperparameters ``build`` validates them here, on the host.

    Args:
      params: any pytree of floating arrays.
      build: ``hyperparams -> GradientTransformation``.
      hyperparams: a pytree of numbers; they become float32 scalars.
      key: a typed key, ``jax.random.key(seed)``.
      policy: dtypes, or :class:`~jaxlab.precision.Phases`; its ``param`` is applied here, and its loss scale begins.
      model_state: initial batch statistics and the like.
      ema_decay: keep an average of the parameters with this decay, in [0, 1).
      rounding: the step's (see :func:`~jaxlab.train.step.make_train_step`): ``"kahan"`` has a memory.
      layout: over which devices the state lies and how. Parameters that fit no single device are made by
        :func:`~jaxlab.train.init_run`, each device its own part.
      frozen: which parameters are not trained, of transfer learning's base: a regular expression over their names
        (``"^base/"``), ordered ``(regular expression, bool)`` rules, or a tree of bools. No gradient of theirs is
        computed, no optimizer, decay or norm sees them; the loss sees the whole tree as ever.

    Raises:
      TypeError: a parameter that is no floating array; a hyperparameter that is no number; a key that is no typed key;
        an optimizer in place of ``build``; a layout that is none.
      ValueError: whatever ``build`` refuses; an optimizer in ``loss_scaled``, for the policy has the loss scale; frozen
        parameters that are none, or all.

    State: the parameters, the optimizer's state, 4 bytes for each parameter with ``ema_decay``, 2 for each bfloat16
    or float16 parameter with ``rounding="kahan"``.

    >>> import jaxlab
    >>> build = lambda h: jaxlab.optimizers.adam(h["learning_rate"])
    >>> state = init_state({"w": jnp.ones(3)}, build, {"learning_rate": 1e-3}, key=jax.random.key(0))
    >>> int(state.step), float(state.hyperparams["learning_rate"]) == jnp.float32(1e-3)
    (0, Array(True, dtype=bool))
    """
    make, places_of = blueprint(
        build,
        hyperparams,
        key=key,
        policy=policy,
        ema_decay=ema_decay,
        rounding=rounding,
        layout=layout,
        frozen=frozen,
    )
    if layout is None:
        return _copied(make(params, model_state))
    model_state = layout.put(_copied(model_state), layout.everywhere)
    return create(make, places_of, layout, layout.put(params, layout.shardings(params)), model_state)


def blueprint(
    build: Build,
    hyperparams: PyTree,
    *,
    key: Key[Array, ""],
    policy: Precision = None,
    ema_decay: hyper.Scalar | None = None,
    rounding: str = "nearest",
    layout: Layout | None = None,
    frozen: parts.Which | None = None,
) -> tuple[Callable[[PyTree, PyTree], TrainState], Callable[[TrainState], TrainState]]:
    """How a first state is made from parameters, and where each of its parts lies on the layout's mesh.

    Args and errors are those of :func:`init_state`; everything that can be checked without parameters is, here.

    Returns:
      ``(params, model_state) -> state``, a pure function; and ``state -> shardings`` of an abstract state.
    """
    check_key(key)
    if layout is not None:
        check_layout(layout)
    hyper.one_of("rounding", rounding, ROUNDINGS)
    decay = None if ema_decay is None else hyper.canonical(hyper.number("ema_decay", ema_decay, "[0, 1)"))
    dtypes = first_policy(policy)
    # What the user wrote is what build validates: canonical arrays would show 0.001 as 0.00100000005.
    tx = check_build(build)(hyperparams)

    def make(params: PyTree, model_state: PyTree) -> TrainState:
        names = _check_floating(params)
        check_exceptions(policy, names)
        params = dtypes.cast_params(params)
        if layout is not None:
            params = layout.share(params, stage=3)
        still, params = (None, params) if frozen is None else parts.apart("frozen", frozen, params)
        held = params if layout is None else layout.share(params, stage=1)
        opt_state = tx.init(held)
        if loss_scales(opt_state):
            raise ValueError(
                "build returned an optimizer in loss_scaled: accepted is the optimizer alone, with "
                "policy=Policy(..., loss_scale=LossScale()), for the step scales by itself"
            )
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            model_state=model_state,
            opt_state=opt_state,
            hyperparams=hyper.canonical(hyperparams),
            key=key,
            ema=None if decay is None else Ema(tree.cast(held, hyper.arithmetic_dtype()), decay),
            skipped=jnp.zeros((), jnp.int32),
            compensation=_nothing_lost(held) if rounding == "kahan" else None,
            loss_scale=None if dtypes.loss_scale is None else dtypes.loss_scale.init(),
            frozen=still,
        )

    def places_of(state: TrainState) -> TrainState:
        assert layout is not None
        whole = layout.everywhere
        everywhere = jax.tree.map(lambda _: whole, state)
        shares = layout.shardings(state.params, stage=1)
        ema = None if state.ema is None else state.ema._replace(params=shares, decay=whole)
        return everywhere._replace(
            params=layout.shardings(state.params),
            opt_state=layout.state_shardings(tx.init, state.params),
            ema=ema,
            compensation=_like(shares, state.compensation),
            frozen=None if state.frozen is None else layout.shardings(state.frozen),
        )

    return make, places_of


def check_key(key: Any) -> None:
    """A run's key.

    Raises:
      TypeError: it is no typed key.
    """
    if not isinstance(key, jax.Array) or not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        raise TypeError(f"key = {key!r}: accepted is a typed key, jax.random.key(seed)")


def check_build(build: Build) -> Build:
    """What builds an optimizer, where one might hand in the optimizer itself.

    Raises:
      TypeError: it is no function.
    """
    if not callable(build):
        raise TypeError(
            f"build is a {type(build).__name__}: accepted is a function of the hyperparameters that returns an "
            'optimizer, such as lambda h: adamw(h["learning_rate"]), or jaxlab.optimizers.Recipe("adamw").build'
        )
    return build


def _check_floating(params: PyTree) -> list[str]:
    """The names of the parameters, which all have a gradient."""
    names = tree.names(params)
    for name, leaf in zip(names, jax.tree.leaves(params), strict=True):
        dtype = getattr(leaf, "dtype", None) or np.asarray(leaf).dtype
        if not jnp.issubdtype(dtype, jnp.floating):
            raise TypeError(
                f"parameter {name!r} has type {dtype}: accepted are floating arrays; what is not trained goes into "
                "model_state"
            )
    return names


def _copied(values: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), values)


def _nothing_lost(params: PyTree) -> PyTree:
    full = jnp.finfo(jnp.float32).bits
    return jax.tree.map(lambda p: jnp.zeros_like(p) if jnp.finfo(p.dtype).bits < full else None, params)


def _like(shares: PyTree, compensation: PyTree | None) -> PyTree | None:
    if compensation is None:
        return None
    return jax.tree.map(lambda lost, own: None if lost is None else own, compensation, shares, is_leaf=tree.is_none)


def set_hyperparams(state: TrainState, build: Build, hyperparams: PyTree) -> TrainState:
    """The state with other numbers for the recipe, checked; the compiled step is used as it is.

    Args:
      state: of a run whose hyperparameters have the same structure.
      build: the run's; it validates the numbers here, on the host.
      hyperparams: all of them, as for :func:`init_state`.

    Raises:
      ValueError: a structure other than the state's, or whatever ``build`` refuses.
      TypeError: a hyperparameter that is no number.

    >>> import jaxlab
    >>> build = jaxlab.optimizers.Recipe("adam").build
    >>> state = init_state(jnp.ones(3), build, {"learning_rate": 0.5}, key=jax.random.key(0))
    >>> float(set_hyperparams(state, build, {"learning_rate": 0.25}).hyperparams["learning_rate"])
    0.25
    """
    here, there = jax.tree.structure(hyperparams), jax.tree.structure(state.hyperparams)
    if here != there:
        raise ValueError(f"hyperparams = {here}: accepted is the structure of the state's, {there}")
    build(hyperparams)
    numbers = jax.tree.map(_in_place_of, state.hyperparams, hyper.canonical(hyperparams))
    return state._replace(hyperparams=numbers)


def _in_place_of(old: Array, new: Array) -> Array:
    """A number on the devices of a layout, if that is where the one lies that it replaces."""
    place = getattr(old, "sharding", None)
    if not isinstance(place, NamedSharding):
        return new
    # Not by device_put, with which several processes would wait for each other, to compare what they have.
    host = np.asarray(new)
    return jax.make_array_from_callback(host.shape, place, lambda index: host[index])
