"""Gradient noise that fades (Neelakantan et al., 2015)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, ArrayLike, Int32, PyTree, UInt32

from jaxlab.core import hyper, storage, tree
from jaxlab.regularizers.additive import Strength, amounts_like, as_rules, require_real


class GradientNoiseState(NamedTuple):
    """Attributes: ``count``, steps taken."""

    count: Int32[Array, ""]


def gradient_noise(
    strength: Strength, gamma: hyper.Scalar = 0.55, seed: int | ArrayLike = 0, mask: tree.Mask = None
) -> optax.GradientTransformationExtraArgs:
    r"""Adds Gaussian noise to the gradient, before the optimizer.

    .. math::
        g_t + \epsilon_t, \qquad \epsilon_t \sim N\left(0, \frac{\eta}{(1 + t)^\gamma}\right), \quad t = 0, 1, \dots

    The random bits depend on the seed, the step, the leaf's name and, where the training step passes it as
    ``key=``, the run's key: the same on any number of devices and after any resumption, others for every run.

    Args:
      strength: :math:`\eta`, the variance at the first step, at least 0, or ordered ``(regular expression,
        number)`` rules. The paper tries 0.01, 0.3 and 1.
      gamma: how fast the variance falls, at least 0.
      seed: a whole number in [0, 2**32); may be traced, then a float is cut to a whole number.
      mask: which leaves: None (all), ``"matrices"``, rules, a tree of bools, or a function of the parameters.

    Raises:
      ValueError: a number outside its range, a bad mask or rule.
      TypeError: what is no number; an update that is no real floating array.

    State: one int32.

    Reference: https://arxiv.org/abs/1511.06807, section 3.

    >>> tx, gradient = gradient_noise(0.25), jnp.zeros(100_000)
    >>> noise, _ = tx.update(gradient, tx.init(gradient))
    >>> round(float(jnp.std(noise)), 2)
    0.5
    """
    rules = as_rules(strength)
    gamma = hyper.number("gamma", gamma, "[0, inf)")
    bits = _seed_bits(seed)

    def init(params: PyTree) -> GradientNoiseState:
        amounts_like(params, rules, mask)
        return GradientNoiseState(jnp.zeros((), jnp.int32))

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, GradientNoiseState]:
        full = hyper.arithmetic_dtype()
        count = state.count + 1
        falling = count.astype(full) ** -gamma
        run = () if extra.get("key") is None else tuple(jax.random.key_data(extra["key"]).reshape(-1))

        def add(path: tuple[Any, ...], u: ArrayLike | None, amount: hyper.Scalar | None) -> ArrayLike | None:
            if u is None or amount is None:
                return u
            require_real(u, u)
            key = jax.random.key(storage.seed_of(tree.path_name(path), count, bits, *run))
            noise = jnp.sqrt(amount * falling) * jax.random.normal(key, jnp.shape(u), full)
            return (jnp.asarray(u, full) + noise).astype(jnp.result_type(u))

        amounts = amounts_like(updates if params is None else params, rules, mask)
        noisy = jax.tree_util.tree_map_with_path(add, updates, amounts, is_leaf=tree.is_none)
        return noisy, GradientNoiseState(count)

    return optax.GradientTransformationExtraArgs(init, update)


def _seed_bits(seed: int | ArrayLike) -> UInt32[Array, ""]:
    if hyper.is_traced(seed):
        if jnp.ndim(seed):
            raise TypeError(f"seed has shape {jnp.shape(seed)}: accepted is one whole number in [0, 2**32)")
        return jnp.asarray(seed).astype(jnp.uint32)
    dtype = getattr(seed, "dtype", None) or np.asarray(seed).dtype
    if np.ndim(seed) or dtype.kind not in "iuf":  # a key's dtype is of another kind
        raise TypeError(f"seed = {seed!r}: accepted is one whole number in [0, 2**32)")
    value = np.asarray(seed)
    if not 0 <= value < 2**32 or value % 1:
        raise ValueError(f"seed = {seed}: accepted is a whole number in [0, 2**32)")
    return jnp.uint32(int(value))
