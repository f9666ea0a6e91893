"""NAdam: incorporating Nesterov momentum into Adam (Dozat, 2016)."""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxlab.core import hyper, storage
from jaxlab.core.chain import chain
from jaxlab.core.leafwise import Leaf, leafwise
from jaxlab.core.moments import average, debias
from jaxlab.optimizers import spaces
from jaxlab.optimizers.adam import Moments
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate


def scale_by_nadam(
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    eps: hyper.Scalar = 1e-8,
    momentum_decay: hyper.Scalar = 4e-3,
    *,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""NAdam's direction: Adam that looks ahead, under a momentum that warms up.

    .. math::
        \mu_t &= \beta_1 \bigl(1 - \tfrac12\, 0.96^{t \psi}\bigr) \qquad
        m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t \qquad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \\
        \bar m_t &= \frac{\mu_{t+1}}{1 - \prod_{i=1}^{t+1} \mu_i} m_t
                  + \frac{1 - \mu_t}{1 - \prod_{i=1}^{t} \mu_i} g_t \qquad
        d_t = \bar m_t / \bigl(\sqrt{v_t / (1 - \beta_2^t)} + \epsilon\bigr)

    As in PyTorch. The paper averages the gradient with :math:`\mu_t` in place of :math:`\beta_1`, so that the
    products are its exact debiasing, and multiplies the second moment by one more :math:`\beta_2`; PyTorch's and
    Keras's is what published results were made with. optax's ``nadam`` has no warm-up of the momentum.

    Args:
      b1: decay of the mean, in [0, 1).
      b2: decay of the mean square, in [0, 1).
      eps: added outside the root, above 0.
      momentum_decay: :math:`\psi`, how fast the momentum rises from half of b1 to b1, at least 0; the paper's 1/250.
      state_dtype: how state is kept, see :mod:`jaxlab.core.storage` (static).

    Raises:
      ValueError: a number outside its range, or an unknown ``state_dtype``.

    State: two values for each parameter, and one for all.

    Reference: https://openreview.net/pdf?id=OM0jvwB8jIp57ZJjtNEZ, algorithm 2.

    >>> tx = scale_by_nadam()
    >>> direction, state = tx.update(jnp.array([3.0, -0.5]), tx.init(jnp.zeros(2)))
    >>> (1.05 < direction * jnp.array([1, -1])).tolist()
    [True, True]
    """
    b1 = hyper.number("b1", b1, "[0, 1)")
    b2 = hyper.number("b2", b2, "[0, 1)")
    eps = hyper.number("eps", eps, "(0, inf)")
    psi = hyper.number("momentum_decay", momentum_decay, "[0, inf)")

    def mu(t: Float[Array, ""]) -> Float[Array, ""]:
        return b1 * (1 - 0.5 * 0.96 ** (t * psi))

    def slots(p: Array) -> Moments[storage.Slot]:
        return Moments(m=storage.zeros(p), v=storage.zeros(p, signed=False))

    def combine(product: Array, sums: None, t: Array) -> Array:
        return product * mu(t)

    def update(leaf: Leaf, slots: Moments[Array], product: Array, t: Array) -> tuple[Array, Moments[Array]]:
        m = average(slots.m, leaf.g, b1)
        v = average(slots.v, leaf.g**2, b2)
        ahead = mu(t + 1) / (1 - product * mu(t + 1)) * m + (1 - mu(t)) / (1 - product) * leaf.g
        return ahead / (jnp.sqrt(debias(v, b2, t)) + eps), Moments(m, v)

    one = jnp.ones((), hyper.arithmetic_dtype())
    return leafwise(update, slots=slots, combine=combine, shared=one, store=state_dtype)


def nadam(
    learning_rate: LearningRate,
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    eps: hyper.Scalar = 1e-8,
    momentum_decay: hyper.Scalar = 4e-3,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""NAdam: :func:`scale_by_nadam`, times the learning rate.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform.
      b1, b2, eps, momentum_decay, state_dtype: as in :func:`scale_by_nadam`.

    >>> tx = nadam(0.5, b1=0.0)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.ones(1)))[0].round(6).tolist()
    [-0.5]
    """
    return chain(
        scale_by_nadam(b1, b2, eps, momentum_decay, state_dtype=state_dtype), scale_by_learning_rate(learning_rate)
    )


NADAM = OptimizerInfo("nadam", nadam, "Dozat 2016, openreview.net OM0jvwB8jIp57ZJjtNEZ", spaces.ADAM)
