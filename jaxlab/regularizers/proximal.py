r"""The mechanism of every regularizer that decides where a parameter lands: proximal steps and projections.

Both look at the point that the update leads to, :math:`x = \theta + u`, and lead to another one instead. The
update becomes the difference, so that whoever adds it lands there.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, Float, PyTree

from jaxlab.core import hyper, tree
from jaxlab.regularizers.additive import Strength, amounts_like, as_rules, require_params, require_real
from jaxlab.schedules.learning_rate import effective_learning_rate


def proximal(
    inner: optax.GradientTransformation,
    prox: Callable[[Float[Array, "..."], Float[Array, ""]], Float[Array, "..."]],
    strength: Strength,
    mask: tree.Mask = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Follows every step of an optimizer with a proximal step (forward-backward splitting).

    .. math::
        \theta_t = \operatorname{prox}_{\alpha_t \lambda R}(\theta_{t-1} + u_t), \qquad
        \operatorname{prox}_{sR}(x) = \arg\min_z \tfrac12 \lVert z - x \rVert_2^2 + s R(z)

    with the inner update :math:`u_t` and the learning rate :math:`\alpha_t` that made it, which a schedule
    may change. Under gradient descent this is ISTA, and its fixed points are the minima of loss plus
    :math:`\lambda R`. The proximal step has no momentum and no preconditioner (its metric is the identity), so
    under an optimizer whose update is more than rate times gradient, :math:`\lambda` has another meaning:

    - momentum :math:`\mu` without dampening makes steps :math:`1 / (1 - \mu)` times as long: the minima are
      those of loss plus :math:`(1 - \mu) \lambda R`;
    - an adaptive optimizer penalises a coordinate more, the shorter its steps are for its gradient. Adam's
      direction is near :math:`\pm 1` wherever the gradient keeps its sign, so a strength below 1 is a bar for
      the gradient's signal over its noise (full batches, without noise, give hardly any zeros), and a
      strength above 1 takes everything.

    A zero is exact: the update is :math:`-\theta`, and the sum is 0 to the bit wherever the gradient's dtype
    can hold the parameter (the same dtype, or float32 gradients of lower-precision parameters). A bfloat16
    gradient of a float32 parameter leaves a rest of its rounding.

    Args:
      inner: a whole optimizer, which keeps its learning rate in its state, as all of jaxlab's do. With
        several rates inside (groups) the first counts. Accumulation goes around the result, not inside.
      prox: ``(x, amount) -> z``, of one leaf in float32 (float64 under ``jax_enable_x64``); amount 0 must
        give ``x`` itself.
      strength: :math:`\lambda`, for all leaves or by rules.
      mask: which leaves, see :data:`jaxlab.core.tree.Mask`. The others take the inner update as it is.

    Returns:
      A transform that needs the parameters, with the state of ``inner`` and the dtypes of the gradients.

    Raises:
      ValueError: a bad strength or mask; from ``init``, an ``inner`` that keeps no learning rate; from
        ``update``, parameters that are missing.
      TypeError: an ``inner`` that is no transform, a strength that is no number.
    """
    if not isinstance(inner, optax.GradientTransformation):
        raise TypeError(
            f"inner = {inner!r}: accepted is an optimizer, as in proximal_l1(jaxlab.optimizers.sgd(0.1), 1)"
        )
    rules = as_rules(strength)
    inner = optax.with_extra_args_support(inner)

    def init(params: PyTree) -> optax.OptState:
        amounts_like(params, rules, mask)
        state = inner.init(params)
        if effective_learning_rate(state) is None:
            raise ValueError(
                "inner keeps no learning rate in its state, and a proximal step needs it: accepted are jaxlab's "
                "optimizers, or a chain that ends in jaxlab.schedules.scale_by_learning_rate(learning_rate)"
            )
        return state

    def update(
        updates: PyTree, state: optax.OptState, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, optax.OptState]:
        require_params(params)
        full, state = inner.update(tree.cast(updates, hyper.arithmetic_dtype()), state, params, **extra)
        rate = effective_learning_rate(state)
        amounts = amounts_like(params, rules, mask)
        landed = land(lambda x, amount: prox(x, rate * amount), full, params, amounts)
        return tree.cast_like(landed, updates), state

    return optax.GradientTransformationExtraArgs(init, update)


def land(place: Callable[..., Float[Array, "..."]], updates: PyTree, params: PyTree | None, *amounts: PyTree) -> PyTree:
    """The updates that lead to ``place(p + u, *amounts)``, in their own dtypes.

    Where that is ``p + u`` itself the update passes as it is, to the bit: what is allowed already loses nothing.

    Args:
      place: of one leaf in full precision.
      updates: a tree like ``params``; ``None`` stays ``None``.
      params: the parameters.
      amounts: trees like ``params``; where they hold None the update passes.

    Raises:
      ValueError: parameters are missing.
      TypeError: an update or parameter that is no real floating array.
    """
    require_params(params)
    full = hyper.arithmetic_dtype()

    def one(u: ArrayLike | None, p: Any, *numbers: hyper.Scalar | None) -> ArrayLike | None:
        if u is None or any(number is None for number in numbers):
            return u
        require_real(u, p)
        before, step = jnp.asarray(p, full), jnp.asarray(u, full)
        aim = before + step
        end = place(aim, *map(jnp.asarray, numbers))
        return jnp.where(end == aim, step, end - before).astype(jnp.result_type(u))

    return jax.tree.map(one, updates, params, *amounts, is_leaf=tree.is_none)
