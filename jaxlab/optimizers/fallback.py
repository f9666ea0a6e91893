"""Matrices to one optimizer, everything else to another with a learning rate of its own."""

import optax

from jaxlab.core import hyper, storage, tree
from jaxlab.core.layouts import MATRICES, OTHERS, Layouts, labels_of
from jaxlab.core.partition import partition
from jaxlab.optimizers.adam import adam
from jaxlab.optimizers.adamw import adamw
from jaxlab.optimizers.lion import lion
from jaxlab.optimizers.sgd import sgd
from jaxlab.schedules.learning_rate import LearningRate

FALLBACKS = ("adamw", "adam", "lion", "sgd")
"""Optimizers for what is no matrix, by name, at their defaults but for the decay of the mean square, 0.95 in Adam's."""

Fallback = str | optax.GradientTransformation | None
"""One of :data:`FALLBACKS`; any optimizer, which brings its own learning rate; or None: those leaves are frozen."""


def with_fallback(
    matrices: optax.GradientTransformation,
    fallback: Fallback,
    learning_rate: LearningRate,
    weight_decay: hyper.Scalar,
    layouts: Layouts,
    state_dtype: storage.StateDtype,
    decay_mask: tree.Mask = None,
) -> optax.GradientTransformationExtraArgs:
    """An optimizer of matrices, and for all other leaves the fallback.

    Args:
      matrices: the whole optimizer of matrices, its learning rate included.
      fallback: for biases, scales, embeddings, heads: one of :data:`FALLBACKS`, a transform, or None to freeze them.
      learning_rate: the fallback's, where it is one by name; ``fallback_learning_rate`` to the user.
      weight_decay: likewise, where it has one.
      layouts: which leaves are matrices.
      state_dtype: how the fallback by name stores its state.
      decay_mask: which of its leaves decay.

    Returns:
      A partition; its state's ``routes`` say which leaf goes where.

    Raises:
      ValueError: an unknown fallback, a learning rate outside its range.
      TypeError: a learning rate that is none.
    """
    if not isinstance(learning_rate, optax.GradientTransformation):
        learning_rate = hyper.number_or_schedule("fallback_learning_rate", learning_rate, "[0, inf)")
    others = _named(fallback, learning_rate, weight_decay, state_dtype, decay_mask)
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
