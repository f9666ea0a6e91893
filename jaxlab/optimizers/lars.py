"""LARS: large batch training of convolutional networks (You, Gitman and Ginsburg, 2017)."""

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import hyper, storage, tree
from jaxlab.core.chain import chain
from jaxlab.core.leafwise import LayerAxes, Leaf, leafwise
from jaxlab.core.space import LogUniform, OneMinusLog
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.optimizers.layerwise import norm, spare
from jaxlab.optimizers.momentum import scale_by_momentum
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate


def scale_by_lars(
    weight_decay: hyper.Scalar = 1e-4,
    trust_coefficient: hyper.Scalar = 1e-3,
    eps: hyper.Scalar = 0.0,
    decay_mask: tree.Mask = None,
    layer_axes: LayerAxes = 0,
) -> optax.GradientTransformationExtraArgs:
    r"""LARS's gradient: with decay, and in units of a share of the layer's parameters.

    .. math::
        d = \frac{\eta\, \lVert \theta \rVert}{\lVert g \rVert + \lambda \lVert \theta \rVert + \epsilon}\,
            (g + \lambda \theta)

    The norms are a layer's; where one of them is zero the ratio is 1. It divides by the sum of norms, as in the paper
    and in the code of its authors; optax divides by the norm of the sum.

    Args:
      weight_decay: :math:`\lambda`, at least 0.
      trust_coefficient: :math:`\eta`, at least 0.
      eps: added to the sum of norms, at least 0; the paper has none.
      decay_mask: which leaves decay, as in :func:`~jaxlab.optimizers.adamw.adamw`. Those that it spares are not
        scaled either: biases and norms, in the code of the authors.
      layer_axes: how many leading axes of a leaf stack layers, see :func:`~jaxlab.core.leafwise.leafwise` (static).

    Raises:
      ValueError: a number outside its range, an unknown mask; from ``update``, missing parameters; from ``init``, a
        leaf with fewer axes than ``layer_axes`` says.

    State: none but a counter.

    Reference: https://arxiv.org/abs/1708.03888, equation 6.

    >>> tx, params = scale_by_lars(weight_decay=0.0, trust_coefficient=0.5), jnp.array([0.0, 6.0])
    >>> tx.update(jnp.array([-1.0, 0.0]), tx.init(params), params)[0].tolist()
    [-3.0, 0.0]
    """
    decay = hyper.number("weight_decay", weight_decay, "[0, inf)")
    share = hyper.number("trust_coefficient", trust_coefficient, "[0, inf)")
    eps = hyper.number("eps", eps, "[0, inf)")

    def update(leaf: Leaf, slots: tuple[()], shared: None, t: Array) -> tuple[Array, tuple[()]]:
        assert leaf.p is not None  # The engine has seen to it.
        ours, theirs = norm(leaf.p), norm(leaf.g)
        moves = (ours > 0) & (theirs > 0)
        ratio = jnp.where(moves, share * ours / jnp.where(moves, theirs + decay * ours + eps, 1), 1)
        return ratio * (leaf.g + decay * leaf.p), slots

    return spare(leafwise(update, needs_params=True, layer_axes=layer_axes), decay_mask)


def lars(
    learning_rate: LearningRate,
    momentum: hyper.Scalar = 0.9,
    weight_decay: hyper.Scalar = 1e-4,
    trust_coefficient: hyper.Scalar = 1e-3,
    eps: hyper.Scalar = 0.0,
    decay_mask: tree.Mask = None,
    layer_axes: LayerAxes = 0,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""LARS: :func:`scale_by_lars`, summed with momentum, times the learning rate.

    .. math::
        v_t = \mu v_{t-1} + d_t, \qquad \theta_t = \theta_{t-1} - \alpha_t v_t

    The learning rate is outside the velocity, as in PyTorch's versions and in every momentum here: at a rate of zero
    nothing moves. The paper and optax have it inside, which is the same while it is constant.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform.
      momentum: :math:`\mu`, in [0, 1).
      weight_decay, trust_coefficient, eps, decay_mask, layer_axes: as in :func:`scale_by_lars`.
      state_dtype: how the velocity is kept, see :mod:`jaxlab.core.storage` (static).

    Raises:
      ValueError: as in :func:`scale_by_lars`, or an unknown ``state_dtype``.

    State: one value for each parameter.

    Reference: https://arxiv.org/abs/1708.03888, algorithm 1.

    >>> tx, params = lars(0.5, weight_decay=0.0, trust_coefficient=0.5), jnp.array([0.0, 6.0])
    >>> tx.update(jnp.array([-2.0, 0.0]), tx.init(params), params)[0].round(4).tolist()
    [1.5, -0.0]
    """
    return chain(
        scale_by_lars(weight_decay, trust_coefficient, eps, decay_mask, layer_axes),
        scale_by_momentum(momentum, state_dtype=state_dtype),
        scale_by_learning_rate(learning_rate),
    )


LARS = OptimizerInfo(
    "lars",
    lars,
    "You, Gitman and Ginsburg 2017, arXiv:1708.03888",
    {
        "learning_rate": LogUniform(0.1, 100.0),
        "momentum": OneMinusLog(0.7, 0.995),
        "weight_decay": LogUniform(1e-6, 1e-3),
    },
    needs_params=True,
)
