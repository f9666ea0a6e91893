"""One of several learning rates, chosen by a number that is traced."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from jaxlab.core import hyper, tree
from jaxlab.schedules.learning_rate import LearningRate, LearningRateState, require_home, scale_by_learning_rate


def choose(which: hyper.Scalar, rates: Sequence[LearningRate]) -> optax.GradientTransformationExtraArgs:
    r"""The step down of rate number :math:`k`, :math:`-\alpha^{(k)}_t d_t`.

    Which schedule a run follows is static in a :class:`~jaxlab.optimizers.Recipe`, so each is a program of its
    own. Here it is data: one program trains members of a population under different schedules, or one after the
    other without compiling again. The price is that every rate is computed at every step, a few scalars each.

    Args:
      which: :math:`k`, from 0; a fraction is cut off. Traced, it is taken on trust.
      rates: numbers, schedules and loss-driven transforms, as any optimizer takes them. Loss-driven ones see the
        loss alone, so :func:`~jaxlab.schedules.polyak`, which measures the direction, is none of them.

    Returns:
      A transform: the ``learning_rate`` of any optimizer. Its ``update`` needs ``value=`` where one of the rates
      does. State: two scalars, and the states of all rates.

    Raises:
      ValueError: no rates, a ``which`` that is none of them, whatever the rates refuse.
      TypeError: rates that are no list; from ``init``, a transform that is no learning rate.

    >>> from jaxlab.schedules import cosine
    >>> tx = choose(1, [0.5, cosine(1.0, total_steps=2)])
    >>> state = tx.init(jnp.ones(1))
    >>> for step in range(2):
    ...     updates, state = tx.update(jnp.ones(1), state)
    ...     print(updates.round(6).tolist())
    [-1.0]
    [-0.5]
    """
    if not isinstance(rates, list | tuple):
        raise TypeError(f"rates = {rates!r}: accepted is a list of learning rates")
    if not rates:
        raise ValueError("rates = []: accepted is at least one")
    index = hyper.number("which", which, f"[0, {len(rates)})").astype(jnp.int32)
    homes = [scale_by_learning_rate(rate) for rate in rates]

    def init(params: PyTree) -> LearningRateState:
        full = hyper.arithmetic_dtype()
        states: tuple[Any, ...] = tuple(home.init(jnp.ones((), full)) for home in homes)
        for i, state in enumerate(states):
            require_home(f"rates[{i}]", state)
        rate = jnp.stack([state.learning_rate for state in states])[index]
        return LearningRateState(jnp.zeros((), jnp.int32), rate, states)

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, LearningRateState]:
        one: Any = jnp.ones((), hyper.arithmetic_dtype())
        steps: list[Any] = [home.update(one, own, None, **extra) for home, own in zip(homes, state.memory, strict=True)]
        down = jnp.stack([step for step, _ in steps])[index]
        full = jax.tree.map(lambda u: down * jnp.asarray(u, down.dtype), updates)
        after = LearningRateState(state.count + 1, -down, tuple(own for _, own in steps))
        return tree.cast_like(full, updates), after

    return optax.GradientTransformationExtraArgs(init, update)
