"""A training step: gradient, optimizer, application, metrics, in one compiled XLA program."""

from collections.abc import Callable
from typing import Any, TypedDict

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from jaxlab.core import hyper, storage, tree
from jaxlab.precision.phases import Phased, Phases, Precision, one_policy
from jaxlab.precision.policy import Policy
from jaxlab.schedules.learning_rate import effective_learning_rate
from jaxlab.sharding.layout import Layout, check_layout
from jaxlab.train import across
from jaxlab.train.apply import apply_compensated, apply_updates
from jaxlab.train.finite import all_finite, computed_once
from jaxlab.train.given import given
from jaxlab.train.laid_out import LaidOut
from jaxlab.train.objective import LossFn, Metrics, Objective, stateless
from jaxlab.train.state import ROUNDINGS, Build, Ema, TrainState, check_build

StepFn = Callable[[TrainState, PyTree], tuple[TrainState, Metrics]]
OWN_METRICS = ("loss", "learning_rate", "grad_norm", "update_norm", "param_norm", "skipped", "loss_scale")


class StepOptions(TypedDict, total=False):
    """The options of :func:`make_train_step`, for what hands them on."""

    policy: Precision
    accumulate: int
    has_state: bool
    skip_nonfinite: bool
    rounding: str
    norms: bool


def make_train_step(
    loss_fn: LossFn,
    build: Build,
    *,
    policy: Precision = None,
    accumulate: int = 1,
    has_state: bool = False,
    skip_nonfinite: bool = True,
    rounding: str = "nearest",
    norms: bool = True,
    layout: Layout | None = None,
) -> StepFn:
    """A jitted training step, ``state, metrics = step(state, batch)``, that takes the state as its own.

    One executable: gradient (over micro-batches if asked), optimizer, application of the update, average
    of the parameters, metrics; no host callback. The state passed in is donated, its memory holds the new
    one. The hyperparameters are data in the state: changing them compiles nothing.

    The optimizer's ``update`` is given, besides the parameters, what some methods need: ``value`` and
    ``grad`` of this batch, ``value_fn(params)``, ``grad_fn(params)``, ``hvp_fn(params, vector)``,
    ``residual_fn(params)`` (where ``loss_fn`` has a method ``residuals(params, batch, key)``, an array whose mean
    square is the loss), ``sampled_grad_fn(params, key)`` (where it has a method ``sampled(params, batch, key)``, the
    losses of labels drawn from the model's own predictions, one for each), ``per_example_grad_fn(params)``, ``key``
    and ``step``. All are defined over the whole batch under accumulation, and cost nothing where they are not used.

    A ``loss_fn`` may have hyperparameters of its own: with a method ``given(hyperparams) -> loss_fn`` it is asked, in
    every step, for the loss at the run's (:mod:`~jaxlab.train.given`). Frozen parameters (``init_state(...,
    frozen=...)``) are in the tree that it sees.

    Args:
      loss_fn: ``(params, batch, key) -> (loss, metrics)``; with ``has_state``,
        ``(params, model_state, batch, key) -> (loss, (metrics, model_state))``. Loss and metrics are
        scalars, means over the batch's examples.
      build: ``hyperparams -> GradientTransformation``, called while tracing.
      policy: dtypes of the step (see :class:`~jaxlab.precision.Policy`), as given to ``init_state``; or several one
        after another (:class:`~jaxlab.precision.Phases`), for each of which a program is compiled.
      accumulate: cut the batch into this many micro-batches, scanned; the optimizer runs once, on the mean
        gradient. Equal to the whole batch when losses are means over equally many examples.
      has_state: whether the model carries state.
      skip_nonfinite: a step whose loss, gradient, update, new parameters or new model state are not finite
        changes nothing but the counters ``step`` and ``skipped``. Norms decide, and their squares are summed
        in float32: beyond about 1.8e19 a gradient counts as not finite. A loss scale backs off then. Until all is
        known nothing is written: the new state is in memory beside the old one, which False saves.
      rounding: how float32 results become lower-precision parameters. ``"nearest"`` loses, step after step, what
        is less than half a unit in the last place. ``"stochastic"`` lets it arrive on average (bfloat16 alone).
        ``"kahan"`` remembers what was cut off and adds it to the next step (Kahan 1965): 2 more bytes a
        parameter, no noise; the state comes from ``init_state(..., rounding="kahan")``.
      norms: report ``grad_norm``, ``update_norm`` and ``param_norm``, each of which is one more reading of memory.
        With ``skip_nonfinite=False, norms=False`` the program is what one would write by hand.
      layout: over which devices everything lies and how (:class:`~jaxlab.sharding.Layout`), as given to
        ``init_state``; a batch of host arrays is put where it belongs.

    Returns:
      The step. Its metrics are those of ``loss_fn`` and ``loss``, ``grad_norm``, ``update_norm``,
      ``param_norm`` (Euclidean, over all leaves, in float32), ``skipped`` (so far), ``learning_rate`` where the
      optimizer keeps one, and ``loss_scale`` where the policy has one.

    Raises:
      TypeError, ValueError: arguments out of range; at the first call, what is no state, a loss that is no scalar,
        metrics under names of the step's own, a batch that ``accumulate`` or the mesh does not divide, a state made for
        another ``rounding`` or ``policy``.

    >>> import jaxlab
    >>> def loss_fn(params, batch, key):
    ...     return jnp.mean((batch["x"] @ params["w"] - batch["y"]) ** 2), {}
    >>> build = lambda h: jaxlab.optimizers.sgd(h["learning_rate"])
    >>> state = jaxlab.train.init_state({"w": jnp.zeros(1)}, build, {"learning_rate": 0.5}, key=jax.random.key(0))
    >>> step = make_train_step(loss_fn, build)
    >>> state, metrics = step(state, {"x": jnp.ones((4, 1)), "y": jnp.full(4, 3.0)})
    >>> state.params["w"].tolist(), float(metrics["loss"])
    ([3.0], 9.0)
    """
    options = StepOptions(
        policy=policy,
        accumulate=accumulate,
        has_state=has_state,
        skip_nonfinite=skip_nonfinite,
        rounding=rounding,
        norms=norms,
    )
    if isinstance(policy, Phases):
        return Phased(
            policy,
            lambda policy, _: make_train_step(loss_fn, build, layout=layout, **{**options, "policy": policy}),
        )
    step = step_fn(loss_fn, build, layout=layout, **options)
    if layout is None:
        return jax.jit(step, donate_argnums=0)
    return LaidOut(step, layout, layout.put_batch)


