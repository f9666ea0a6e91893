"""Stochastic weight averaging (Izmailov et al., 2018)."""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxlab.core import hyper, storage
from jaxlab.modifiers.averaging import averaged
from jaxlab.modifiers.every import due
from jaxlab.modifiers.info import ModifierInfo


def swa(
    inner: optax.GradientTransformation,
    start: hyper.Scalar,
    every: hyper.Scalar = 1.0,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Keeps the plain mean of the parameters from a step on, to be evaluated in their place.

    .. math::
        a_t = \frac1n \sum_{i=0}^{n-1} \theta_{s + i k}, \qquad n = \lfloor (t - s) / k \rfloor + 1

    and :math:`\theta_t` itself before step :math:`s`. The training is that of ``inner``, to the bit;
    :func:`~jaxlab.modifiers.evaluation_params` finds the mean. The paper lets the learning rate cycle, or stay
    constant and high, from the start on, and averages at the end of each cycle or epoch: give ``inner`` such a
    schedule. Batch statistics of a model are those of the training parameters: the paper collects them anew.

    Args:
      inner: any optax optimizer; all that changes its steps belongs inside.
      start: :math:`s`, at least 0: the first parameters of the mean are those after so many steps.
      every: :math:`k`, steps from one to the next, at least 1.
      state_dtype: how the average is kept, see :data:`~jaxlab.core.storage.StateDtype`. Less than float32 is rounded
        stochastically: the average is a noisy one.

    Raises:
      ValueError: a number outside its range, an unknown ``state_dtype``; from ``update``, parameters that are missing.

    State: the inner one's, one value for each parameter, and one int32.

    Reference: https://arxiv.org/abs/1803.05407, algorithm 1.

    >>> from jaxlab.modifiers import evaluation_params
    >>> tx, params = swa(optax.sgd(1.0), start=1), jnp.array([4.0])
    >>> state = tx.init(params)
    >>> for _ in range(3):
    ...     updates, state = tx.update(jnp.array([1.0]), state, params)
    ...     params = params + updates
    >>> evaluation_params(state, params).round(6).tolist()  # of 3, 2, 1
    [2.0]
    """
    start = hyper.number("start", start, "[0, inf)")
    every = hyper.number("every", every, "[1, inf)")

    def weight(t: Float[Array, ""]) -> Float[Array, ""]:
        past = t - start
        share = 1 / (jnp.floor((past + 0.5) / every) + 1)
        return jnp.where(past <= 0, 1, jnp.where(due(past, every), share, 0))

    return averaged(inner, weight, state_dtype)


SWA = ModifierInfo("swa", swa, "Izmailov et al. 2018, arXiv:1803.05407", needs_params=True)
