"""MARS: unleashing the power of variance reduction for training large models (Yuan et al., 2024)."""

from typing import Generic, NamedTuple, TypeVar

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import hyper, storage, tree
from jaxlab.core.chain import chain
from jaxlab.core.leafwise import LayerAxes, Leaf, leafwise
from jaxlab.core.moments import average, debias
from jaxlab.core.space import LogUniform
from jaxlab.optimizers import spaces
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.optimizers.layerwise import norm
from jaxlab.regularizers.decoupled_decay import decoupled_decay
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate

T = TypeVar("T")


class CorrectedMoments(NamedTuple, Generic[T]):
    """Averages of the corrected gradient and of its square, and the gradient of the step before."""

    m: T
    v: T
    before: T


def scale_by_mars(
    b1: hyper.Scalar = 0.95,
    b2: hyper.Scalar = 0.99,
    eps: hyper.Scalar = 1e-8,
    gamma: hyper.Scalar = 0.025,
    layer_axes: LayerAxes = 0,
    *,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""The direction of MARS-AdamW: Adam on a gradient whose change over the last step is weighed in.

    .. math::
        c_t &= g_t + \gamma \frac{\beta_1}{1 - \beta_1} (g_t - g_{t-1}), \qquad
        \tilde c_t = c_t / \max(1, \lVert c_t \rVert), \qquad g_0 = 0 \\
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) \tilde c_t, \qquad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2) \tilde c_t^2 \\
        d_t &= \frac{m_t}{1 - \beta_1^t} \Big/ \left(\sqrt{\frac{v_t}{1 - \beta_2^t}} + \epsilon\right)

    This is the approximate form, the default of the official code (https://github.com/AGI-Arena/MARS): the
    gradient of the step before belongs to the batch of the step before, so nothing is computed twice. The norm is
    that of a leaf, or of a layer where the leaf stacks several.

    Args:
      b1: decay of the mean, in [0, 1).
      b2: decay of the mean square, in [0, 1).
      eps: added outside the root, above 0.
      gamma: how much the change counts, at least 0. At 0 this is Adam with gradients clipped leaf by leaf.
      layer_axes: how many leading axes stack layers, see :func:`~jaxlab.core.leafwise.leafwise` (static).
      state_dtype: how state is kept, see :mod:`jaxlab.core.storage` (static).

    Raises:
      ValueError: a number outside its range, or an unknown ``state_dtype``; from ``init``, a leaf with fewer axes
        than ``layer_axes`` says.

    State: three values for each parameter (12 bytes in float32).

    Reference: https://arxiv.org/abs/2411.10438, algorithms 2 and 3.

    >>> tx = scale_by_mars()
    >>> tx.update(jnp.array([3.0, -0.5]), tx.init(jnp.zeros(2)))[0].round(4).tolist()
    [1.0, -1.0]
    """
    b1 = hyper.number("b1", b1, "[0, 1)")
    b2 = hyper.number("b2", b2, "[0, 1)")
    eps = hyper.number("eps", eps, "(0, inf)")
    gamma = hyper.number("gamma", gamma, "[0, inf)")

    def slots(p: Array) -> CorrectedMoments[storage.Slot]:
        zero = storage.zeros(p)
        return CorrectedMoments(m=zero, v=storage.zeros(p, signed=False), before=zero)

    def update(
        leaf: Leaf, slots: CorrectedMoments[Array], shared: None, t: Array
    ) -> tuple[Array, CorrectedMoments[Array]]:
        c = leaf.g + gamma * b1 / (1 - b1) * (leaf.g - slots.before)
        c = c / jnp.maximum(1, norm(c))
        m = average(slots.m, c, b1)
        v = average(slots.v, c**2, b2)
        return debias(m, b1, t) / (jnp.sqrt(debias(v, b2, t)) + eps), CorrectedMoments(m, v, leaf.g)

    return leafwise(update, slots=slots, store=state_dtype, layer_axes=layer_axes)


def mars(
    learning_rate: LearningRate,
    b1: hyper.Scalar = 0.95,
    b2: hyper.Scalar = 0.99,
    eps: hyper.Scalar = 1e-8,
    gamma: hyper.Scalar = 0.025,
    weight_decay: hyper.Scalar = 0.0,
    decay_mask: tree.Mask = None,
    layer_axes: LayerAxes = 0,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""MARS-AdamW: :func:`scale_by_mars` with decoupled decay, times the learning rate.

    Every leaf is treated so, as in the official code with ``optimize_1d=True``. Its default gives what is no matrix
    to an AdamW of its own; here that is said with groups.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform; the official code's 3e-3.
      b1, b2, eps, gamma, layer_axes, state_dtype: as in :func:`scale_by_mars`.
      weight_decay: at least 0, multiplied by the learning rate; the official code's default 0.
      decay_mask: which leaves decay, as in :func:`~jaxlab.optimizers.adamw.adamw`.

    >>> tx = mars(0.5)
    >>> params = jnp.ones(1)
    >>> tx.update(jnp.array([2.0]), tx.init(params), params)[0].round(4).tolist()
    [-0.5]
    """
    return chain(
        scale_by_mars(b1, b2, eps, gamma, layer_axes, state_dtype=state_dtype),
        decoupled_decay(hyper.number("weight_decay", weight_decay, "[0, inf)"), decay_mask),
        scale_by_learning_rate(learning_rate),
    )


MARS = OptimizerInfo(
    "mars",
    mars,
    "Yuan et al. 2024, arXiv:2411.10438",
    {**spaces.ADAM, "gamma": LogUniform(5e-3, 0.1), "weight_decay": LogUniform(5e-3, 1.0)},
    needs_params=True,
)