def step_fn(
    loss_fn: LossFn,
    build: Build,
    *,
    policy: Precision = None,
    accumulate: int = 1,
    has_state: bool = False,
    skip_nonfinite: bool = True,
    rounding: str = "nearest",
    norms: bool = True,
    layout: Layout | None = None,
    axis_name: str | None = None,
) -> StepFn:
    """:func:`make_train_step` before compilation: a pure function, to be scanned, vmapped or sharded.

    Args:
      loss_fn, build, options: as there.
      layout: as there; whoever compiles the step sets its mesh (``jax.set_mesh``) and says where the new state lies. On
        explicit axes it is to be called inside ``jax.sharding.auto_axes``, as ``make_train_step`` does.
      axis_name: for use inside ``pmap`` or ``shard_map``: the axis over which the batch is cut into equal parts, one
        for each device. The state is the same on all of them, before and after; loss, gradient and metrics are those
        of the whole batch; noise in the loss differs from device to device, for their examples do. What a
        model sees of its batch is its device's part: batch statistics are of that part, and averaged over the devices.

    Raises:
      TypeError, ValueError: as there; an axis that is no text, or one beside a layout.
    """
    check_build(build)
    hyper.integer("accumulate", accumulate, at_least=1)
    hyper.one_of("rounding", rounding, ROUNDINGS)
    hyper.flag("skip_nonfinite", skip_nonfinite)
    hyper.flag("norms", norms)
    across.check_axis_name(axis_name)
    if layout is not None:
        check_layout(layout)
    if axis_name is not None and layout is not None:
        raise ValueError(f"axis_name = {axis_name!r} beside a layout: accepted is one of them, both cut the batch")
    dtypes = one_policy(policy)
    if dtypes.loss_scale is not None and not skip_nonfinite:
        raise ValueError("skip_nonfinite = False: accepted with a loss scale is True, for it tries until one overflows")

    def step(state: TrainState, batch: PyTree) -> tuple[TrainState, Metrics]:
        _check_fits(state, dtypes, rounding)
        key = jax.random.fold_in(state.key, state.step)
        loss_key, tx_key = jax.random.fold_in(key, 0), jax.random.fold_in(key, 1)
        loss_now = given(loss_fn, state.hyperparams)
        objective = Objective(
            loss_now if has_state else stateless(loss_now),
            dtypes,
            accumulate,
            state.model_state,
            batch if layout is None else layout.share_batch(batch),
            loss_key,
            getattr(loss_now, "residuals", None),
            getattr(loss_now, "sampled", None),
            scale=None if state.loss_scale is None else state.loss_scale.scale,
            layout=layout,
            axis_name=axis_name,
            frozen=state.frozen,
        )
        loss, metrics, model_state, grads = objective.value_and_grad(state.params)
        # From here to the new parameters each device works on its share alone.
        held = state.params if layout is None else layout.share(state.params, stage=1)

        tx = optax.with_extra_args_support(build(state.hyperparams))
        updates, opt_state = tx.update(
            grads,
            state.opt_state,
            held,
            value=loss,
            grad=grads,
            value_fn=objective.value,
            grad_fn=objective.grad,
            hvp_fn=objective.hvp,
            residual_fn=objective.residuals,
            sampled_grad_fn=objective.sampled_grad,
            per_example_grad_fn=objective.per_example_grad,
            key=tx_key,
            step=state.step,
        )
        if norms or skip_nonfinite:
            updates = computed_once(updates)
        grad_norm, update_norm = tree.global_norm(computed_once(grads)), tree.global_norm(updates)
        if rounding == "kahan":
            params, compensation = apply_compensated(held, updates, state.compensation)
        else:
            params, compensation = apply_updates(held, updates, rounding, state.step), None
        changes = {
            "params": params,
            "compensation": compensation,
            "model_state": model_state,
            "opt_state": opt_state,
            "ema": _averaged(state.ema, params),
        }
        skipped = state.skipped
        if skip_nonfinite:
            good = all_finite(loss, grad_norm, update_norm, held, (params, model_state))
            before = {**{name: getattr(state, name) for name in changes}, "params": held}
            changes = jax.tree.map(lambda new, old: jnp.where(good, new, old), changes, before)
            skipped += jnp.logical_not(good).astype(jnp.int32)
            if dtypes.loss_scale is not None and state.loss_scale is not None:
                changes["loss_scale"] = dtypes.loss_scale.adjust(state.loss_scale, good)
        own: Metrics = {"loss": loss, "skipped": skipped}
        if norms:
            own.update(grad_norm=grad_norm, update_norm=update_norm, param_norm=tree.global_norm(changes["params"]))
        if layout is not None:
            # What is gathered is said twice, before and after: else a compiler gathers the old parameters, too.
            changes["params"] = layout.share(layout.share(changes["params"], stage=1), stage=3)
        after = state._replace(step=state.step + 1, skipped=skipped, **changes)

        rate = effective_learning_rate(opt_state)
        if rate is not None:
            own["learning_rate"] = rate
        if after.loss_scale is not None:
            own["loss_scale"] = after.loss_scale.scale
        return after, {**own, **_checked(metrics)}

    return step


