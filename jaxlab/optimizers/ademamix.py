"""AdEMAMix: better, faster, older (Pagliardini, Ablin and Grangier, 2024)."""

from typing import Generic, NamedTuple, TypeVar

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import hyper, storage, tree
from jaxlab.core.chain import chain
from jaxlab.core.leafwise import Leaf, leafwise
from jaxlab.core.moments import average, debias
from jaxlab.core.space import LogUniform, OneMinusLog
from jaxlab.optimizers import spaces
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.regularizers.decoupled_decay import decoupled_decay
from jaxlab.schedules.clock import elapsed
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate

T = TypeVar("T")


class MixedMoments(NamedTuple, Generic[T]):
    """A fast and a slow average of the gradient, and that of its square."""

    m: T
    slow: T
    v: T


def scale_by_ademamix(
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    b3: hyper.Scalar = 0.9999,
    alpha: hyper.Scalar = 2.0,
    eps: hyper.Scalar = 1e-8,
    alpha_warmup: hyper.Scalar = 0.0,
    b3_warmup: hyper.Scalar = 0.0,
    *,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""AdEMAMix's direction: Adam with a second, slow average of the gradient beside the fast one.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad
        n_t = \beta_3(t)\, n_{t-1} + (1 - \beta_3(t))\, g_t, \qquad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \\
        d_t &= \left(\frac{m_t}{1 - \beta_1^t} + \alpha(t)\, n_t\right) \Big/
               \left(\sqrt{\frac{v_t}{1 - \beta_2^t}} + \epsilon\right)

    The slow average is not debiased. Early it is noise with a long memory: its weight and its decay may warm up,

    .. math::
        \alpha(t) = \alpha \min(t / T_\alpha, 1), \qquad
        \frac{1}{\ln \beta_3(t)} = \frac{1 - r}{\ln \beta_1} + \frac{r}{\ln \beta_3},
        \quad r = \min(t / T_{\beta_3}, 1)

    so that the half-life of the average, not its decay, grows linearly from that of the fast one. The official code
    adds 1e-8 to the betas under the logarithm; the paper does not.

    Args:
      b1: decay of the fast mean, in [0, 1).
      b2: decay of the mean square, in [0, 1).
      b3: decay of the slow mean, in [0, 1).
      alpha: weight of the slow mean, at least 0; the official code's 2, the paper uses 4 to 10.
      eps: added outside the root, above 0.
      alpha_warmup: :math:`T_\alpha`, steps until ``alpha`` is reached; 0 is at once. The paper advises the length of
        training for both.
      b3_warmup: :math:`T_{\beta_3}`, steps until ``b3`` is reached.
      state_dtype: how state is kept, see :mod:`jaxlab.core.storage` (static).

    Raises:
      ValueError: a number outside its range, or an unknown ``state_dtype``.

    State: three values for each parameter (12 bytes in float32).

    Reference: https://arxiv.org/abs/2409.03137, algorithm 1.

    >>> tx = scale_by_ademamix(b3=0.75)
    >>> tx.update(jnp.array([3.0, -0.5]), tx.init(jnp.zeros(2)))[0].round(4).tolist()
    [1.5, -1.5]
    """
    b1 = hyper.number("b1", b1, "[0, 1)")
    b2 = hyper.number("b2", b2, "[0, 1)")
    b3 = hyper.number("b3", b3, "[0, 1)")
    alpha = hyper.number("alpha", alpha, "[0, inf)")
    eps = hyper.number("eps", eps, "(0, inf)")
    alpha_warmup = hyper.number("alpha_warmup", alpha_warmup, "[0, inf)")
    b3_warmup = hyper.number("b3_warmup", b3_warmup, "[0, inf)")

    def slots(p: Array) -> MixedMoments[storage.Slot]:
        return MixedMoments(m=storage.zeros(p), slow=storage.zeros(p), v=storage.zeros(p, signed=False))

    def newness(t: Array) -> Array:
        """One minus the slow mean's decay, by itself: a decay near 1 has lost its last digits."""
        r = elapsed(t, b3_warmup)
        rising = 1 / ((1 - r) / jnp.log1p(b1 - 1) + r / jnp.log1p(b3 - 1))
        return jnp.where(r < 1, -jnp.expm1(rising), 1 - b3)

    def update(leaf: Leaf, slots: MixedMoments[Array], shared: None, t: Array) -> tuple[Array, MixedMoments[Array]]:
        m = average(slots.m, leaf.g, b1)
        slow = slots.slow + newness(t) * (leaf.g - slots.slow)
        v = average(slots.v, leaf.g**2, b2)
        above = debias(m, b1, t) + alpha * elapsed(t, alpha_warmup) * slow
        return above / (jnp.sqrt(debias(v, b2, t)) + eps), MixedMoments(m, slow, v)

    return leafwise(update, slots=slots, store=state_dtype)


def ademamix(
    learning_rate: LearningRate,
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    b3: hyper.Scalar = 0.9999,
    alpha: hyper.Scalar = 2.0,
    eps: hyper.Scalar = 1e-8,
    alpha_warmup: hyper.Scalar = 0.0,
    b3_warmup: hyper.Scalar = 0.0,
    weight_decay: hyper.Scalar = 0.0,
    decay_mask: tree.Mask = None,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""AdEMAMix: :func:`scale_by_ademamix` with decoupled decay, times the learning rate.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform.
      b1, b2, b3, alpha, eps, alpha_warmup, b3_warmup, state_dtype: as in :func:`scale_by_ademamix`.
      weight_decay: at least 0, multiplied by the learning rate; the official code's default 0.
      decay_mask: which leaves decay, as in :func:`~jaxlab.optimizers.adamw.adamw`.

    >>> tx = ademamix(0.5, b3=0.75)
    >>> params = jnp.ones(1)
    >>> tx.update(jnp.array([2.0]), tx.init(params), params)[0].round(4).tolist()
    [-0.75]
    """
    return chain(
        scale_by_ademamix(b1, b2, b3, alpha, eps, alpha_warmup, b3_warmup, state_dtype=state_dtype),
        decoupled_decay(hyper.number("weight_decay", weight_decay, "[0, inf)"), decay_mask),
        scale_by_learning_rate(learning_rate),
    )


ADEMAMIX = OptimizerInfo(
    "ademamix",
    ademamix,
    "Pagliardini, Ablin and Grangier 2024, arXiv:2409.03137",
    {**spaces.ADAM, "b3": OneMinusLog(0.99, 0.9999), "alpha": LogUniform(1.0, 10.0)},
    needs_params=True,
)
