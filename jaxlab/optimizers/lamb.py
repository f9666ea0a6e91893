"""LAMB: large batch optimization for deep learning (You et al., 2020)."""

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import hyper, storage, tree
from jaxlab.core.chain import chain
from jaxlab.core.leafwise import LayerAxes, Leaf, leafwise
from jaxlab.core.space import LogUniform
from jaxlab.optimizers import spaces
from jaxlab.optimizers.adam import scale_by_adam
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.optimizers.layerwise import norm, spare
from jaxlab.regularizers.decoupled_decay import decoupled_decay
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate


def scale_by_trust_ratio(mask: tree.Mask = None, layer_axes: LayerAxes = 0) -> optax.GradientTransformationExtraArgs:
    r"""Gives every layer's direction the length of the layer's parameters.

    .. math::
        d \mapsto \frac{\lVert \theta \rVert}{\lVert d \rVert}\, d

    A direction or a layer that is zero leaves the direction as it is.

    Args:
      mask: which leaves: None (all), ``"matrices"``, rules, a tree of bools, or a function of the parameters.
      layer_axes: how many leading axes of a leaf stack layers, see :func:`~jaxlab.core.leafwise.leafwise` (static).

    Raises:
      ValueError: an unknown mask; from ``update``, missing parameters; from ``init``, a leaf with fewer axes than
        ``layer_axes`` says.

    State: none but a counter.

    >>> tx, params = scale_by_trust_ratio(), jnp.array([0.0, 6.0])
    >>> tx.update(jnp.array([-1.0, 0.0]), tx.init(params), params)[0].tolist()
    [-6.0, 0.0]
    """

    def update(leaf: Leaf, slots: tuple[()], shared: None, t: Array) -> tuple[Array, tuple[()]]:
        assert leaf.p is not None  # The engine has seen to it.
        above, below = norm(leaf.p), norm(leaf.g)
        ratio = jnp.where((above > 0) & (below > 0), above / jnp.where(below > 0, below, 1), 1)
        return ratio * leaf.g, slots

    return spare(leafwise(update, needs_params=True, layer_axes=layer_axes), mask)


def lamb(
    learning_rate: LearningRate,
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    eps: hyper.Scalar = 1e-6,
    weight_decay: hyper.Scalar = 0.0,
    decay_mask: tree.Mask = None,
    layer_axes: LayerAxes = 0,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""LAMB: Adam's direction with decay, scaled layer by layer to the length of the parameters.

    .. math::
        \theta_t = \theta_{t-1} - \alpha_t \frac{\lVert \theta_{t-1} \rVert}{\lVert r_t \rVert}\, r_t, \qquad
        r_t = d_t + \lambda \theta_{t-1}

    with Adam's direction :math:`d_t`, leaf by leaf: every step changes a layer by the share :math:`\alpha_t` of it.
    The bias corrections are the paper's; the code of its authors goes without.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform.
      b1, b2, eps, state_dtype: as in :func:`~jaxlab.optimizers.adam.scale_by_adam`, but for the eps of the authors.
      weight_decay: :math:`\lambda`, at least 0.
      decay_mask: which leaves decay, as in :func:`~jaxlab.optimizers.adamw.adamw`. Those that it spares are not
        scaled either: biases and norms, as in the code of the authors, take Adam's steps.
      layer_axes: how many leading axes of a leaf stack layers, see :func:`~jaxlab.core.leafwise.leafwise` (static).

    Raises:
      ValueError: a number outside its range, an unknown ``state_dtype`` or mask; from ``init``, a leaf with fewer
        axes than ``layer_axes`` says; from ``update``, missing parameters.

    State: two values for each parameter (8 bytes in float32).

    Reference: https://arxiv.org/abs/1904.00962, algorithm 2, with the identity for :math:`\phi`.

    >>> tx, params = lamb(0.5), jnp.array([3.0, 4.0])
    >>> tx.update(jnp.array([1.0, 0.0]), tx.init(params), params)[0].round(4).tolist()
    [-2.5, -0.0]
    """
    return chain(
        scale_by_adam(b1, b2, eps, state_dtype=state_dtype),
        decoupled_decay(hyper.number("weight_decay", weight_decay, "[0, inf)"), decay_mask),
        scale_by_trust_ratio(decay_mask, layer_axes),
        scale_by_learning_rate(learning_rate),
    )


LAMB = OptimizerInfo(
    "lamb",
    lamb,
    "You et al. 2020, arXiv:1904.00962",
    {**spaces.ADAM, "weight_decay": LogUniform(1e-3, 1.0)},
    needs_params=True,
)
