"""How long a step: a search on the loss along one direction, a problem of one number."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from jaxlab.core import hyper, tree
from jaxlab.schedules.learning_rate import LearningRateState

SEARCHES = ("zoom", "backtracking", "none")
"""``"zoom"``: strong Wolfe conditions; ``"backtracking"``: sufficient decrease alone; ``"none"``: the step as it is."""

NEEDS = ("value", "grad", "value_fn")
"""What a search asks of the caller, as extra arguments of ``update``."""

# Nocedal and Wright's constants for Newton's method and its kin.
SUFFICIENT_DECREASE, CURVATURE = 1e-4, 0.9
ZOOM_STEPS, HALVINGS = 20, 30


def with_line_search(
    step_down: optax.GradientTransformation, line_search: str
) -> optax.GradientTransformationExtraArgs:
    r"""Multiplies the step :math:`u` of ``step_down`` by a factor :math:`t` that suits the loss of this batch.

    .. math::
        J(\theta + t u) &\le J(\theta) + 10^{-4}\, t\, u^\top \nabla J(\theta) && \text{sufficient decrease} \\
        |u^\top \nabla J(\theta + t u)| &\le 0.9\, |u^\top \nabla J(\theta)| && \text{curvature, zoom only}

    The whole step, :math:`t = 1`, is tried first. Backtracking then halves it. Zoom lengthens it, too, brackets
    a good length, and interpolates (Nocedal and Wright, algorithms 3.5 and 3.6); near a minimum, where rounding
    hides the decrease, it judges by the slope (Hager and Zhang). Both are optax's, on the function
    :math:`t \mapsto J(\theta + t u)`. Where the step leads uphill, or no length is found that does not raise the
    loss by more than rounding, the step is zero (a step that is not finite shows as NaN: Newton on a loss without
    curvature needs damping).

    The loss is that of the current batch, at the start and at every trial, and nothing else. It does not know of a
    penalty whose gradient a transform adds (:func:`~jaxlab.regularizers.l2` and its kin): where that one pulls up
    the loss the search stops, short of the minimum of both. Such a penalty goes into the loss, as
    :func:`~jaxlab.regularizers.l2_penalty`.

    Parameters of low precision make the loss a staircase on which short steps show no decrease: keep them in float32.

    Args:
      step_down: a transform that ends in a step down, such as ``scale_by_learning_rate``.
      line_search: one of :data:`SEARCHES`.

    Returns:
      A transform without state of its own: the effective learning rate in ``step_down``'s state becomes
      the one that was taken, :math:`t \alpha`. Its ``update`` needs the parameters and :data:`NEEDS`.

    Raises:
      ValueError: an unknown search; from ``update``, something that it needs is missing, or updates of a part of
        the parameters alone.

    >>> loss = lambda x: jnp.sum(x**4)
    >>> tx, x = with_line_search(optax.scale(-1.0), "backtracking"), jnp.array([1.0])
    >>> value, grad = jax.value_and_grad(loss)(x)
    >>> tx.update(grad, tx.init(x), x, value=value, grad=grad, value_fn=loss)[0].tolist()
    [-1.0]
    """
    step_down = optax.with_extra_args_support(step_down)
    if hyper.one_of("line_search", line_search, SEARCHES) == "none":
        return step_down

    def update(
        updates: PyTree, state: optax.OptState, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, optax.OptState]:
        who = f'line_search = "{line_search}"'
        require(who, params, extra, NEEDS)
        given, own = (jax.tree.structure(values, is_leaf=tree.is_none) for values in (extra["grad"], updates))
        if given != own:
            raise ValueError(
                f"grad is a tree {given}, the updates are {own}: {who} follows the loss of all parameters; accepted is "
                "the same tree, so not a part of one as optax.masked and optax.partition make it"
            )
        step, after = step_down.update(updates, state, params, **extra)
        factor = _factor(line_search, step, params, extra)

        def shorter(node: Any) -> Any:
            return node._replace(learning_rate=factor * node.learning_rate) if _is_home(node) else node

        step = jax.tree.map(lambda u: (factor * u).astype(u.dtype), step)
        return step, jax.tree.map(shorter, after, is_leaf=_is_home)

    return optax.GradientTransformationExtraArgs(step_down.init, update)


def require(who: str, params: PyTree | None, extra: dict[str, Any], needs: tuple[str, ...]) -> None:
    """Refuses an ``update`` without the parameters or without one of the extra arguments it needs.

    Raises:
      ValueError: what is missing, and who passes it.
      TypeError: a function that is none, a value that is not one number.
    """
    if params is None:
        raise ValueError(f"params = None: {who} needs the parameters, call tx.update(grads, state, params, ...)")
    missing = [name for name in needs if extra.get(name) is None]
    if missing:
        raise ValueError(
            f"{missing[0]} = None: {who} needs {', '.join(needs)} as extra arguments of tx.update, all of the same "
            "batch; jaxlab.train.make_train_step passes them, flax's TrainState.apply_gradients does not"
        )
    for name in needs:
        if name.endswith("_fn"):
            hyper.function(name, extra[name])
    if "value" in needs:
        hyper.one_number("value", extra["value"])


def _factor(line_search: str, step: PyTree, params: PyTree, extra: dict[str, Any]) -> Float[Array, ""]:
    full = hyper.arithmetic_dtype()
    steps, treedef = jax.tree.flatten(step, is_leaf=tree.is_none)
    here, slopes = treedef.flatten_up_to(params), treedef.flatten_up_to(extra["grad"])

    def loss_at(t: Float[Array, ""]) -> Float[Array, ""]:
        there = [p if u is None else (p + t * u).astype(p.dtype) for p, u in zip(here, steps, strict=True)]
        return jnp.asarray(extra["value_fn"](treedef.unflatten(there)), full)

    value = jnp.asarray(extra["value"], full)
    slope = jnp.zeros((), full)
    for u, g in zip(steps, slopes, strict=True):
        slope += 0.0 if u is None else jnp.sum(u.astype(full) * g.astype(full))

    # Differences of the loss below this are rounding, not ascent.
    rounding = 8 * float(jnp.finfo(full).eps)
    if line_search == "zoom":
        search = optax.scale_by_zoom_linesearch(
            ZOOM_STEPS,
            slope_rtol=SUFFICIENT_DECREASE,
            curv_rtol=CURVATURE,
            approx_dec_rtol=rounding,
            initial_guess_strategy="one",
        )
    else:
        search = optax.scale_by_backtracking_linesearch(
            HALVINGS, slope_rtol=SUFFICIENT_DECREASE, decrease_factor=0.5, atol=rounding * jnp.abs(value)
        )
    start, whole = jnp.zeros((), full), jnp.ones((), full)
    end: Any = search.update(whole, search.init(start), start, value=value, grad=slope, value_fn=loss_at)[1]
    # Where a search gives up it may end on a point that is worse than the start.
    good = (slope < 0) & (end.value <= value + rounding * jnp.abs(value)) & jnp.isfinite(end.learning_rate)
    return jnp.where(good, end.learning_rate, 0.0)


def _is_home(node: Any) -> bool:
    return isinstance(node, LearningRateState)
