"""SM3: memory-efficient adaptive optimization (Anil et al., 2019)."""

import functools
from typing import Generic, NamedTuple, TypeVar

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import hyper, storage
from jaxlab.core.chain import chain
from jaxlab.core.leafwise import LayerAxes, Leaf, leafwise
from jaxlab.core.moments import average
from jaxlab.core.space import LogUniform
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate

T = TypeVar("T")


class CoverAndMean(NamedTuple, Generic[T]):
    """For each index of an axis a bound on the sums of squares there; the average of directions.

    What a leaf does without is one zero. Axes after the fifth have no bounds: those of the others still cover all.
    """

    first: T
    second: T
    third: T
    fourth: T
    fifth: T
    m: T


def scale_by_sm3(
    momentum: hyper.Scalar | None = 0.9, layer_axes: LayerAxes = 0, *, state_dtype: storage.StateDtype = "float32"
) -> optax.GradientTransformationExtraArgs:
    r"""SM3-II's direction: Adagrad, of whose sums only bounds over rows, columns and further axes are kept.

    .. math::
        \nu_t(i) = \min_r \mu_{t-1}^r(i_r) + g_t(i)^2, \qquad
        \mu_t^r(j) = \max_{i:\, i_r = j} \nu_t(i), \qquad
        m_t = \mu m_{t-1} + (1 - \mu)\, g_t / \sqrt{\nu_t}

    for an element with the indices :math:`i = (i_1, i_2, \dots)`. Where all gradients were zero, 0 / 0 is 0. For
    vectors and scalars this is Adagrad. The average begins at zero and is not corrected, as in the code of the authors.

    Args:
      momentum: :math:`\mu`, in [0, 1); None is none.
      layer_axes: how many leading axes of a leaf stack layers, see :func:`~jaxlab.core.leafwise.leafwise` (static).
      state_dtype: how the average is kept, see :mod:`jaxlab.core.storage` (static). The bounds, which only
        grow, are float32.

    Raises:
      ValueError: a momentum outside [0, 1), an unknown ``state_dtype``; from ``init``, a leaf with fewer axes than
        ``layer_axes`` says.

    State: :math:`n + m` values for a matrix of :math:`n \times m`; with momentum one more for each parameter.

    Reference: https://arxiv.org/abs/1901.11150, algorithm SM3-II.

    >>> tx = scale_by_sm3(None)
    >>> state = tx.init(jnp.zeros((4, 3)))
    >>> state.slots.first.shape, state.slots.second.shape, state.slots.third.shape
    ((4,), (3,), ())
    >>> tx.update(jnp.full((4, 3), -7.0), state)[0][0].tolist()
    [-1.0, -1.0, -1.0]
    """
    mu = None if momentum is None else hyper.number("momentum", momentum, "[0, 1)")

    def slots(p: Array) -> CoverAndMean[storage.Slot]:
        absent = storage.Slot(jnp.zeros((), hyper.arithmetic_dtype()), axes=())

        def bounds(axis: int) -> storage.Slot:
            if axis and axis >= p.ndim:
                return absent
            others = tuple(i for i in range(p.ndim) if i != axis)
            value = jnp.sum(jnp.zeros_like(p, hyper.arithmetic_dtype()), others)
            return storage.Slot(value, signed=False, low_bit=False, axes=(axis,) if p.ndim else ())

        return CoverAndMean(*[bounds(axis) for axis in range(5)], m=absent if mu is None else storage.zeros(p))

    def update(leaf: Leaf, slots: CoverAndMean[Array], shared: None, t: Array) -> tuple[Array, CoverAndMean[Array]]:
        g, cover = leaf.g, slots[: min(leaf.g.ndim, 5) or 1]
        others = [tuple(i for i in range(g.ndim) if i != axis) for axis in range(len(cover))]
        covers = [jnp.expand_dims(bound, axes) for bound, axes in zip(cover, others, strict=True)]
        nu = functools.reduce(jnp.minimum, covers) + g**2
        cover = [jnp.max(nu, axes, initial=0.0) if g.ndim else nu for axes in others]
        d = g / jnp.sqrt(jnp.where(nu > 0, nu, 1))
        m = d if mu is None else average(slots.m, d, mu)
        return m, CoverAndMean(*cover, *slots[len(cover) : 5], m=slots.m if mu is None else m)

    return leafwise(update, slots=slots, store=state_dtype, layer_axes=layer_axes)


def sm3(
    learning_rate: LearningRate,
    momentum: hyper.Scalar | None = 0.9,
    layer_axes: LayerAxes = 0,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""SM3: :func:`scale_by_sm3`, times the learning rate.

    Its steps become shorter by themselves, as Adagrad's do. The authors warm the rate up with the square of the step.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform.
      momentum, layer_axes, state_dtype: as in :func:`scale_by_sm3`.

    >>> tx = sm3(0.5, momentum=None)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.ones(1)))[0].tolist()
    [-0.5]
    """
    return chain(scale_by_sm3(momentum, layer_axes, state_dtype=state_dtype), scale_by_learning_rate(learning_rate))


SM3 = OptimizerInfo(
    "sm3",
    sm3,
    "Anil et al. 2019, arXiv:1901.11150",
    {"learning_rate": LogUniform(1e-3, 1.0)},
    caveat=(
        "Its authors made it to save memory in very large models: its sums of squares bound Adagrad's from above, "
        "and like those they only grow."
    ),
)