def _averaged(ema: Ema | None, params: PyTree) -> Ema | None:
    if ema is None:
        return None
    mean = jax.tree.map(lambda a, p: ema.decay * a + (1 - ema.decay) * storage.decode(p), ema.params, params)
    return ema._replace(params=mean)


def _checked(metrics: dict[str, Any]) -> Metrics:
    taken = sorted(set(metrics) & set(OWN_METRICS))
    if taken:
        raise ValueError(f"loss_fn returned metrics named {taken}: these names are the step's own; accepted are others")
    return metrics


def _check_fits(state: Any, policy: Policy, rounding: str) -> None:
    """Refuses a state that was not made for this step."""
    if not isinstance(state, TrainState):
        raise TypeError(f"state is a {type(state).__name__}: accepted is what init_state and init_run return")
    if (state.compensation is not None) != (rounding == "kahan"):
        raise ValueError(f"rounding = {rounding!r}: accepted is a state from init_state(..., rounding={rounding!r})")
    if (state.loss_scale is not None) != (policy.loss_scale is not None):
        raise ValueError(f"policy = {policy}: accepted is a state from init_state with that policy")
    for name, leaf in zip(tree.names(state.params), jax.tree.leaves(state.params), strict=True):
        if policy.param not in (None, str(leaf.dtype)):
            raise ValueError(
                f"policy = {policy}: accepted is a state from init_state with that policy, not {name!r} in {leaf.dtype}"
            )
        if rounding == "stochastic" and leaf.dtype == jnp.float16:
            raise ValueError(
                f"rounding = 'stochastic': accepted are bfloat16 parameters, not {name!r}, float16; 'kahan' takes both"
            )
