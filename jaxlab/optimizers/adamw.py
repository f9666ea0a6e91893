"""AdamW: decoupled weight decay regularization (Loshchilov and Hutter, 2019)."""

import optax

from jaxlab.core import hyper, storage, tree
from jaxlab.core.chain import chain
from jaxlab.core.space import LogUniform
from jaxlab.optimizers import spaces
from jaxlab.optimizers.adam import scale_by_adam
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.regularizers.decoupled_decay import decoupled_decay
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate


def adamw(
    learning_rate: LearningRate,
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    eps: hyper.Scalar = 1e-8,
    weight_decay: hyper.Scalar = 1e-2,
    decay_mask: tree.Mask = None,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Adam with weight decay that its preconditioner does not see.

    .. math::
        \theta_t = \theta_{t-1} - \alpha_t (d_t + \lambda \theta_{t-1})

    with Adam's direction :math:`d_t`. The decay is multiplied by the learning rate, as PyTorch and optax do
    it; the paper multiplies by the schedule's multiplier alone, :math:`\eta_t \lambda'`, which is
    :math:`\lambda = \lambda' / \alpha_\text{peak}` here.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform.
      b1, b2, eps, state_dtype: as in :func:`~jaxlab.optimizers.adam.scale_by_adam`.
      weight_decay: :math:`\lambda`, at least 0.
      decay_mask: which leaves decay. None is all of them, as in PyTorch and optax; ``"matrices"`` (leaves
        with two or more axes) spares biases and norms and is recommended; also ordered rules
        ``[(regex, bool), ...]``, a tree of bools, a function of the parameters.

    Raises:
      ValueError: a number outside its range, an unknown ``state_dtype`` or mask; from ``update``, missing
        parameters, or a leaf that the mask does not cover.

    State: two values for each parameter (8 bytes in float32, 4 in bfloat16, 2.06 in int8).

    Reference: https://arxiv.org/abs/1711.05101, algorithm 2.

    >>> import jax.numpy as jnp
    >>> tx = adamw(0.5, weight_decay=0.5)
    >>> params = jnp.array([4.0])
    >>> tx.update(jnp.array([0.0]), tx.init(params), params)[0].tolist()
    [-1.0]
    """
    return chain(
        scale_by_adam(b1, b2, eps, state_dtype=state_dtype),
        decoupled_decay(hyper.number("weight_decay", weight_decay, "[0, inf)"), decay_mask),
        scale_by_learning_rate(learning_rate),
    )


ADAMW = OptimizerInfo(
    "adamw",
    adamw,
    "Loshchilov and Hutter 2019, arXiv:1711.05101",
    {**spaces.ADAM, "weight_decay": LogUniform(5e-3, 1.0)},
    needs_params=True,
)
