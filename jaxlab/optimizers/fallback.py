"""Matrices to one optimizer, everything else to another with a learning rate of its own."""

import optax

from jaxlab.core import hyper, storage, tree
from jaxlab.core.chain import chain
from jaxlab.core.layouts import MATRICES, OTHERS, Layouts, labels_of
from jaxlab.core.partition import partition
from jaxlab.optimizers.adam import adam
from jaxlab.optimizers.adamw import adamw
from jaxlab.optimizers.lion import lion
from jaxlab.optimizers.sgd import sgd
from jaxlab.regularizers.decoupled_decay import decoupled_decay
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate

FALLBACKS = ("adamw", "adam", "lion", "sgd")
"""Optimizers for what is no matrix, by name, at their defaults but for the decay of the mean square, 0.95 in Adam's."""

Fallback = str | optax.GradientTransformation | None
"""One of :data:`FALLBACKS`; any optimizer, which brings its own learning rate; or None: those leaves are frozen."""


def with_fallback(
    direction: optax.GradientTransformation,
    learning_rate: LearningRate,
    weight_decay: hyper.Scalar,
    decay_mask: tree.Mask,
    *,
    fallback: Fallback,
    fallback_learning_rate: LearningRate,
    layouts: Layouts,
    state_dtype: storage.StateDtype,
) -> optax.GradientTransformationExtraArgs:
    """An optimizer of matrices with decoupled decay, and for all other leaves the fallback.

    Args:
      direction: of matrices.
      learning_rate: that of the matrices.
      weight_decay: of the matrices, and of a fallback by name that has one.
      decay_mask: which leaves decay, likewise.
      fallback: for biases, scales, embeddings, heads: one of :data:`FALLBACKS`, a transform, or None to freeze them.
      fallback_learning_rate: the fallback's, where it is one by name.
      layouts: which leaves are matrices.
      state_dtype: how the fallback by name stores its state.

    Returns:
      A partition; its state's ``routes`` say which leaf goes where.

    Raises:
      ValueError: an unknown fallback, a number outside its range.
      TypeError: a learning rate that is none.
    """
    weight_decay = hyper.number("weight_decay", weight_decay, "[0, inf)")
    matrices = chain(direction, decoupled_decay(weight_decay, decay_mask), scale_by_learning_rate(learning_rate))
    if not isinstance(fallback_learning_rate, optax.GradientTransformation):
        fallback_learning_rate = hyper.number_or_schedule("fallback_learning_rate", fallback_learning_rate, "[0, inf)")
    others = _named(fallback, fallback_learning_rate, weight_decay, state_dtype, decay_mask)
    return partition({MATRICES: matrices, OTHERS: others}, labels_of(layouts))


def _named(
    fallback: Fallback,
    learning_rate: LearningRate,
    weight_decay: hyper.Scalar,
    state_dtype: storage.StateDtype,
    decay_mask: tree.Mask,
) -> optax.GradientTransformation | None:
    if fallback is None or isinstance(fallback, optax.GradientTransformation):
        return fallback
    match hyper.one_of("fallback", fallback, FALLBACKS):
        case "adamw":
            return adamw(
                learning_rate, b2=0.95, weight_decay=weight_decay, decay_mask=decay_mask, state_dtype=state_dtype
            )
        case "lion":
            return lion(learning_rate, weight_decay=weight_decay, decay_mask=decay_mask, state_dtype=state_dtype)
        case "adam":
            return adam(learning_rate, b2=0.95, state_dtype=state_dtype)
        case _:
            return sgd(learning_rate)
